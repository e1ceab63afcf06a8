"""The doctor's check of an exchange's clock: orders that come with a wrong time are refused."""

from __future__ import annotations

import asyncio
from typing import Any

from omegaconf import DictConfig, OmegaConf

from quantlab.core.clock import ClockOffset, SystemClock
from quantlab.core.errors import QuantlabError
from quantlab.data.exchange.client import ExchangeClient, connect
from quantlab.data.exchange.errors import ExchangeLost
from quantlab.data.exchange.retry import Retry
from quantlab.execution.feeds.venue_clock import measure_offset
from quantlab.jobs.doctor.check import Check, Status

_NAME = "exchange clock"


def check_exchange_clock(cfg: DictConfig, exchange: str | None) -> Check:
    """Ask the exchange's clock, if there is one to ask and a network to ask through.

    Parameters
    ----------
    cfg : DictConfig
        ``job.settings`` for ccxt, ``job.clock_limit_ms``.
    exchange : str or None
        ccxt's name of it.
    """
    if exchange is None:
        return Check(_NAME, Status.NOT_SET_UP, "no exchange was named or collected from", "add job.exchange=NAME")
    settings: Any = OmegaConf.to_container(cfg.job.settings, resolve=True)
    try:
        offset = _measure(exchange, settings)
    except ExchangeLost as error:
        return Check(_NAME, Status.NOT_CHECKED, f"{exchange} cannot be reached ({error.found})")
    except QuantlabError as error:
        return Check(_NAME, Status.BROKEN, f"{error.expected}; found {error.found}", error.fix)
    if offset is None:
        return Check(_NAME, Status.NOT_CHECKED, f"{exchange} shows no clock")
    text = f"{exchange} is {offset.ahead_ms:+.0f} ms ahead of this machine, give or take {offset.uncertain_ms:.0f} ms"
    if offset.exceeds(cfg.job.clock_limit_ms):
        return Check(_NAME, Status.BROKEN, text, "set the system clock, e.g. timedatectl set-ntp true")
    return Check(_NAME, Status.OK, text)


def _measure(exchange: str, settings: dict[str, Any]) -> ClockOffset | None:
    """The offset as a session measures it, over a connection of its own."""
    with asyncio.Runner() as runner:
        client = runner.run(_connect(exchange, settings))
        try:
            if not client.api.has.get("fetchTime"):
                return None
            return measure_offset(lambda: runner.run(client.now_ms()), SystemClock())
        finally:
            runner.run(client.close())


async def _connect(exchange: str, settings: dict[str, Any]) -> ExchangeClient:
    return connect(exchange, settings, Retry(1, 0.0, 0.0, 0.0, 0.0))
