"""``job=exchange``: a simulated exchange on this machine, on which any client of the venue can trade.

It replays the configured data, and prints one line when it listens. Ctrl-C and a termination end it with exit code 0.
"""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import threading
from typing import Any

from omegaconf import DictConfig, OmegaConf

from quantlab.core.checks import check_whole
from quantlab.core.clock import SystemClock
from quantlab.core.errors import ConfigError
from quantlab.jobs.config.composition import build
from quantlab.jobs.config.sections import history_cut
from quantlab.jobs.output.console import stdout_console
from quantlab.jobs.output.terminal import TerminalProgress
from quantlab.simulator.engine.rules import VenueRules
from quantlab.simulator.server.app import LOOPBACK, ExchangeServer, require_loopback, serve_until
from quantlab.simulator.server.opening import Settings, open_exchange
from quantlab.simulator.surface.exchange import Exchange
from quantlab.simulator.wire.limits import LimitRules


def run(cfg: DictConfig) -> float | None:
    """Serve until somebody asks to stop; there is no result.

    Raises
    ------
    QuantlabError
        If a setting, the data or the port is refused.
    """
    job = cfg.job
    require_loopback(str(job.host))
    check_whole("job.port", job.port, low=0, high=65_535)
    settings = settings_of(cfg)
    with TerminalProgress().stage("history", 1) as stage:
        bars = history_cut(cfg).load(build(cfg.data))
        stage.advance()
    exchange = open_exchange(bars, build(cfg.trading.costs), settings, SystemClock().now_ms())
    asyncio.run(_serve(exchange, settings, int(job.port)))
    return None


def settings_of(cfg: DictConfig) -> Settings:
    """The job's node as checked values."""
    job = cfg.job
    plain: Any = OmegaConf.to_container(job, resolve=True)
    return Settings(
        rules=VenueRules(mode=job.mode, **_known(plain["rules"], VenueRules, "job.rules")),
        key=job.account.key,
        secret=job.account.secret,
        cash=job.account.cash,
        can_trade=job.account.can_trade,
        can_withdraw=job.account.withdrawals,
        pace=job.pace,
        history_bars=job.history_bars,
        seed=job.seed,
        faults=plain["faults"],
        limits=LimitRules(**_known(plain["limits"], LimitRules, "job.limits")),
    )


def _known(node: dict[str, Any], settings: type, name: str) -> dict[str, Any]:
    """A node whose keys are all fields of a settings class; another one is refused."""
    known = [field.name for field in dataclasses.fields(settings)]
    unknown = sorted(set(node) - set(known))
    if unknown:
        expected = f"keys of {name}: {', '.join(known)}"
        raise ConfigError(expected, found=", ".join(unknown), fix="leave the others out")
    return node


async def _serve(exchange: Exchange, settings: Settings, port: int) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
    server = ExchangeServer(exchange, SystemClock().now_ms)
    await serve_until(server, port, lambda number: _announce(exchange, settings, number), stop)


def _announce(exchange: Exchange, settings: Settings, port: int) -> None:
    rules, script = settings.rules, exchange.script
    time = f"pace {settings.pace:g}" if rules.mode == "wall" else "a bar ends at POST /_sim/advance"
    drawn = f", faults drawn by seed {script.seed}" if script.seed is not None else ""
    scripted = f", {len(script.entries)} scripted faults" if script.entries else ""
    symbols = len(exchange.venue.listings)
    line = f"exchange listens on http://{LOOPBACK}:{port}: {symbols} symbols, {rules.mode}, {time}{drawn}{scripted}; seed {settings.seed}; Ctrl-C ends it"
    stdout_console().print(line, highlight=False, soft_wrap=True)
