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

from quantlab.core.secrets.names import WORD, is_count, is_secret_name
from quantlab.core.secrets.texts import HIDDEN, hide_pairs

#: Shorter values are words of any text: hiding each `1` would hide everything.
_SHORTEST_KNOWN = 5
_known: set[str] = set()

_SCHEME = re.compile(r"\b(bearer|basic)([ \t]{1,3})[\w.~+/=-]{8,}+", re.IGNORECASE)
_URL_LOGIN = re.compile(
    r"(?<![a-z0-9+.-])([a-z][a-z0-9+.-]{0,30}+://)(?:[^\s/?#'\"<>]{1,256}|[^\s/?#@:'\"]{1,64}:(?!\d{2,5}/)[^\s@'\"]{1,256})@",
    re.IGNORECASE,
)
_CURL_LOGIN = re.compile(r"(?<!\S)((?:-u|--user)[ =]['\"]?)[^\s:'\"]{1,256}+:[^\s'\"]++")
_DIGEST = re.compile(r"\b(Digest[ \t]{1,3})(?=\w{1,20}=)[^\n]++")
_PASSWORD = re.compile(r"://[^/\s:@]{0,256}+:([^/\s@]{1,256}+)@")
_DEFAULT = re.compile(r"\$\{oc\.env:[^,{}]{1,256}+,")
_WEBHOOK = re.compile(r"(hooks\.slack\.com/services/|discord(?:app)?\.com/api/webhooks/)[\w/.-]++", re.IGNORECASE)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----")
_SHAPES = (
    re.compile(r"(?<![\w-])eyJ[\w-]{5,}+\.[\w-]++(?:\.[\w-]*+)?"),  # JSON web tokens
    re.compile(r"(?<!\d)\d{6,12}+:[\w-]{30,}+"),  # bots of Telegram
    re.compile(r"(?<!\w)[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}(?!\w)"),
    re.compile(
        r"(?<!\w)(?:gh[pousr]_\w{20,}+|github_pat_\w{20,}+|xox[abeprs]-[\w-]{8,}+|xapp-[\w-]{8,}+|glpat-[\w-]{10,}+"
        r"|A[KS]IA[0-9A-Z]{16}|sk-[\w-]{16,}+|[rs]k_(?:live|test)_\w{10,}+|AIza[\w-]{30,}+|(?:npm|hf)_\w{30,}+)"
    ),
)
_HEX = re.compile(r"(?<![A-Za-z0-9])(?:0x)?[0-9a-fA-F]{32,}+(?!\w)")
_HASH_WORD = re.compile(
    r"(?:sha256|hash|fingerprint|manifest|expected|found|strategy|features)['\"]?[ :=]{1,3}['\"]?$", re.IGNORECASE
)
_SHA256 = 64
_SHA256_ALONE = re.compile(r"[0-9a-f]{64}")
#: Facts whose value is a hash.
_HASH_NAME = re.compile(r"sha256|hash|fingerprint|manifest|expected|found|strategy|features", re.IGNORECASE)
_LONG = re.compile(r"(?<![\w+/-])[\w+/-]{32,}+={0,2}")
#: Runs of this package are named by their time and a piece of a hash.
_OWN_ID = re.compile(r"\d{8}_\d{6}(?:_\d{3})?(?:-[0-9a-f]{8})?(?![0-9A-Za-z])")
#: Shortest part of a path that is judged alone; letters a word below which a text is a key: random ones have about two.
_SHORTEST_PART, _LETTERS_A_WORD, _LETTERS_WITHOUT_DIGITS = 24, 3.3, 2.6


def hide_values(values: Iterable[object]) -> None:
    """Remember secrets of this process: :func:`redact` and :func:`hide_known` take them out wherever they stand."""
    _known.update(text for text in map(str, values) if len(text) >= _SHORTEST_KNOWN)


def hide_known(text: str) -> str:
    """The text without the values that :func:`hide_values` was told; the rest of it stays as it is."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


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
            return {_redact_text(str(k)): _redact_fact(str(k), v) for k, v in value.items()}
        case list() | tuple():
            return [redact(item) for item in value]
        case None | bool() | int() | float():
            return value
        case _:
            return _redact_text(str(value))


def _redact_fact(name: str, value: Any) -> Any:
    if is_secret_option(name, value):
        return HIDDEN
    a_hash = isinstance(value, str) and _HASH_NAME.search(name) and _SHA256_ALONE.fullmatch(value)
    return hide_known(value) if a_hash else redact(value)


def is_secret_option(name: str, value: Any) -> bool:
    """Tell whether an option's name makes its value, a list or mapping too, a secret; a count of tokens is none."""
    if value is None or isinstance(value, bool) or not is_secret_name(name):
        return False
    return not (isinstance(value, int | float) and is_count(name, value))


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
    text = _DIGEST.sub(rf"\1{HIDDEN}", _URL_LOGIN.sub(rf"\1{HIDDEN}@", text))
    text = _CURL_LOGIN.sub(rf"\1{HIDDEN}", hide_pairs(text))
    text = _SCHEME.sub(rf"\1\2{HIDDEN}", text)
    return _WEBHOOK.sub(rf"\1{HIDDEN}", text)


def login_of(address: str) -> str | None:
    """The password in an address, None without one."""
    found = _PASSWORD.search(address)
    return found.group(1) if found else None


def _redact_text(text: str) -> str:
    text = hide_named(text)
    for shape in _SHAPES:
        text = shape.sub(HIDDEN, text)
    text = _HEX.sub(_hide_hex, text)
    return _LONG.sub(_hide_mixed, text)


def _hide_hex(match: re.Match[str]) -> str:
    """A sha256 stays directly behind a word that says so."""
    digits = match.group()
    before = match.string[max(0, match.start() - 24) : match.start()]
    return digits if len(digits) == _SHA256 and _HASH_WORD.search(before) else HIDDEN


def _hide_mixed(match: re.Match[str]) -> str:
    """Digits, capitals and small letters that change places every few characters are a key; paths and ids are words."""
    text = match.group()
    if _is_mixed(text):
        return HIDDEN
    return "/".join(HIDDEN if len(part) >= _SHORTEST_PART and _is_mixed(part) else part for part in text.split("/"))


def _is_mixed(text: str) -> bool:
    text = _OWN_ID.sub("", text)
    if not (any(map(str.isupper, text)) and any(map(str.islower, text))):
        return False
    words = WORD.findall(text)
    most = _LETTERS_A_WORD if any(map(str.isdigit, text)) else _LETTERS_WITHOUT_DIGITS
    return sum(map(len, words)) < most * len(words)


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
