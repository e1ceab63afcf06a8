"""Faults of the wire: a script of them, or a seed that draws them.

A script is a list of entries, each with a place, a count and a kind::

    - {at: POST /fapi/v1/order, nth: 3, kind: ack_lost}
    - {at: POST /fapi/v1/order, nth: 5, kind: slow, ms: 2000}
    - {at: stream ORDER_TRADE_UPDATE, nth: 1, kind: duplicate}
    - {at: clock, nth: 40, kind: step, ms: -60000}

``{seed: 7, rate: 0.05}`` draws one at each place instead: the draw depends on seed, place and count alone, so the same
requests meet the same faults again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from quantlab.core.checks import check_choice, check_flag, check_range, check_whole
from quantlab.core.errors import ConfigError

#: Kinds of REST faults, and whether the request takes effect all the same.
REST_KINDS: Mapping[str, bool] = MappingProxyType(
    {
        "429": False,
        "418": False,
        "-1003": False,
        "-1000": False,
        "-1008": False,
        "-1007": True,
        "ack_lost": True,
        "slow": True,
        "dropped": False,
        "502": False,
        "truncated": True,
    }
)
STREAM_KINDS = (
    "no_json",
    "array",
    "missing_key",
    "half_open",
    "reset",
    "key_expired",
    "cut",
    "duplicate",
    "late",
    "reordered",
    "gap",
    "burst",
)
#: Places other than requests and frames, and the one kind that each has.
OTHER_KINDS: Mapping[str, str] = MappingProxyType({"clock": "step"})
_FIELDS = frozenset({"at", "kind", "nth", "every", "ms", "applied"})
_SEED_FIELDS = frozenset({"seed", "rate", "ms"})


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Parameters
    ----------
    at : str
        ``"METHOD /path"`` (``*`` for any), ``"stream"``, ``"stream EVENT"`` or ``"clock"``.
    kind : str
        One of :data:`REST_KINDS`, :data:`STREAM_KINDS` or :data:`OTHER_KINDS`.
    nth : int or None
        Strikes the n-th time that the place is reached, from 1.
    every : int or None
        Strikes each so many times; without either it always strikes.
    ms : int
        Delay of ``slow`` and ``late``, step of ``step``.
    applied : bool
        True if a request takes effect before its answer goes wrong.
    """

    at: str
    kind: str
    nth: int | None = None
    every: int | None = None
    ms: int = 0
    applied: bool = False

    def strikes(self, count: int) -> bool:
        """Tell whether the fault strikes the `count`-th time, from 1."""
        if self.nth is not None:
            return count == self.nth
        return self.every is None or count % self.every == 0


@dataclass(frozen=True, slots=True)
class FaultScript:
    """Faults to come.

    Parameters
    ----------
    entries : tuple of Fault
        In the order in which they are tried.
    seed : int or None
        Draws a fault at every place with chance `rate`.
    rate : float
    ms : int
        Delay of drawn faults.
    """

    entries: tuple[Fault, ...] = ()
    seed: int | None = None
    rate: float = 0.0
    ms: int = 1_000

    @classmethod
    def parse(cls, document: Sequence[Any] | Mapping[str, Any] | None) -> FaultScript:
        """Read a script: a list of entries, ``{seed: N, rate: P}`` or nothing.

        Raises
        ------
        ConfigError
            If a field, a place or a kind is not known.
        """
        if document is None:
            return cls()
        if isinstance(document, Mapping):
            _known_fields(document, _SEED_FIELDS, "faults")
            seed, rate, ms = document.get("seed"), document.get("rate", 0.05), document.get("ms", 1_000)
            check_whole("faults.seed", seed, low=0)  # type: ignore[arg-type]
            check_range("faults.rate", rate, low=0.0, high=1.0)
            check_whole("faults.ms", ms, low=0)
            return cls(seed=seed, rate=float(rate), ms=ms)
        if isinstance(document, str) or not isinstance(document, Sequence):
            raise ConfigError(
                "faults as a list of entries or as {seed: N, rate: P}",
                found=repr(document),
                fix="write it like docs/exchange.md does",
            )
        return cls(tuple(_entry(one, f"faults[{i}]") for i, one in enumerate(document)))

    def drawn(self, place: str, count: int, kinds: Sequence[str]) -> Fault | None:
        """The fault that the seed draws for the `count`-th time at a place; None for most.

        Parameters
        ----------
        place : str
        count : int
            From 1.
        kinds : sequence of str
            Drawn with equal chance.
        """
        if self.seed is None:
            return None
        digest = hashlib.sha256(f"{self.seed} {place} {count}".encode()).digest()
        if int.from_bytes(digest[:8], "big") >= self.rate * 2.0**64:
            return None
        kind = kinds[int.from_bytes(digest[8:12], "big") % len(kinds)]
        return Fault(place, kind, nth=count, ms=self.ms, applied=REST_KINDS.get(kind, False))


