"""Distortions of a true answer, as an exchange, a proxy or a broken line could make them, chosen by a generator."""

from __future__ import annotations

import copy
import gzip
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

HTML = (
    b"<html><head><title>Maintenance</title></head><body>" + b"<p>We will be back soon.</p>" * 3_500 + b"</body></html>"
)
DEEP = 100_000


@dataclass(frozen=True)
class Reply:
    """What goes over the line instead of the true answer.

    ``claimed`` is the length in the head, None = that of the body; ``seconds`` pass between the bytes of a slow body; an
    ``endless`` body is repeated until the client hangs up.
    """

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    claimed: int | None = None
    seconds: float = 0.0
    endless: bool = False


#: What can stand in the place of a value.
STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 10**18, 10**30, -(10**30), 1e308, -1e-308, "", "abc", "1e999999999", "-1e-99999", "1e30",
    "Infinity", "NaN", "9" * 5_000, "\u0000", "٣", [], {}, [[]], [None], {"a": {"b": [1]}}, [[[[[[[[1]]]]]]]],
)  # fmt: skip
LITERALS = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e400",
    b"0123",
    b"tru",
    b"'1'",
    b"1" + b"0" * 400,
    b"\xff\xfe",
    b'"\\ud800"',
)


def strange_value(sent: Any, rng: np.random.Generator) -> Any:
    """A copy with one or a few values, anywhere, replaced or removed."""
    sent = copy.deepcopy(sent)
    for _ in range(int(rng.integers(1, 4))):
        holder, key = _place(sent, rng)
        if holder is None:
            return STRANGE[int(rng.integers(len(STRANGE)))]
        if rng.random() < 0.15:
            del holder[key]
        else:
            holder[key] = STRANGE[int(rng.integers(len(STRANGE)))]
    return sent


def strange_column(sent: Any, rng: np.random.Generator) -> Any:
    """A copy in which every row has the same strange value at one place."""
    sent, value = copy.deepcopy(sent), STRANGE[int(rng.integers(len(STRANGE)))]
    rows = _longest(sent)
    if rows and isinstance(rows[0], dict | list) and rows[0]:
        keys = list(rows[0]) if isinstance(rows[0], dict) else list(range(len(rows[0])))
        key = keys[int(rng.integers(len(keys)))]
        for row in rows:
            row[key] = value
    return sent


def reordered(sent: Any, rng: np.random.Generator) -> Any:
    """A copy with rows repeated, reversed, shuffled or missing."""
    sent = copy.deepcopy(sent)
    rows = _longest(sent)
    if rows:
        picked = [rows[k] for k in rng.integers(len(rows), size=int(rng.integers(0, 2 * len(rows))))]
        rows[:] = [rows[::-1], picked, rows + rows, rows * 60][int(rng.integers(4))]
    return sent


