"""From an accepted socket to a transport: at once where plain HTTP is spoken, after a handshake for TLS.

Knows no connection: it tells who may come in, and who has left before.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ..request import Address
from .loop import Loop
from .sockets import SocketTransport

if TYPE_CHECKING:
    from .certificates import Certificates
    from .tls import Handshake, TlsTransport

__all__ = ["Reception"]

# How long a handshake has to end when the server stops: as an idle connection for a request that is on its way.
_DRAIN = 0.5


class Reception:
    """Takes what a listener has accepted.

    Args:
        loop: watches the sockets.
        tls_timeout: seconds for a whole handshake.
        welcome: called with the transport of a client, its address and the scheme; its errors close the transport.
        left: called with the address of a client that was accepted but is never welcomed.
    """

    def __init__(
        self,
        loop: Loop,
        tls_timeout: float,
        *,
        welcome: Callable[[SocketTransport, Address, str], object],
        left: Callable[[Address], object],
    ) -> None:
        self._loop = loop
        self._tls_timeout = tls_timeout
        self._welcome = welcome
        self._left = left
        self._handshakes: set[Handshake] = set()
        self._draining = False

    @property
    def waiting(self) -> int:
        """How many handshakes are not done."""
        return len(self._handshakes)

    def receive(self, sock: socket.socket, client: Address, certificates: Certificates | None) -> None:
        """A client has come, over a socket that speaks TLS if there are certificates for it."""
        if certificates is None:
            self._let_in(SocketTransport(sock, self._loop), client, "http")
            return
        from .tls import Handshake  # loaded with the certificates

        done = partial(self._shaken, client)
        try:
            handshake = Handshake(sock, certificates.context, self._loop, seconds=self._tls_timeout, done=done)
        except (OSError, ValueError):
            # It is gone already.
            sock.close()
            self._left(client)
            return
        self._handshakes.add(handshake)
        if self._draining:
            handshake.hurry(_DRAIN)

    def drain(self) -> None:
        """The server stops: who is in the middle of a handshake has half a second to end it."""
        self._draining = True
        for handshake in self._handshakes:
            handshake.hurry(_DRAIN)

    def abort(self) -> None:
        """Give all handshakes up."""
        for handshake in list(self._handshakes):
            handshake.abort()

    def forget(self) -> None:
        """In a forked process: close its copies of the sockets."""
        for handshake in self._handshakes:
            handshake.forget()

    def dispose(self) -> None:
        """Refer no more to whom it lets in for; nobody comes after this."""
        self._welcome = self._left = _nobody

    def _shaken(self, client: Address, handshake: Handshake, transport: TlsTransport | None) -> None:
        self._handshakes.discard(handshake)
        if transport is None:
            self._left(client)
            return
        try:
            self._let_in(transport, client, "https")
        except Exception:
            self._left(client)
            raise

    def _let_in(self, transport: SocketTransport, client: Address, scheme: str) -> None:
        try:
            self._welcome(transport, client, scheme)
        except BaseException:
            transport.close()
            raise


def _nobody(*arguments: object) -> None:
    """In the place of who was to be called."""
