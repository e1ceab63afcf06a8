"""Every error that quantlab raises on purpose.

::

    QuantlabError
    ├── ConfigError        the composed configuration cannot be run
    ├── DataError          market data is missing, malformed or inconsistent
    │   └── HistoryError   there are too few bars for what was asked
    ├── ContractError      features, labels or arrays are not the ones agreed on
    ├── ArtifactError      a file or folder of ours is damaged, unreadable or unsafe
    └── InstallationError  the machine or the installation is not fit for the job

A message always answers three questions: what was expected, what was found, what to do.
"""

from __future__ import annotations


class QuantlabError(Exception):
    """Base of all deliberate errors; the command line maps it to one sentence and exit code 2.

    Parameters
    ----------
    expected : str
        What should have been there, e.g. ``"a column 'close' in BTC.parquet"``.
    found : str
        What was there instead.
    fix : str
        What the reader can do about it, as a full clause.
    """

    def __init__(self, expected: str, *, found: str, fix: str) -> None:
        self.expected = expected
        self.found = found
        self.fix = fix
        end = "" if fix.endswith("?") else "."
        super().__init__(f"expected {expected}; found {found}. {fix[:1].upper()}{fix[1:].rstrip('.')}{end}")

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions with keyword-only arguments do not cross process borders without this.
        return (_rebuild, (type(self), self.expected, self.found, self.fix))


def _rebuild(kind: type[QuantlabError], expected: str, found: str, fix: str) -> QuantlabError:
    return kind(expected, found=found, fix=fix)


class ConfigError(QuantlabError):
    """The configuration asks for something impossible or unknown."""


class DataError(QuantlabError):
    """Market data is missing, malformed or inconsistent."""


class HistoryError(DataError):
    """There are too few bars for the warm-up, the labels or the splits."""


class ContractError(QuantlabError):
    """Names, order, shape, dtype or fingerprint differ from the agreed ones."""


class ArtifactError(QuantlabError):
    """A stored file is damaged, incomplete, unreadable or outside its root."""


class InstallationError(QuantlabError):
    """The machine, the installation or its permissions are not fit for the job."""
