"""Values after a secret's name in a text, in the forms in which people, shells, libraries and browsers write them.

A text is read once, from name to name. Whatever a value is found to reach over is taken out whole, because half a secret
is half as hard to guess; what stands under other names is read on, as it may hold names of its own.
"""

from __future__ import annotations

import re

from quantlab.core.secrets.names import is_count, is_secret_name

HIDDEN = "[hidden]"

#: A name, and what stands between it and its value: `=`, `:`, `=>`, `->`, a comma after a quote, a space after an option's name.
_NAME = re.compile(
    r"(?<![\w-])(?:(?<=%)2[0-7])?(?P<name>[\w-]++)"
    r"(?P<between>(?P<close>\\{0,16}['\"`]|%2[27])?\s{0,20}(?P<mark>=>|->|:=|[:=,]|%3[AaDd])\s{0,20}|(?P<option>[ \t]{1,3}))"
)
#: A quote, with the call and the letters before it: `SecretStr('`, `b'`, `\\\"`.
_QUOTE = re.compile(r"(?:[A-Za-z_]\w{0,30}\(\s?)?[rRbBuUfF]{0,2}(?P<quote>\\{0,16}(?:\"\"\"|'''|[\"'`]))")
_BARE = re.compile(
    r"(?:[^\s'\",;&}\])\\]++|[,;&})\]](?=[\w!@#$%^*+/-])(?![\w.\[\]-]{1,40}['\"]?(?:[=:]|%3[AaDd]))|\\(?![nrtu'\"\\])|['\"](?=\w))++"
)
_SCHEME = re.compile(r"(?:bearer|basic|hmac|token|apikey|jwt|negotiate|digest)[ \t]{1,3}(?=[^\s=:])", re.IGNORECASE)
#: Headers whose whole line is the secret.
_WHOLE_LINE = re.compile(r"(?:proxy-)?authorization|(?:set-)?cookie", re.IGNORECASE)
#: Words that are no secret, whatever their name is.
_PLAIN = frozenset(
    [
        "none",
        "null",
        "true",
        "false",
        "missing",
        "expired",
        "invalid",
        "required",
        "unset",
        "buy",
        "sell",
        "hold",
        "def",
    ]
)
_FOLDER = re.compile(r"(?:~|/(?:home|root|tmp|var|work|mnt|data|opt|srv|Users)\b)")
_OPENING, _CLOSING = ("[", "(", "{"), ("]", ")", "}")
#: Characters that a list or mapping under a secret's name is followed for.
_LONGEST_LIST = 10_000


def hide_pairs(text: str) -> str:
    """The text without the values under secrets' names.

    Examples
    --------
    >>> hide_pairs("password='correct horse', tokens=5, {'api_keys': ['a', 'b']}")
    "password='[hidden]', tokens=5, {'api_keys': [hidden]}"
    """
    parts, done, at = [], 0, 0
    while found := _NAME.search(text, at):
        at = found.end("name")
        if not _is_pair(text, found) or not is_secret_name(found["name"]):
            continue
        start, at, shown = _value(text, found)
        if shown is not None:
            parts += [text[done:start], shown]
            done = at
    return "".join([*parts, text[done:]])


def _is_pair(text: str, found: re.Match[str]) -> bool:
    """Tell whether a mark makes a pair: a comma does only between two quoted words of a list, a space only after `--name`."""
    if found["option"]:
        return found["name"].startswith("--")
    if found["mark"] != ",":
        return True
    before = text[max(0, found.start() - 6) : found.start()].rstrip("\"'\\").rstrip("brBR")
    quoted = _QUOTE.match(text, found.end())
    return bool(found["close"]) and before.rstrip().endswith(("(", "[")) and quoted is not None


def _value(text: str, found: re.Match[str]) -> tuple[int, int, str | None]:
    """Begin and end of the value, and the text in its place; None where it is no secret."""
    start, name, mark = found.end(), found["name"], found["mark"]
    if text.startswith(HIDDEN, start):
        return start, start + len(HIDDEN), None
    if _WHOLE_LINE.fullmatch(name) and mark == ":" and not found["close"]:
        return start, _line_end(text, start), HIDDEN
    if scheme := _SCHEME.match(text, start):
        start = scheme.end()
    if quoted := _QUOTE.match(text, start):
        return _quoted(text, quoted)
    if text.startswith(_OPENING, start):
        stop = _list_end(text, start)
        return start, stop, HIDDEN if stop - start > 2 else None
    # `key: value` in prose is a sentence; `key=value` and `"key": "value"` are not. A reference is no secret.
    prose = name.lower() == "key" and mark == ":" and not found["close"]
    bare = None if prose or text.startswith("${", start) else _BARE.match(text, start)
    if bare is None or (bare.group().endswith(":") and "\n" in found["between"]):
        return start, start, None
    return start, bare.end(), None if _is_plain(name, mark, bare.group()) else HIDDEN


def _is_plain(name: str, mark: str | None, value: str) -> bool:
    """Tell whether a bare value is a word, a count or a folder, and no secret."""
    word = value.rstrip(".!?:").lower()
    if word.lstrip("-").isdigit() and len(word) < 10:
        return is_count(name, float(word))
    if word in _PLAIN or (mark in (":", None) and len(word) <= 2):
        return True
    return name.lower() == "pwd" and _FOLDER.match(value) is not None


def _quoted(text: str, opened: re.Match[str]) -> tuple[int, int, str | None]:
    """A value in quotes: up to the quote that is written as the first one; to the end of the line without one."""
    quote, start = opened["quote"], opened.end()
    mark = quote.lstrip("\\")
    slashes = len(quote) - len(mark)
    at = start - 1
    while (at := text.find(mark, at + 1)) >= 0:
        if len(mark) == 1 and text.find("\n", start, at) >= 0:
            break
        before = at
        while before > start and text[before - 1] == "\\":
            before -= 1
        if at - before <= slashes:
            return start, before, None if text[start:before] in ("", HIDDEN) else HIDDEN
    stop = _line_end(text, start)
    return start, stop, HIDDEN if stop > start else None


def _list_end(text: str, start: int) -> int:
    """Position behind the bracket that closes the one at `start`, at most some way on."""
    depth = 0
    for at in range(start, min(len(text), start + _LONGEST_LIST)):
        depth += (text[at] in _OPENING) - (text[at] in _CLOSING)
        if depth == 0:
            return at + 1
    return min(len(text), start + _LONGEST_LIST)


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    end = len(text) if end < 0 else end
    return end - 1 if end > start and text[end - 1] == "\r" else end
