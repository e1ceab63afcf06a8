"""Secrets taken out of values and texts before they are written: known ones, named ones, and what looks like one.

1. *Known*: values that the configuration took from the environment or holds under a secret's name (:func:`hide_values`).
2. *Named*: the value after ``apiKey=``, ``"secret": ``, ``OK-ACCESS-SIGN: `` and the like, whatever it looks like.
3. *Shaped*: keys, signatures and tokens wherever they stand: long hex and base64, JSON web tokens, tokens of chat bots and webhooks.

Every pattern reads a text once: none steps back over what it has matched, so a hostile text costs time in proportion to its length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

HIDDEN = "[hidden]"

#: Shorter values are words of any text: hiding each `1` would hide everything.
_SHORTEST_KNOWN = 5
_known: set[str] = set()

#: Parts of a name, written together and in lower case, that make it a secret's.
_SECRET_PART = re.compile(
    r"secret|passw|passphrase|token|apikey|accesskey|privatekey|listenkey|encryptionkey|signingkey|mnemonic|seedphrase"
    r"|authorization|authentication|signature|cookie|credential|sessionid"
)
#: Whole words of a name that make it a secret's; `signal` and `design` are none of them.
_SECRET_WORDS = frozenset({"sign", "sig", "pwd", "pin", "otp", "auth", "jwt", "bearer", "hmac"})
_WORD = re.compile(r"[A-Z]++(?![a-z])|[A-Z]?[a-z]++|[0-9]++")
#: Longest name that is looked at; names of options and headers are shorter.
_LONGEST_NAME = 80

#: ``name=value``, ``name: value``, ``"name": "value"``, escaped or not, with the scheme of a header before the value.
_PAIR = re.compile(
    r"(?<![\w-])(?P<name>[\w-]++)(?P<between>\\{0,2}['\"]?[ \t]{0,3}(?:=>|[:=])[ \t]{0,3}(?:(?:bearer|basic|hmac|token)[ \t]{1,3})?)"
    r"(?P<value>\\{0,2}\"[^\"\\\n]*+\\{0,2}\"|\\{0,2}'[^'\\\n]*+\\{0,2}'|(?:%27|%22)[^\s%&]*+(?:%27|%22)|[^\s'\",;&}\])\\]++)",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"\b(bearer|basic)([ \t]{1,3})[\w.~+/=-]{8,}+", re.IGNORECASE)
_URL_LOGIN = re.compile(r"(?<![a-z0-9+.-])([a-z][a-z0-9+.-]{0,30}+://)[^/\s:@]{0,256}+:[^/\s@]{1,256}+@", re.IGNORECASE)
_WEBHOOK = re.compile(r"(hooks\.slack\.com/services/|discord(?:app)?\.com/api/webhooks/)[\w/.-]++", re.IGNORECASE)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----")
_SHAPES = (
    re.compile(r"(?<![\w-])eyJ[\w-]{5,}+\.[\w-]++(?:\.[\w-]*+)?"),  # JSON web tokens
    re.compile(r"(?<!\d)\d{6,12}+:[\w-]{30,}+"),  # bots of Telegram
    re.compile(r"(?<!\w)[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}(?!\w)"),
    re.compile(
        r"(?<!\w)(?:gh[pousr]_\w{20,}+|github_pat_\w{20,}+|xox[abeprs]-[\w-]{8,}+|AKIA[0-9A-Z]{16}|sk-[\w-]{16,}+)"
    ),
    re.compile(r"(?<!\w)(?:0x)?[0-9a-fA-F]{32,}+(?!\w)"),
)
_LONG_MIXED = re.compile(r"(?<![\w+/-])[\w+/-]{32,}+={0,2}")


def hide_values(values: Iterable[object]) -> None:
    """Remember secrets of this process: :func:`redact` and :func:`hide_known` take them out wherever they stand."""
    _known.update(text for text in map(str, values) if len(text) >= _SHORTEST_KNOWN)


def hide_known(text: str) -> str:
    """The text without the values that :func:`hide_values` was told; the rest of it stays as it is."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def is_secret_name(name: str) -> bool:
    """Tell whether what stands under this name must not be shown.

    Examples
    --------
    >>> [is_secret_name(name) for name in ("apiKey", "OK-ACCESS-SIGN", "signal", "key", "monkey")]
    [True, True, False, True, False]
    """
    name = name[-_LONGEST_NAME:]
    joined = re.sub(r"[^a-z0-9]", "", name.lower())
    if joined == "key" or _SECRET_PART.search(joined):
        return True
    words = [word.lower() for word in _WORD.findall(name)]
    return bool(_SECRET_WORDS.intersection(words)) or (words[-1:] == ["key"] and "access" in words)


