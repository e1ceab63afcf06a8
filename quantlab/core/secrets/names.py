"""Names under which secrets stand: those of options, variables, headers and parameters of addresses."""

from __future__ import annotations

import re

#: Parts of a name, written together and in lower case, that make it a secret's.
_SECRET_PART = re.compile(
    r"secret|passw|passphrase|token|apikey|accesskey|privatekey|listenkey|encryptionkey|signingkey|mnemonic|seedphrase"
    r"|authorization|authentication|signature|cookie|credential|sessionid|webhook"
)
#: Whole words of a name that make it a secret's; `signal`, `design` and `bypass` are none of them.
_SECRET_WORDS = frozenset({"sign", "sig", "pwd", "pass", "pin", "otp", "totp", "auth", "jwt", "bearer", "hmac"})
#: Words that make a name secret which ends with `key`.
_KEY_WORDS = frozenset(
    [
        "access",
        "account",
        "aes",
        "app",
        "application",
        "auth",
        "client",
        "consumer",
        "deploy",
        "gpg",
        "host",
        "license",
        "master",
        "pgp",
        "rsa",
        "server",
        "service",
        "shared",
        "ssh",
        "storage",
        "user",
        "wallet",
    ]
)
#: Beginnings of names that have such a part in them and are no secret's: a kind of asset that a universe excludes.
_HARMLESS = ("leveragedtoken",)
#: Names under which a small number is a count, or a number of its own.
_COUNTED = re.compile(r"tokens?$|session_?id$|cookies$|sign|sig|auth|passe?s?$|pin", re.IGNORECASE)
_COUNT = 1_000
#: One word of a name, in camel case too. Its only plain repetition gives back one letter at most.
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]++|[0-9]++")
#: Longest name that is looked at; names of options and headers are shorter.
_LONGEST_NAME = 80


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
    words = [word.lower() for word in WORD.findall(name)]
    return bool(_SECRET_WORDS.intersection(words)) or (words[-1:] == ["key"] and bool(_KEY_WORDS.intersection(words)))


def is_count(name: str, number: float) -> bool:
    """Tell whether a small number under this name counts something: `max_tokens=5`, `session_id: 7`."""
    return abs(number) < _COUNT and _COUNTED.search(name[-_LONGEST_NAME:]) is not None
