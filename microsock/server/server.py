"""``Server``: an app on an address. Run it here, in a thread, or turn by turn from another loop."""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import signal
import socket as _socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from .. import forked
from ..adapters.control import ControlServer, open_control
from ..app import App
from ..errors import BadSetting, BindError
from ..importing import refuse_to_run_server
from ..rates import parse_rate
from ..request import Address
from ..settings import Settings, checked, from_environment, resolve
from .addresses import Place, TcpPlace, UnixPlace, parse_addresses, shown
from .after_fork import let_go_in_children
from .binding import Bound, address_of, bind_places, bound_to, stream_socket
from .commands import ServerCommands
from .elsewhere import check_places
from .options import Options, parse_options
from .service import Service
from .signals import StoppedAtOnce, stop_signals
from .systemd import Notifier

__all__ = ["Server"]

# What a server that nobody has shut down gives its connections when the program ends.
_AT_EXIT_SECONDS = 1.0


class Server:
    """Serves one app on one address.

    ``run`` serves until it is told to stop. An outside loop (asyncio, a GUI, another selector) drives the server
    instead: it watches ``fileno()`` for reading, calls ``step()`` when that is readable or ``next_timeout()``
    seconds have passed. As a context manager it shuts down at the end of the block.

    Args:
        app: what answers.
        address: ``host``, ``host:port``, ``:port``, ``[::1]:port``, ``tcp://host:port``, ``tls://host:port``,
            ``unix:/path`` or ``fd://3``, or a list of them; every address of a host name is bound.
        port: if the address has none; 0 for a free one, which ``port`` then tells; 8080 by default.
        autostart: bind now; otherwise ``start`` or ``run`` does.
        options: what a PHP stream context would say: ``{"socket": {…}, "ssl": {…}}`` or flat; see docs/listening.md.
        sock: a socket that is bound already, to listen on instead of the address; the server closes it.
        bound: what listens already, instead of the address; for a runner that has its sockets from another process.
        flags: settings as the command line gave them, which even the environment does not override.
        settings: any setting by its name. The environment (``MICROSOCK_…``) comes first, then these, then what
            the app was made with.

    Raises ``BadSetting``, ``SetupError`` and, where it binds, ``BindError`` or ``PortInUseError``.
    """

    def __init__(
        self,
        app: App,
        address: str | Sequence[str] = "127.0.0.1",
        port: int | None = None,
        *,
        autostart: bool = True,
        options: Mapping[str, object] | None = None,
        sock: _socket.socket | None = None,
        bound: Sequence[Bound] = (),
        flags: Mapping[str, object] | None = None,
        **settings: object,
    ) -> None:
        self.app = app
        self._options = parse_options(options)
        given = _joined(settings, self._options)
        self.settings: Settings = resolve(flags or {}, from_environment(os.environ), given, app.settings_given)
        self._sock = None if sock is None else stream_socket(sock)
        self._inherited = list(bound)
        self._places = [] if sock or bound else parse_addresses(address, port)
        self._addresses = [address_of(sock)] if sock else [_intended(place) for place in self._places]
        self._addresses += [each.address for each in self._inherited]
        self._urls: list[str] = []
        self._service: Service | None = None
        # Held by the thread that takes turns; ``_driver`` says which one that is.
        self._turns = threading.Lock()
        self._driver: int | None = None
        self._stopping = False
        self._stop_workers: Callable[[float], object] | None = None
        self._control: ControlServer | None = None
        self._says_signal: Callable[[], object] | None = None
        # A fork copies all of this. Only the process that takes the turns, from the first on, may end it.
        self._owner = os.getpid()
        self._owned = False
        self._at_exit = partial(_end, weakref.ref(self))
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
            simultaneous: in so many worker processes as ``set_max_processes`` or the setting ``workers`` says (at
                least two), forked from this one; ``timeout`` and ``sleep`` do not matter then.

        Raises ``SetupError`` if a start hook fails, ``KeyboardInterrupt`` at a second SIGINT.
        """
        refuse_to_run_server(threading.get_ident())
        if simultaneous:
            self._run_workers()
            return
        turn = self._turn(wait=self._stopping)
        with turn as service, _cut_on_error(service), stop_signals(self._signalled, service.loop.signal_fileno()):
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
        is in ``run`` or ``step``, it takes the turns itself, for ``timeout`` seconds at most. In a process that was
        forked from the one that serves it does nothing.
        """
        if os.getpid() != self._owner:
            return
        service = self._service
        if self._stop_workers is not None:
            self._stop_workers(timeout if kill else self.settings.grace)
            return
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
        if os.getpid() != self._owner:
            return
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
        return None if self._service is None else self._service.listener.bound[0].sock

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

    @property
    def urls(self) -> list[str]:
        """Each address with its scheme (``http://127.0.0.1:8080``, ``unix:/path``); none before ``start``."""
        return list(self._urls)

    def reload_certificates(self) -> Self:
        """Read the certificates again, for handshakes from now on; what is wrong with them is logged."""
        if self._service is not None:
            self._service.reload_certificates()
        return self

    def leave_backlog(self) -> None:
        """When it stops, accept nobody more: another process takes its place on the same sockets."""
        if self._service is not None:
            self._service.leaves_backlog = True

    def on_stop_signal(self, callback: Callable[[], object]) -> None:
        """Have this called when a signal asks ``run`` to stop, in the signal handler: whatever runs at the moment.

        It may only do what is safe there: no locks, no buffered streams.
        """
        self._says_signal = callback

    def _signalled(self) -> None:
        if self._says_signal is not None:
            self._says_signal()
        self.shutdown()

    def tell(self, notifier: Notifier) -> None:
        """Have systemd told how it goes, from now on. To be called on the loop, as by ``post``."""
        self._started().tell(notifier)

    def set_timeout(self, seconds: float, microseconds: int = 0) -> Self:
        """Set the deadlines of an idle connection and of a request's head, for connections from now on."""
        total = seconds + microseconds / 1_000_000
        given = {"keep_alive_timeout": total, "head_timeout": total}
        self.settings = resolve(given, self.settings._asdict())
        if self._service is not None:
            self._service.site.settings = self.settings
        return self

    def set_rate_limit(self, max_requests: int, time_window: float) -> Self:
        """Limit each client to so many requests in ``time_window`` seconds: the setting ``rate_limit``.

        Raises ``BadSetting``.
        """
        rate = parse_rate(checked("rate_limit", (max_requests, time_window)))
        self.settings = self.settings._replace(rate_limit=rate)
        if self._service is not None:
            self._service.site.set_gate(rate)
        return self

    def set_max_processes(self, processes: int) -> Self:
        """How many workers ``run(simultaneous=True)`` has: the setting ``workers``. Raises ``BadSetting`` under 1."""
        self.settings = self.settings._replace(workers=checked("workers", processes))  # type: ignore[arg-type]
        return self

    def listen_for_commands(self, reload: Callable[[], str] | None = None, *, by_default: bool = True) -> None:
        """Open the control socket, where ``control`` or ``pid_file`` say, or by the port; closed at the end.

        A server that is given one of the two settings does so itself when it starts; a runner asks for the other.

        Args:
            reload: what a reload does, and says in a few words; by default certificates are read again.
            by_default: open one by the port too. If that place cannot be had, a line in the log says so.

        Raises ``BindError`` if the place that a setting names cannot be had.
        """
        commands = ServerCommands(self, reload)
        if self._control is not None:
            self._control.commands = commands
            if by_default:
                self._control.link_from_port(self.port)
        else:
            loop = self._started().loop
            self._control = open_control(self.settings, self.port, loop, commands, by_default=by_default)

    def dump(self) -> str:
        """What it is in the middle of, as text for a log. For the thread that serves, before or between its turns."""
        from .dump import dump  # loaded in time, see ``spare``

        return dump(self._started())

    def _end_at_exit(self) -> None:
        # Nobody has shut it down, and the program ends: so that stop hooks run and clients are told.
        if os.getpid() != self._owner:
            return
        self.shutdown(kill=True, timeout=_AT_EXIT_SECONDS)
        if self._turns.acquire(timeout=_AT_EXIT_SECONDS * 2):
            try:
                if self._service is not None and not self._service.finished:
                    self._service.stop_at_once()
            finally:
                self._leave_turns()

    def time_left(self) -> float:
        """Seconds that are left of the time to stop: for what the program has to finish once the server has."""
        service = self._service
        if service is None or service.cut_at is None:
            return self.settings.grace
        return max(0.0, service.cut_at - service.loop.timers.now())

    def __repr__(self) -> str:
        return f"<Server {shown(self.address)}>"

    def _started(self) -> Service:
        if self._service is None:
            check_places(self.settings)
            bound = self._bind()
            self._addresses = [each.address for each in bound]
            self._urls = [each.url for each in bound]
            self._service = Service(self.app, self.settings, bound)
            atexit.register(self._at_exit)
            try:
                self.listen_for_commands(by_default=False)
            except BindError:
                self._service.listener.close()
                self._service.loop.close()
                self._service.dispose()
                self._service = None
                raise
        return self._service

    def _close_control(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None

    def _leave_to_parent(self) -> None:
        if self._control is not None:
            self._control.leave_to_parent()
        if self._service is not None:
            self._service.leave_to_parent()

    def _run_workers(self) -> None:
        from ..runners.preforked import run_workers

        with self._turn(wait=self._stopping) as service:
            bound = service.hand_over()
            self._close_control()  # the parent of the workers has its own, at the same place
            try:
                run_workers(self.app, self.settings, bound, self._supervised)
            finally:
                self._stop_workers = None
                for each in bound:
                    each.close()

    def _supervised(self, stop: Callable[[float], object]) -> None:
        self._stop_workers = stop

    def _bind(self) -> list[Bound]:
        if self._inherited:
            return self._inherited
        if self._sock is not None:
            return [bound_to(self._sock, self.settings, self._options)]
        return bind_places(self._places, self.settings, self._options)

    @property
    def _finished(self) -> bool:
        return self._service is not None and self._service.finished

    @contextlib.contextmanager
    def _turn(self, wait: bool) -> Iterator[Service]:
        if not self._take_turns(wait):
            raise RuntimeError("this server is run already, by another thread or by the caller of this handler")
        if not self._owned:
            self._owned, self._owner = True, os.getpid()
            let_go_in_children(self, Server._leave_to_parent)
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
            self._close_control()
            if not self._service.loop.closed:
                self._service.loop.close()
                self._service.dispose()
            atexit.unregister(self._at_exit)
        self._driver = None
        self._turns.release()


def _end(server: weakref.ref[Server]) -> None:
    if (living := server()) is not None:
        living._end_at_exit()


@contextlib.contextmanager
def _cut_on_error(service: Service) -> Iterator[None]:
    # Whatever ends run() before its time leaves nothing open. A second SIGTERM asked for just that.
    try:
        yield
    except BaseException as error:
        forked.came_back(error)
        service.stop_at_once()
        if not (isinstance(error, StoppedAtOnce) and error.signum == signal.SIGTERM):
            raise


def _joined(settings: Mapping[str, object], options: Options) -> dict[str, object]:
    twice = settings.keys() & options.settings.keys()
    if twice:
        raise BadSetting(f"{', '.join(sorted(twice))} is given as a keyword and in options=; give it once")
    return {**settings, **options.settings}


def _intended(place: Place) -> Address:
    if isinstance(place, TcpPlace):
        return Address(place.host, place.port)
    return Address(os.path.abspath(place.path) if isinstance(place, UnixPlace) else f"fd://{place.name}", 0)