@dataclass(slots=True)
class Faults:
    """Counts of places, and the faults that strike there.

    Parameters
    ----------
    script : FaultScript
    struck : list of dict
        Those that have struck so far, in order: place, kind, length of time, and whether the request was done.
    """

    script: FaultScript
    struck: list[dict[str, Any]] = field(default_factory=list)
    _added: list[Fault] = field(default_factory=list)
    _counts: dict[str, int] = field(default_factory=dict)

    def add(self, document: Any) -> int:
        """Add entries while the exchange runs; their counts begin now. Returns how many.

        Raises
        ------
        ConfigError
            If an entry is refused.
        """
        script = FaultScript.parse(document if not isinstance(document, Mapping) or "seed" in document else [document])
        if script.seed is not None:
            self.script, self._counts = script, {}
            return 1
        for fault in script.entries:
            self._counts.pop(f"added {fault.at}", None)
        self._added.extend(script.entries)
        return len(script.entries)

    def rest(self, method: str, path: str) -> Fault | None:
        """The fault of a request, if any."""
        return self._strike(f"{method} {path}", tuple(REST_KINDS), _rest_places(method, path))

    def frame(self, event: str) -> Fault | None:
        """The fault of a frame of a user stream, if any."""
        return self._strike(f"stream {event}", STREAM_KINDS, (f"stream {event}", "stream"))

    def clock_step_ms(self) -> int:
        """Step of the venue's clock at this request, ms; 0 for most."""
        fault = self._strike("clock", (), ("clock",))
        return 0 if fault is None else fault.ms

    def _strike(self, place: str, kinds: Sequence[str], names: Sequence[str]) -> Fault | None:
        if not self.script.entries and not self._added and self.script.seed is None:
            return None
        struck: Fault | None = None
        for prefix, entries in (("", self.script.entries), ("added ", self._added)):
            reached = {fault.at for fault in entries if fault.at in names}
            for name in reached:
                self._counts[prefix + name] = self._counts.get(prefix + name, 0) + 1
            for fault in entries if reached else ():
                if struck is None and fault.at in reached and fault.strikes(self._counts[prefix + fault.at]):
                    struck = fault
        if self.script.seed is not None and kinds:
            count = self._counts[f"drawn {place}"] = self._counts.get(f"drawn {place}", 0) + 1
            struck = struck or self.script.drawn(place, count, kinds)
        if struck is not None:
            self.struck.append({"at": place, "kind": struck.kind, "ms": struck.ms, "applied": struck.applied})
        return struck


def _rest_places(method: str, path: str) -> tuple[str, ...]:
    return (f"{method} {path}", f"* {path}", f"{method} *", "* *")


def _entry(document: Any, name: str) -> Fault:
    if not isinstance(document, Mapping):
        raise ConfigError(
            f"{name} as {{at: ..., kind: ...}}", found=repr(document), fix="write it like docs/exchange.md does"
        )
    _known_fields(document, _FIELDS, name)
    at, kind = str(document.get("at", "")), str(document.get("kind", ""))
    check_choice(f"{name}.kind", kind, _kinds_at(at, name))
    for field_name in ("nth", "every"):
        if document.get(field_name) is not None:
            check_whole(f"{name}.{field_name}", document[field_name], low=1)
    ms = document.get("ms", 1_000)
    check_whole(f"{name}.ms", ms)
    applied = document.get("applied", REST_KINDS.get(kind, False))
    check_flag(f"{name}.applied", applied)
    return Fault(at, kind, document.get("nth"), document.get("every"), ms, applied)


def _kinds_at(at: str, name: str) -> tuple[str, ...]:
    if at in OTHER_KINDS:
        return (OTHER_KINDS[at],)
    if at == "stream" or at.startswith("stream "):
        return STREAM_KINDS
    method, _, path = at.partition(" ")
    if method in ("*", "GET", "POST", "PUT", "DELETE") and (path == "*" or path.startswith("/")):
        return tuple(REST_KINDS)
    raise ConfigError(
        f"{name}.at as METHOD /path, stream, stream EVENT or clock",
        found=repr(at),
        fix="name one of these places",
    )


def _known_fields(document: Mapping[str, Any], known: frozenset[str], name: str) -> None:
    unknown = sorted(set(document) - known)
    if unknown:
        raise ConfigError(
            f"{name} with fields of {', '.join(sorted(known))}",
            found=", ".join(map(str, unknown)),
            fix="take the others out",
        )
