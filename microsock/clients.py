"""Who is connected, in the sense of the routes ``/connect`` and ``/disconnect``: ``app.clients``.

That is a mark that clients carry from request to request, no open connection. Where the marks are kept is a
``ClientTable``; the one that several workers share is on the floors above.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from .errors import HTTPError
from .failures import log_failure, reraise_if_fatal
from .log import printable
from .networks import client_network
from .request import NOBODY, Address, Request
from .response import Response
from .signatures import handler_name

__all__ = ["Client", "ClientTable", "Clients", "MemoryTable"]

# A mark has a place of fixed size in the memory that workers share.
LONGEST_KEY = 96


class Client:
    """Somebody who uses the app, from one request to the next.

    Attributes:
        key: what tells clients apart: the address (of IPv6 its /64), or what the setting ``client_key`` says.
        address: where from it has connected; without port and host where only its key is known.
        request: the request that is being answered; None otherwise.
    """

    __slots__ = ("_address", "_key", "_request")

    def __init__(self, key: str, address: Address = NOBODY, request: Request | None = None) -> None:
        self._key = key
        self._address = address
        self._request = request

    @property
    def key(self) -> str:
        """What tells clients apart."""
        return self._key

    @property
    def address(self) -> Address:
        """Where from it has connected."""
        return self._address

    @property
    def request(self) -> Request | None:
        """What is being answered; it makes no difference between two that are otherwise equal."""
        return self._request

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Client) and (self._key, self._address) == (other._key, other._address)

    def __hash__(self) -> int:
        return hash((self._key, self._address))

    def __repr__(self) -> str:
        return f"Client(key={self._key!r}, address={self._address!r})"


class ClientTable(Protocol):
    """Where the marks are kept. Every method may be called from any thread."""

    def add(self, client: Client, dropped: Callable[[Client], object] | None = None) -> bool:
        """Mark a client; whether it is new. ``dropped`` is called with the client whose mark makes room for it."""
        ...

    def remove(self, key: str) -> Client | None:
        """Take a mark away; gives whose it was to one caller, None to all others."""
        ...

    def __contains__(self, key: str) -> bool: ...

    def all(self) -> list[Client]:
        """Everyone who is marked."""
        ...


class MemoryTable:
    """Marks in this process; past ``room`` of them the oldest go."""

    def __init__(self, room: int = 32_768) -> None:
        self._room = room
        self._clients: dict[str, Client] = {}

    def add(self, client: Client, dropped: Callable[[Client], object] | None = None) -> bool:
        """As ``ClientTable.add``."""
        new, fallen = client.key not in self._clients, None
        if new and len(self._clients) >= self._room:
            fallen = self._clients.pop(next(iter(self._clients)), None)
        self._clients[client.key] = Client(client.key, client.address)
        if fallen is not None and dropped is not None:
            dropped(fallen)
        return new

    def remove(self, key: str) -> Client | None:
        """As ``ClientTable.remove``."""
        return self._clients.pop(key, None)

    def __contains__(self, key: str) -> bool:
        return key in self._clients

    def all(self) -> list[Client]:
        """As ``ClientTable.all``, the oldest first."""
        return list(self._clients.values())


class Clients:
    """The clients that are connected, in all workers. Iterating gives a ``Client`` for each.

    Any thread may ask and change it.
    """

    def __init__(self) -> None:
        self._key: Callable[..., str] | None = None
        self._tell: Callable[[Client], object] | None = None
        self.dropped = 0
        """Marks that this process has dropped, the oldest, since there was no room; their clients connect again."""
        self._table: ClientTable = MemoryTable()

    def on(self, address: str) -> bool:
        """Count a client as connected, by its address or what ``client_key`` calls it; whether it was not before.

        No handler is called. Raises ``ValueError`` for an empty one or one over 96 bytes.
        """
        return self.add(Client(self._known_as(checked_key(address))))

    def off(self, address: str) -> bool:
        """Count it as connected no more; whether it was. No handler is called, and no rate limit begins anew."""
        return self._table.remove(self._known_as(address)) is not None

    def __contains__(self, address: object) -> bool:
        return isinstance(address, str) and self._known_as(address) in self._table

    def __iter__(self) -> Iterator[Client]:
        return iter(self._table.all())

    def __len__(self) -> int:
        return len(self._table.all())

    def __repr__(self) -> str:
        return f"<Clients: {len(self)} connected>"

    # For the floors above.

    def keep_in(
        self,
        table: ClientTable | None,
        key: Callable[..., str] | None,
        dropped: Callable[[Client], object] | None = None,
    ) -> None:
        """Keep the marks elsewhere from now on; None: where they are.

        Args:
            table: where.
            key: what tells clients apart, instead of their addresses.
            dropped: called with each client whose mark had to make room for another.
        """
        self._key = key
        self._tell = dropped
        if table is not None and table is not self._table:
            for client in self._table.all():
                table.add(client, self._drop)
            self._table = table

    def tell_no_more(self, dropped: Callable[[Client], object]) -> None:
        """Let go of what ``keep_in`` was given, if nobody else has given another since."""
        if self._tell == dropped:
            self._tell = None

    def of(self, request: Request) -> Client:
        """Who makes a request. Raises ``HTTPError`` 400 where ``client_key`` gives what is no key."""
        if self._key is None:
            # As limits count them: one machine may have all of an IPv6 network.
            return Client(client_network(request.client.host) or "-", request.client, request)
        key = self._key(request)
        if not isinstance(key, str):
            raise TypeError(f"client_key {handler_name(self._key)!r} returned {key!r:.60}; return a str")
        try:
            return Client(checked_key(key), request.client, request)
        except ValueError as error:
            # Often it is taken from what the peer says of itself.
            raise HTTPError(400, str(error)) from None

    def _known_as(self, address: str) -> str:
        return address if self._key is not None else client_network(address)

    def _drop(self, client: Client) -> None:
        self.dropped += 1
        if self._tell is not None:
            self._tell(client)

    def add(self, client: Client) -> bool:
        """``on``, with what is known of the client."""
        return self._table.add(client, self._drop)

    def remove(self, key: str) -> Client | None:
        """``off``, which tells whose mark it was: to one caller of all in all workers."""
        return self._table.remove(key)

    def leave(self, handlers: list[Callable[[Client], Any]]) -> None:
        """The server stops: disconnect each client, and tell the handlers. One that raises is logged."""
        for client in self._table.all():
            gone = self._table.remove(client.key)
            if gone is not None:
                tell_gone(handlers, gone)


def checked_key(key: str) -> str:
    """What may be a client's key. Raises ``TypeError`` or ``ValueError``."""
    if not isinstance(key, str):
        raise TypeError(f"a client is known by a str, not {key!r:.60}")
    if not 0 < len(key.encode(errors="surrogatepass")) <= LONGEST_KEY:
        raise ValueError(f"a client's key has 1 to {LONGEST_KEY} bytes")
    return key