def _place(sent: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """A random place: its holder and key; deep places are as likely as high ones."""
    holder, key = None, None
    while isinstance(sent, dict | list) and sent and (holder is None or rng.random() < 0.8):
        keys = list(sent) if isinstance(sent, dict) else range(len(sent))
        holder, key = sent, keys[int(rng.integers(len(keys)))]
        sent = sent[key]
    return holder, key


def _longest(sent: Any) -> list[Any]:
    inner = sent.values() if isinstance(sent, dict) else sent if isinstance(sent, list) else ()
    own = sent if isinstance(sent, list) else []
    return max([own, *(_longest(one) for one in inner if isinstance(one, dict | list))], key=len)


def _replaced(body: bytes, rng: np.random.Generator, text: bytes) -> bytes:
    """One number or text of the body replaced by `text`, as it stands."""
    values = list(re.finditer(rb"(?<=[:,\[])\s*(\"[^\"]*\"|-?[\d.]+)", body))
    if not values:
        return text
    start, end = values[int(rng.integers(len(values)))].span()
    return body[:start] + text + body[end:]


def _doubled_keys(body: bytes, rng: np.random.Generator) -> bytes:
    members = list(re.finditer(rb'("\w+"): ("[^"]*"|-?[\d.]+)', body))
    if not members:
        return body
    member = members[int(rng.integers(len(members)))]
    return body[: member.end()] + b", " + member.group(1) + b": " + b"[1e30]" + body[member.end() :]


def _status(body: bytes, rng: np.random.Generator) -> Reply:
    status = int(rng.choice([204, 301, 400, 403, 404, 418, 422, 429, 451, 500, 502, 503, 504, 520]))
    bodies = (body, HTML, b"", b"{}", b'{"code":-1003,"msg":"Too many requests."}', b'{"code":"1","msg":[]}', b"null")
    waits = ("0", "abc", "-5", "1e3", "9" * 30, "Thu, 01 Jan 99999 00:00:00 GMT", "٣")
    headers = {"Retry-After": waits[int(rng.integers(len(waits)))].encode().decode("latin-1")}
    return Reply(bodies[int(rng.integers(len(bodies)))], status, headers if rng.random() < 0.5 else {})


def _compressed(body: bytes, rng: np.random.Generator) -> Reply:
    bodies = (bomb(), gzip.compress(body)[:-9], body, gzip.compress(body) + b"more", gzip.compress(gzip.compress(body)))
    return Reply(bodies[int(rng.integers(len(bodies)))], headers={"Content-Encoding": "gzip"})


@cache
def bomb() -> bytes:
    """80 MB of blanks in 80 kB."""
    return gzip.compress(b" " * 80_000_000, 9)


def _nested(body: bytes, rng: np.random.Generator) -> Reply:
    shapes = (b"[" * DEEP, b"[" * DEEP + b"]" * DEEP, b'{"a":' * DEEP + b"1" + b"}" * DEEP, b"[" * 900 + b"]" * 900)
    shape = shapes[int(rng.integers(len(shapes)))]
    return Reply(shape if rng.random() < 0.5 else _replaced(body, rng, shape))


def _plain(body: bytes, rng: np.random.Generator) -> Reply:
    bodies = (
        b"",
        b"null",
        b"0",
        b'"text"',
        b"[]",
        b"{}",
        b"[[]]",
        b"[{}]",
        b"[null]",
        HTML,
        b"\xff" * 1_000,
        body[:-1] + b",",
    )
    return Reply(bodies[int(rng.integers(len(bodies)))])


def _described(body: bytes, rng: np.random.Generator) -> Reply:
    kinds = (
        "text/html; charset=hex",
        "application/json; charset=utf-16",
        "image/png",
        "application/json; charset=idna",
        "",
    )
    return Reply(body, headers={"Content-Type": kinds[int(rng.integers(len(kinds)))]})


def _cut(body: bytes, rng: np.random.Generator) -> Reply:
    end = int(rng.integers(len(body) + 1))
    return Reply(body[:end], claimed=len(body) + 1 if rng.random() < 0.3 else None)


def _changed(change: Callable[[Any, np.random.Generator], Any]) -> Callable[[bytes, np.random.Generator], Reply]:
    return lambda body, rng: Reply(json.dumps(change(json.loads(body), rng)).encode())


#: Kind -> weight and the distortion: true body, generator -> reply. ``other symbol`` is made where questions are known.
DISTORTIONS: dict[str, tuple[float, Callable[[bytes, np.random.Generator], Reply]]] = {
    "none": (2.0, lambda body, rng: Reply(body)),
    "strange value": (10.0, _changed(strange_value)),
    "strange column": (5.0, _changed(strange_column)),
    "rows": (3.0, _changed(reordered)),
    "literal": (3.0, lambda body, rng: Reply(_replaced(body, rng, LITERALS[int(rng.integers(len(LITERALS)))]))),
    "doubled key": (1.0, lambda body, rng: Reply(_doubled_keys(body, rng))),
    "cut": (2.0, _cut),
    "nested": (2.0, _nested),
    "plain": (2.0, _plain),
    "status": (3.0, _status),
    "compressed": (1.5, _compressed),
    "described": (1.0, _described),
    "slow": (0.3, lambda body, rng: Reply(body, seconds=0.1)),
    "endless": (0.3, lambda body, rng: Reply(b"[1," * 20_000, endless=True)),
    "other symbol": (2.0, lambda body, rng: Reply(body)),
}
