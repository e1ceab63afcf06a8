"""One request on its way through an endpoint: who asks, with which parameters, of which venue, and when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from quantlab.simulator.engine.listing import Listing
from quantlab.simulator.engine.refusals import Refused
from quantlab.simulator.engine.venue import Venue
from quantlab.simulator.surface.books import Books
from quantlab.simulator.surface.scale import Scale
from quantlab.simulator.wire.limits import Limits
from quantlab.simulator.wire.listen_keys import ListenKeys
from quantlab.simulator.wire.messages import Now, RefusedError
from quantlab.simulator.wire.parameters import Parameters
from quantlab.simulator.wire.signing import ApiKey, Security

Answer = TypeVar("Answer")


class Call(NamedTuple):
    """An authenticated request.

    Parameters
    ----------
    venue : Venue
    key : ApiKey
        Of a public endpoint: one without rights.
    parameters : Parameters
    now : Now
    listen_keys : ListenKeys
    limits : Limits
    books : Books
    address : str
        The client's.
    """

    venue: Venue
    key: ApiKey
    parameters: Parameters
    now: Now
    listen_keys: ListenKeys
    limits: Limits
    books: Books
    address: str

    @property
    def account(self) -> str:
        """The account's name."""
        return self.key.account

    def with_parameters(self, pairs: dict[str, str]) -> Call:
        """The same call with other parameters: one order of a batch."""
        return self._replace(parameters=Parameters(pairs))

    def listing(self, name: str = "symbol") -> Listing:
        """The symbol that a parameter must name.

        Raises
        ------
        RefusedError
            -1102 without one, -1121 for a symbol that is not listed.
        """
        return known_listing(self.venue, self.parameters.text(name))

    def optional_listing(self) -> Listing | None:
        """The symbol that a parameter may name.

        Raises
        ------
        RefusedError
            -1121 for a symbol that is not listed.
        """
        symbol = self.parameters.optional("symbol")
        return None if symbol is None else known_listing(self.venue, symbol)

    def scale(self, symbol: str) -> Scale:
        """Steps of a symbol."""
        return scale_of(self.venue, symbol)


#: An endpoint: from a call to a document for JSON.
Handler = Callable[[Call], Any]
#: Weight of a request by its parameters.
WeightOf = Callable[[Mapping[str, str]], int]


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint.

    Parameters
    ----------
    handler : Handler
    weight : int or callable
        Of a request, the latter from its unread parameters.
    security : Security
    orders : int
        Orders that it counts as.
    """

    handler: Handler
    weight: int | WeightOf = 1
    security: Security = Security.NONE
    orders: int = 0


Routes = Mapping[tuple[str, str], Route]
#: The key of a request that needs none.
NOBODY = ApiKey("", "", "", can_trade=False)


def routes(table: dict[tuple[str, str], Route]) -> Routes:
    """A table of endpoints that nobody can change."""
    return MappingProxyType(table)


def known_listing(venue: Venue, symbol: str) -> Listing:
    """A listed symbol.

    Raises
    ------
    RefusedError
        -1121 for another one.
    """
    listing = venue.listings.get(symbol)
    if listing is None:
        raise RefusedError(-1121, "Invalid symbol.")
    return listing


def scale_of(venue: Venue, symbol: str) -> Scale:
    """Steps of a symbol."""
    grid = venue.listings[symbol].grid
    return Scale(grid.tick, grid.lot)


def taken(answer: Answer | Refused) -> Answer:
    """The venue's answer.

    Raises
    ------
    RefusedError
        If it is a refusal.
    """
    if isinstance(answer, Refused):
        raise RefusedError(answer.code, answer.message)
    return answer


def done(answer: Refused | None) -> None:
    """Nothing, where the venue has nothing against it.

    Raises
    ------
    RefusedError
        If it has.
    """
    if answer is not None:
        raise RefusedError(answer.code, answer.message)


def by_symbol(one: int, all_of_them: int) -> WeightOf:
    """Weight of a list of one symbol, and of all."""
    return lambda pairs: one if "symbol" in pairs else all_of_them