def connect_client(clients: Clients, handler: Callable[[Client, Clients], Any], request: Request) -> Any:
    """The answer to a connect route: ``handler`` may refuse by False, a Response or an ``HTTPError``."""
    client = clients.of(request)
    value = handler(client, clients)
    if value is False:
        raise HTTPError(403, "this client may not connect")
    if isinstance(value, Response):
        return value
    clients.add(client)
    return _text("connected") if value is None or value is True else value


def disconnect_client(clients: Clients, handler: Callable[[Client], Any], request: Request) -> Any:
    """The answer to a disconnect route: ``handler`` hears of a client that was connected, once."""
    asked = clients.of(request)
    gone = clients.remove(asked.key)
    value = None if gone is None else handler(Client(gone.key, gone.address, request))
    return _text("disconnected") if value is None or value is True else value


def _text(words: str) -> Response:
    return Response(f"{words}\n", content_type="text/plain; charset=utf-8")


def tell_gone(handlers: list[Callable[[Client], Any]], client: Client) -> None:
    """Tell the ``@app.disconnect`` handlers of a client that no request has disconnected. One that raises is logged."""
    for handler in handlers:
        try:
            handler(client)
        except BaseException as error:
            reraise_if_fatal(error)
            log_failure(error, "@app.disconnect %r raised for %s", handler_name(handler), printable(client.key))
