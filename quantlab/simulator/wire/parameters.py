"""Parameters of one request: read by name and kind, refused in the venue's words (-1100 to -1130).

Decimal text becomes :class:`~decimal.Decimal`, never a float. Booleans arrive as text, ``true`` from most clients and
``True`` from those that print Python's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from urllib.parse import unquote_plus

from quantlab.simulator.wire.messages import RefusedError

#: Shape of a number as text, which refusals quote.
DECIMAL_SHAPE = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
#: Shape of a client's own order id.
CLIENT_ID_SHAPE = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"
_DECIMAL, _CLIENT_ID, _WHOLE = re.compile(DECIMAL_SHAPE), re.compile(CLIENT_ID_SHAPE), re.compile(r"[0-9]{1,19}")


def whole_number(text: str) -> int | None:
    """A whole number from plain digits; None for any other text.

    Python's own ``int`` also takes blanks, signs and digits of other scripts, and gives up at thousands of digits.

    Examples
    --------
    >>> whole_number("500"), whole_number("+5"), whole_number("\u00b2"), whole_number("9" * 20)
    (500, None, None, None)
    """
    return int(text) if _WHOLE.fullmatch(text) else None


def parse_pairs(*texts: str) -> dict[str, str]:
    """Names and values of raw query and body texts, in their order; where both have a name the first text counts.

    Raises
    ------
    RefusedError
        -1101 if a name is twice in one text.

    Examples
    --------
    >>> parse_pairs("symbol=BTCUSDT&side=BUY", "newClientOrderId=a%2Fb&side=SELL")
    {'symbol': 'BTCUSDT', 'side': 'BUY', 'newClientOrderId': 'a/b'}
    """
    pairs: dict[str, str] = {}
    for text in texts:
        if not text:
            continue
        earlier, pairs = pairs, {}
        for part in text.split("&"):
            if not part:
                continue
            name, _, value = part.partition("=")
            if "%" in part or "+" in part:
                name, value = unquote_plus(name), unquote_plus(value)
            if name in pairs:
                raise RefusedError(-1101, "Duplicate values for a parameter detected.")
            pairs[name] = value
        if earlier:
            pairs = {**earlier, **{name: value for name, value in pairs.items() if name not in earlier}}
    return pairs


class Parameters:
    """Parameters of a request, which remember which of them were read.

    Parameters
    ----------
    pairs : dict
        Names and decoded values.
    """

    def __init__(self, pairs: dict[str, str]) -> None:
        self._pairs = pairs
        self._read: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._pairs

    def text(self, name: str) -> str:
        """A value that must be there.

        Raises
        ------
        RefusedError
            -1102 if it is missing, -1105 if it is empty.
        """
        value = self.optional(name)
        if value is None:
            raise RefusedError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        return value

    def optional(self, name: str) -> str | None:
        """A value, or None where it was not sent.

        Raises
        ------
        RefusedError
            -1105 if it is empty.
        """
        value = self._pairs.get(name)
        if value is None:
            return None
        self._read.add(name)
        if not value:
            raise RefusedError(-1105, f"Parameter '{name}' was empty.")
        return value

    def decimal(self, name: str) -> Decimal | None:
        """An exact number, or None.

        Raises
        ------
        RefusedError
            -1100 if its text is no plain decimal number: no sign, no exponent, no blank.
        """
        value = self.optional(name)
        if value is None:
            return None
        if not _DECIMAL.fullmatch(value):
            raise RefusedError(
                -1100, f"Illegal characters found in parameter '{name}'; legal range is '{DECIMAL_SHAPE}'."
            )
        return Decimal(value)

    def whole(self, name: str) -> int | None:
        """A whole number, or None.

        Raises
        ------
        RefusedError
            -1102 if its text is no whole number.
        """
        value = self.optional(name)
        if value is None:
            return None
        number = whole_number(value)
        if number is None:
            raise RefusedError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        return number

    def count(self, name: str, default: int, largest: int) -> int:
        """A number of rows, from 1 to `largest`.

        Raises
        ------
        RefusedError
            -1130 if it is outside.
        """
        value = self.whole(name)
        if value is None:
            return default
        if not 1 <= value <= largest:
            raise RefusedError(-1130, f"Data sent for parameter '{name}' is not valid.")
        return value

    def flag(self, name: str) -> bool | None:
        """True or False from its text in any case, or None.

        Raises
        ------
        RefusedError
            -1102 if it is another word.
        """
        value = self.optional(name)
        if value is None:
            return None
        if value.lower() not in ("true", "false"):
            raise RefusedError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        return value.lower() == "true"

    def choice(self, name: str, words: Iterable[str], code: int, message: str) -> str | None:
        """One of `words`, or None; another word is refused with `code` and `message`."""
        value = self.optional(name)
        if value is not None and value not in words:
            raise RefusedError(code, message)
        return value

    def client_id(self, name: str) -> str | None:
        """A client's own id, or None.

        Raises
        ------
        RefusedError
            -4015 if it is too long, -1100 if it has other characters.
        """
        value = self.optional(name)
        if value is None or _CLIENT_ID.fullmatch(value):
            return value
        if len(value) > 36:
            raise RefusedError(-4015, "Client order id length should be less than 36 chars")
        raise RefusedError(
            -1100, f"Illegal characters found in parameter '{name}'; legal range is '{CLIENT_ID_SHAPE}'."
        )

    def require_all_read(self) -> None:
        """Refuse what nobody asked for.

        Raises
        ------
        RefusedError
            -1104 if a parameter was sent that the endpoint does not know.
        """
        known = len(self._read)
        if known != len(self._pairs):
            raise RefusedError(
                -1104,
                f"Not all sent parameters were read; read '{known}' parameter(s) but was sent '{len(self._pairs)}'.",
            )
