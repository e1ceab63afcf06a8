"""The doctor's check of an exchange's clock: orders that come with a wrong time are refused."""

from __future__ import annotations

import asyncio
import time
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from quantlab.core.errors import QuantlabError
from quantlab.data.exchange.client import connect
from quantlab.data.exchange.errors import ExchangeLost
from quantlab.data.exchange.retry import Retry
from quantlab.jobs.doctor.check import Check, Status

_NAME = "exchange clock"
_SAMPLES = 3


class Offset(NamedTuple):
    """Lead of the exchange's clock over this machine's, and the error of that measurement; milliseconds."""

    ahead: float
    uncertain: float


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
        offset = asyncio.run(_measure(exchange, settings))
    except ExchangeLost as error:
        return Check(_NAME, Status.NOT_SET_UP, f"skipped: {exchange} cannot be reached ({error.found})")
    except QuantlabError as error:
        return Check(_NAME, Status.BROKEN, f"{error.expected}; found {error.found}", error.fix)
    if offset is None:
        return Check(_NAME, Status.NOT_SET_UP, f"skipped: {exchange} shows no clock")
    text = f"{exchange} is {offset.ahead:+.0f} ms ahead of this machine, give or take {offset.uncertain:.0f} ms"
    if abs(offset.ahead) - offset.uncertain > cfg.job.clock_limit_ms:
        return Check(_NAME, Status.BROKEN, text, "set the system clock, e.g. timedatectl set-ntp true")
    return Check(_NAME, Status.OK, text)


async def _measure(exchange: str, settings: dict[str, Any]) -> Offset | None:
    """The clock read half way between asking and answer, of the quickest answer."""
    client = connect(exchange, settings, Retry(1, 0.0, 0.0, 0.0, 0.0))
    try:
        if not client.api.has.get("fetchTime"):
            return None
        samples = [await _sample(client.now_ms) for _ in range(_SAMPLES)]
        return min(samples, key=lambda sample: sample.uncertain)
    finally:
        await client.close()


async def _sample(fetch_clock: Any) -> Offset:
    sent_ms = time.time() * 1000
    theirs = await fetch_clock()
    received_ms = time.time() * 1000
    return Offset(theirs - (sent_ms + received_ms) / 2, (received_ms - sent_ms) / 2)
