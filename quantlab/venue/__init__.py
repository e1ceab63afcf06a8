"""An account at a real exchange behind the port :class:`~quantlab.core.ports.venue.Venue`, through ccxt."""
