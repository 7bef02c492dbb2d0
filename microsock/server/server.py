"""``Server``: an app on an address. Run it here, in a thread, or turn by turn from another loop."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import signal
import socket as _socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Self

from ..app import App
from ..errors import SetupError
from ..request import Address
from ..settings import Settings, from_environment, resolve
from .addresses import parse_address, shown
from .binding import bind
from .service import Service
from .signals import StoppedAtOnce, stop_signals

__all__ = ["Server"]


class Server:
    """Serves one app on one address.

    ``run`` serves until it is told to stop. An outside loop (asyncio, a GUI, another selector) drives the server
    instead: it watches ``fileno()`` for reading, calls ``step()`` when that is readable or ``next_timeout()``
    seconds have passed. As a context manager it shuts down at the end of the block.

    Args:
        app: what answers.
        address: ``host``, ``host:port``, ``:port``, ``[::1]:port`` or ``tcp://host:port``; every address of a
            host name is bound.
        port: if the address has none; 0 for a free one, which ``port`` then tells; 8080 by default.
        autostart: bind now; otherwise ``start`` or ``run`` does.
        options: not supported yet.
        sock: a TCP socket that is bound already, to listen on instead of the address; the server closes it.
        flags: settings as the command line gave them, which even the environment does not override.
        settings: any setting by its name. The environment (``MICROSOCK_…``) comes first, then these, then what
            the app was made with.

    Raises ``BadSetting``, ``SetupError`` and, where it binds, ``BindError`` or ``PortInUseError``.
    """

    def __init__(
        self,
        app: App,
        address: str = "127.0.0.1",
        port: int | None = None,
        *,
        autostart: bool = True,
        options: Mapping[str, object] | None = None,
        sock: _socket.socket | None = None,
        flags: Mapping[str, object] | None = None,
        **settings: object,
    ) -> None:
        if options is not None:
            raise SetupError("options= is not supported yet")
        self.app = app
        self.settings: Settings = resolve(flags or {}, from_environment(os.environ), settings, app.settings_given)
        self._sock = sock
        self._addresses = [parse_address(address, port) if sock is None else _address_of(_checked(sock))]
        self._service: Service | None = None
        # Held by the thread that takes turns; ``_driver`` says which one that is.
        self._turns = threading.Lock()
        self._driver: int | None = None
        self._stopping = False
        if autostart:
            self.start()

    def start(self) -> Self:
        """Bind and listen, unless that is done. The app's start hooks run later, at the first turn."""
        self._started()
        return self

    def run(self, timeout: float | None = None, sleep: float = 0.0, simultaneous: bool = False) -> None:
        """Serve until ``shutdown``, SIGINT or SIGTERM (signals only in the main thread), and all is closed.

        Args:
            timeout: the longest one turn may wait for news, in seconds; None as long as it takes.
            sleep: seconds to rest between turns.
            simultaneous: not supported yet.

        Raises ``SetupError`` if a start hook fails, ``KeyboardInterrupt`` at a second SIGINT.
        """
        if simultaneous:
            raise SetupError("simultaneous=True is not supported yet")
        turn = self._turn(wait=self._stopping)
        with turn as service, _cut_on_error(service), stop_signals(self.shutdown, service.loop.signal_fileno()):
            while not service.finished:
                service.step(timeout)
                if sleep:
                    time.sleep(sleep)

    def step(self, timeout: float | None = 0.0) -> int:
        """One turn: wait for news up to ``timeout`` seconds, handle it, give the number of events handled.

        The first turn runs the app's start hooks. After the server has stopped it does nothing and gives 0.
        Raises ``SetupError`` if a start hook fails.
        """
        if self._finished:
            return 0
        with self._turn(wait=self._stopping) as service:
            return service.step(timeout)

    def next_timeout(self) -> float | None:
        """Seconds until ``step`` must be called though nothing is readable; None if that is not needed."""
        return None if self._service is None else self._service.next_timeout()

    def fileno(self) -> int:
        """What an outside loop watches for reading: readable when ``step`` has news. -1 before and after."""
        return -1 if self._service is None or self._service.loop.closed else self._service.loop.fileno()

    def shutdown(self, kill: bool = False, timeout: float = 10.0) -> None:
        """Stop: accept who waits already, close the listener, let what runs end, close all. May be called again.

        What is still open after the ``grace`` setting is cut; with ``kill`` after ``timeout`` seconds. From
        another thread, a signal handler or a handler of the app it only asks, and returns at once. Where nobody
        is in ``run`` or ``step``, it takes the turns itself, for ``timeout`` seconds at most.
        """
        service = self._service
        if service is None or service.finished:
            return
        self._stopping = True
        service.ask_to_stop(timeout if kill else self.settings.grace)
        if self._take_turns(wait=False):
            try:
                service.run_until(service.loop.timers.now() + timeout)
            finally:
                self._leave_turns()

    def post(self, callback: Callable[[], object]) -> None:
        """Have this called in a later turn, after the start hooks; from any thread.

        Raises ``Overloaded`` when too many calls wait. Never called if the server stops before.
        """
        self._started().loop.post(callback)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.shutdown()
        # If another thread is in run(), that comes to its end first.
        with self._turn(wait=True) as service:
            service.run_until(math.inf)

    @property
    def is_listening(self) -> bool:
        """Whether new clients can connect."""
        return self.id != -1

    @property
    def id(self) -> int:
        """The file descriptor of the listening socket; -1 if there is none."""
        return -1 if self.socket is None else self.socket.fileno()

    @property
    def socket(self) -> _socket.socket | None:
        """The listening socket (the first, if a host name has several addresses); None before ``start``."""
        return None if self._service is None else self._service.listener.sockets[0]

    @property
    def address(self) -> Address:
        """Where it listens, or listened; before ``start`` where it is going to."""
        return self._addresses[0]

    @property
    def addresses(self) -> list[Address]:
        """All addresses, of which ``address`` is the first."""
        return list(self._addresses)

    @property
    def port(self) -> int:
        """The port of ``address``: the real one, also where 0 was asked for."""
        return self.address.port

    def set_timeout(self, seconds: float, microseconds: int = 0) -> Self:
        """Set the deadlines of an idle connection and of a request's head, for connections from now on."""
        total = seconds + microseconds / 1_000_000
        given = {"keep_alive_timeout": total, "head_timeout": total}
        self.settings = resolve(given, dataclasses.asdict(self.settings))
        if self._service is not None:
            self._service.site.settings = self.settings
        return self

    def set_rate_limit(self, max_requests: int, time_window: float) -> Self:
        """Not supported yet."""
        raise SetupError("set_rate_limit() is not supported yet")

    def set_max_processes(self, processes: int) -> Self:
        """Not supported yet."""
        raise SetupError("set_max_processes() is not supported yet")

    def __repr__(self) -> str:
        return f"<Server {shown(self.address)}>"

    def _started(self) -> Service:
        if self._service is None:
            backlog = self.settings.backlog
            sockets = bind(self._addresses[0], backlog) if self._sock is None else [_listening(self._sock, backlog)]
            self._addresses = [_address_of(sock) for sock in sockets]
            self._service = Service(self.app, self.settings, sockets)
        return self._service

    @property
    def _finished(self) -> bool:
        return self._service is not None and self._service.finished

    @contextlib.contextmanager
    def _turn(self, wait: bool) -> Iterator[Service]:
        if not self._take_turns(wait):
            raise RuntimeError("this server is run already, by another thread or by the caller of this handler")
        try:
            yield self._started()
        finally:
            self._leave_turns()

    def _take_turns(self, wait: bool) -> bool:
        if self._driver == threading.get_ident() or not self._turns.acquire(blocking=wait):
            return False
        self._driver = threading.get_ident()
        return True

    def _leave_turns(self) -> None:
        if self._service is not None and self._service.finished:
            self._service.loop.close()
        self._driver = None
        self._turns.release()


@contextlib.contextmanager
def _cut_on_error(service: Service) -> Iterator[None]:
    # Whatever ends run() before its time leaves nothing open. A second SIGTERM asked for just that.
    try:
        yield
    except BaseException as error:
        service.stop_at_once()
        if not (isinstance(error, StoppedAtOnce) and error.signum == signal.SIGTERM):
            raise


def _checked(sock: _socket.socket) -> _socket.socket:
    if sock.family not in (_socket.AF_INET, _socket.AF_INET6) or sock.type != _socket.SOCK_STREAM:
        raise SetupError(f"sock is {sock!r}; expected a TCP socket")
    return sock


def _address_of(sock: _socket.socket) -> Address:
    return Address(*sock.getsockname()[:2])


def _listening(sock: _socket.socket, backlog: int) -> _socket.socket:
    sock.setblocking(False)
    sock.listen(backlog)
    return sock
