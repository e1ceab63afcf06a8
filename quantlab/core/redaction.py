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
_SECRET_WORDS = frozenset({"sign", "sig", "pwd", "pass", "pin", "otp", "totp", "auth", "jwt", "bearer", "hmac"})
#: Names of what has such a part in it and is no secret: a kind of asset that a universe excludes.
_HARMLESS = ("leveragedtoken",)
#: Names under which a small number is a count, or a number of its own.
_COUNTED = re.compile(r"tokens?$|session_?id$|cookies$|sign|sig|auth|passe?s?$|pin", re.IGNORECASE)
_COUNT = 1_000
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
_PASSWORD = re.compile(r"://[^/\s:@]{0,256}+:([^/\s@]{1,256}+)@")
_DEFAULT = re.compile(r"\$\{oc\.env:[^,{}]{1,256}+,")
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
    if joined.startswith(_HARMLESS):
        return False
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


def is_secret_option(name: str, value: Any) -> bool:
    """Tell whether an option's name makes its value, a list or mapping too, a secret; a count of tokens is none."""
    if value is None or isinstance(value, bool) or not is_secret_name(name):
        return False
    return not (isinstance(value, int | float) and abs(value) < _COUNT and _COUNTED.search(name))


def hide_secret_options(config: Any, *, secret: bool = False) -> Any:
    """A configuration's plain values without secrets: ``${...}`` and missing ones stay as they are.

    Hidden are all values under a secret's name, at any depth; what a text says after such a name; logins of addresses; and the
    defaults of references to the environment.

    Parameters
    ----------
    config : plain values
    secret : bool
        Whether all of it stands under a secret's name.
    """
    match config:
        case list():
            return [hide_secret_options(item, secret=secret) for item in config]
        case Mapping():
            return {
                key: hide_secret_options(value, secret=secret or is_secret_option(str(key), value))
                for key, value in config.items()
            }
        case None | bool():
            return config
        case _ if secret:
            whole = isinstance(config, str) and config.startswith("${") and _brace_end(config, 2) == len(config)
            return hide_defaults(hide_known(config)) if whole else HIDDEN
        case str():
            return hide_named(config)
    return config


def hide_defaults(text: str) -> str:
    """``${oc.env:NAME,default}`` without the default, which is whatever somebody typed."""
    parts, start = [], 0
    for found in _DEFAULT.finditer(text):
        if found.start() < start:
            continue
        parts.append(f"{text[start : found.end()]}'{HIDDEN}'}}")
        start = _brace_end(text, found.end())
    return "".join([*parts, text[start:]])


def _brace_end(text: str, start: int) -> int:
    """Position behind the brace that closes the one before `start`; the end of the text where none does."""
    depth = 1
    while start < len(text) and depth:
        depth += {"{": 1, "}": -1}.get(text[start], 0)
        start += 1
    return start


def hide_named(text: str) -> str:
    """The text without known secrets, values after a secret's name, logins and private keys; what only looks like a key stays."""
    text = hide_defaults(_hide_private_keys(hide_known(text)))
    text = _PAIR.sub(_hide_named, text)
    text = _SCHEME.sub(rf"\1\2{HIDDEN}", text)
    text = _URL_LOGIN.sub(rf"\1{HIDDEN}@", text)
    return _WEBHOOK.sub(rf"\1{HIDDEN}", text)


def login_of(address: str) -> str | None:
    """The password in an address, None without one."""
    found = _PASSWORD.search(address)
    return found.group(1) if found else None


def _redact_text(text: str) -> str:
    text = hide_named(text)
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