def redact(value: Any) -> Any:
    """The same value without what is, is named like, or looks like a key, a secret, a token or a signature.

    Examples
    --------
    >>> redact({"apiKey": "abc", "note": "secret=xyz and price 5"})
    {'apiKey': '[hidden]', 'note': 'secret=[hidden] and price 5'}
    """
    match value:
        case str():
            return _redact_text(value)
        case dict():
            return {_redact_text(str(k)): HIDDEN if is_secret_name(str(k)) else redact(v) for k, v in value.items()}
        case list() | tuple():
            return [redact(item) for item in value]
        case None | bool() | int() | float():
            return value
        case _:
            return _redact_text(str(value))


def hide_secret_options(config: Any) -> Any:
    """A configuration's plain values without those under a secret's name; ``${...}`` and missing ones stay as they are."""
    if isinstance(config, list):
        return [hide_secret_options(item) for item in config]
    if not isinstance(config, Mapping):
        return hide_known(config) if isinstance(config, str) else config
    return {
        key: HIDDEN if is_secret_name(str(key)) and _is_literal(value) else hide_secret_options(value)
        for key, value in config.items()
    }


def _is_literal(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool) and "${" not in str(value)


def _redact_text(text: str) -> str:
    text = _hide_private_keys(hide_known(text))
    text = _PAIR.sub(_hide_named, text)
    text = _SCHEME.sub(rf"\1\2{HIDDEN}", text)
    text = _URL_LOGIN.sub(rf"\1{HIDDEN}@", text)
    text = _WEBHOOK.sub(rf"\1{HIDDEN}", text)
    for shape in _SHAPES:
        text = shape.sub(HIDDEN, text)
    return _LONG_MIXED.sub(_hide_mixed, text)


def _hide_named(match: re.Match[str]) -> str:
    name, between, value = match.group("name", "between", "value")
    # `key: value` in prose is a sentence; `key=value` and `"key": "value"` are not.
    prose = name.lower() == "key" and ":" in between and value[:1] not in "'\"\\" and "=" not in between
    if value == HIDDEN or prose or not is_secret_name(name):
        return match.group()
    quote = next((mark for mark in ('\\"', "\\'", '"', "'", "%27", "%22") if value.startswith(mark)), "")
    return f"{name}{between}{quote}{HIDDEN}{quote}"


def _hide_mixed(match: re.Match[str]) -> str:
    """Digits, capitals and small letters in one long run are no word."""
    text = match.group()
    kinds = (str.isdigit, str.isupper, str.islower)
    return HIDDEN if all(any(kind(letter) for letter in text) for kind in kinds) else text


def _hide_private_keys(text: str) -> str:
    parts, start = [], 0
    for begin in _PRIVATE_KEY.finditer(text):
        if begin.start() < start:
            continue
        end = text.find("-----END", begin.end())
        stop = len(text) if end < 0 else text.find("-----", end + 8) + 5
        parts += [text[start : begin.start()], HIDDEN]
        start = len(text) if end < 0 or stop < 5 else stop
    return "".join([*parts, text[start:]])
