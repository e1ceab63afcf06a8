"""Key and secret of an account: the configuration names variables, the environment has their values, nothing shows them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from quantlab.core.errors import ConfigError
from quantlab.core.redaction import hide_values
from quantlab.core.secrets.texts import HIDDEN

#: Capitals, as variables are written: a key that somebody put in place of a name has small letters among them.
_NAME = re.compile(r"[A-Z][A-Z0-9_]{2,59}")
#: Visible ASCII; a private key in PEM has lines.
_VALUE = re.compile(r"[!-~]{5,512}|-----BEGIN [A-Z ]+-----[!-~\s]{20,8000}")


@dataclass(frozen=True)
class KeyNames:
    """Names of the variables that hold an account's key and secret.

    Parameters
    ----------
    key, secret : str
        E.g. ``QUANTLAB_BINANCE_KEY``.

    Raises
    ------
    ConfigError
        If one is no name of a variable; what stands there is not shown.
    """

    key: str
    secret: str

    def __post_init__(self) -> None:
        for field, name in (("key", self.key), ("secret", self.secret)):
            if not isinstance(name, str) or _NAME.fullmatch(name) is None:
                raise ConfigError(
                    f"execution.venue.adapter.keys.{field} as the name of a variable, e.g. QUANTLAB_BINANCE_KEY",
                    found=f"something else ({HIDDEN}, lest it be the {field} itself)",
                    fix=f"put the {field} into the environment, and the variable's name here",
                )


@dataclass(frozen=True, repr=False)
class Keys:
    """Values of a key and its secret, which no text shows.

    Parameters
    ----------
    key, secret : str
    """

    key: str
    secret: str

    def __repr__(self) -> str:
        return f"Keys({HIDDEN})"


def read_keys(names: KeyNames, environment: Mapping[str, str]) -> Keys:
    """Read key and secret; from now on :func:`~quantlab.core.redaction.redact` takes both out of every text.

    Parameters
    ----------
    names : KeyNames
    environment : mapping
        Of the process.

    Raises
    ------
    ConfigError
        If a variable is not set, is empty or holds no key; the message names the variable, never its value.
    """
    values = [_read(name, environment) for name in (names.key, names.secret)]
    hide_values(values)
    return Keys(*values)


def _read(name: str, environment: Mapping[str, str]) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise ConfigError(
            f"the variable {name}",
            found="none" if name not in environment else "an empty one",
            fix=f"set {name} in the environment of this process",
        )
    if _VALUE.fullmatch(value) is None:
        raise ConfigError(
            f"a key in the variable {name}: 5 to 512 visible characters",
            found=f"something else ({HIDDEN})",
            fix=f"set {name} anew",
        )
    return value
