"""``--help``: jobs, experiments and the commonest overrides, straight from the folder of yaml files.

Hydra's own help composes everything once per group, which takes seconds; this takes none.
"""

from __future__ import annotations

from quantlab.jobs.config.folder import groups
from quantlab.jobs.config.job_page import job_lines

_TEXT = """\
quantlab - backtesting-first research and trading of crypto perpetual futures

Usage
  python -m quantlab [experiment=NAME] [job=NAME] [key=value ...]
  python -m quantlab -m key=a,b ...          one run per combination (hydra/launcher=joblib: in processes)
  python -m quantlab job=NAME --help         one job: its options and an example

Jobs (job=NAME; without one it is job=research)
{jobs}

The commonest overrides
  data=parquet data.root=DIR                 your own bars (one parquet file a symbol)
  'data.symbols=[BTC,ETH]'                   some of them
  history.start=2025-04-01 history.bars=9000 a part of the history
  workers=4 seed=1 cash=25000                processes, seed, starting equity in USD
  barriers.horizon=24 exits.horizon=96       bars that a label looks ahead; bars until a position is closed by time
  trading.costs.slippage_bps=4               costs
  debug=tiny                                 any experiment in about 30 s (the first time it compiles: 40 to 60 s more)

Every group and its options (group=option)
{groups}

Looking inside
  --version             print the version
  --cfg job             print the composed configuration
  --info defaults       print where each part of it comes from
  --hydra-help          the command line's own flags
  QUANTLAB_TRACEBACK=1  print tracebacks with errors
"""


def help_text() -> str:
    """The whole page."""
    options = groups()
    width = max(map(len, options)) + 2
    lines = (f"  {group:<{width}}{', '.join(names)}" for group, names in options.items())
    jobs = (f"  {name:<11}{line}" for name, line in job_lines().items())
    return _TEXT.format(jobs="\n".join(jobs), groups="\n".join(lines))
