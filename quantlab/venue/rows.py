"""Rows of a venue's answers, read by name and kind; a field that is missing or of another kind is a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from quantlab.core.errors import DataError

_FIX = "look at the venue's answer: its format has changed, or it broke off"


class Row:
    """One object of an answer.

    Parameters
    ----------
    sent : object
        As JSON gave it.
    what : str
        For messages: ``"an order"``.

    Raises
    ------
    DataError
        If it is no object.
    """

    def __init__(self, sent: object, what: str) -> None:
        if not isinstance(sent, Mapping):
            raise DataError(f"{what} as a JSON object", found=type(sent).__name__, fix=_FIX)
        self.sent, self.what = sent, what

    def text(self, name: str) -> str:
        """A text that is not empty; a whole number as its digits."""
        value = self._value(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, str) and value:
            return value
        raise self._wrong(name, "text", value)

    def optional(self, name: str) -> str | None:
        """A text; None where it is missing, empty, null or 0."""
        value = self.sent.get(name)
        return None if value in (None, "", 0, "0") else self.text(name)

    def decimal(self, name: str) -> Decimal:
        """A finite number, from text or from a JSON number as it was written."""
        value = self._value(name)
        try:
            number = Decimal(value if isinstance(value, str) else repr(value))
        except InvalidOperation:
            raise self._wrong(name, "a number", value) from None
        if isinstance(value, bool) or not number.is_finite():
            raise self._wrong(name, "a number", value)
        return number

    def whole(self, name: str) -> int:
        """A whole number, from JSON or from its digits."""
        value = self._value(name)
        if isinstance(value, str) and value.isdecimal() and len(value) < 20:
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise self._wrong(name, "a whole number", value)

    def flag(self, name: str) -> bool:
        """True or false, from JSON or from its text."""
        value = self._value(name)
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if isinstance(value, bool):
            return value
        raise self._wrong(name, "true or false", value)

    def _value(self, name: str) -> Any:
        if name not in self.sent:
            raise DataError(f"{name} in {self.what}", found="none", fix=_FIX)
        return self.sent[name]

    def _wrong(self, name: str, expected: str, value: object) -> DataError:
        return DataError(f"{name} of {self.what} as {expected}", found=repr(value)[:80], fix=_FIX)


def rows_of(sent: object, what: str) -> list[Row]:
    """The rows of a list.

    Parameters
    ----------
    sent : object
        As JSON gave it.
    what : str
        One row, for messages.

    Raises
    ------
    DataError
        If it is no list of objects.
    """
    if not isinstance(sent, list):
        raise DataError(f"a list, each of it {what}", found=type(sent).__name__, fix=_FIX)
    return [Row(one, what) for one in sent]
