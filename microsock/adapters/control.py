"""The control socket of a running server: a Unix socket on which its user publishes, asks, reloads and stops.

One line of JSON comes, one goes back, and the connection ends. Knows a loop, and what is commanded by ``Commands``;
knows no app and no worker, so that the parent of workers can have it too.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import BindError, MicrosockError
from ..log import logger
from ..server.loop import Loop
from ..settings import Settings
from .control_path import control_path
from .limited_log import LimitedLog
from .mark import Mark

if TYPE_CHECKING:
    from .control_link import ControlLink

__all__ = ["Commands", "ControlServer", "open_control"]

_SECONDS = 5.0
_MOST_PEERS = 32
_BATCH = 16
_CHUNK = 1 << 16
# Around a message: the command's own words. JSON may write a character as six.
_ENVELOPE = 4096


class Commands(Protocol):
    """What a server does when it is told to. All are called on the loop's thread and return at once."""

    def publish(self, topic: str, data: str | bytes, retain: bool) -> None:
        """Send to all who follow a topic. Raises ``Overloaded``, or ``ValueError`` for what is no topic."""

    def status(self) -> dict[str, object]:
        """Its figures, fit for JSON."""
        ...

    def stop(self, kill: bool) -> None:
        """Begin to stop; with ``kill`` at once. The answer is on its way already."""

    def reload(self) -> str:
        """Begin to reload; gives in a few words what is reloaded."""
        ...


class ControlServer:
    """Listens at a path, from here to ``close``. Only the same user and root are heard.

    Args:
        path: of the socket file; it gets mode 0600. One that nobody answers at is replaced.
        loop: whose turns it is served in.
        commands: who obeys.
        max_message_size: bytes that one published message may have.

    Raises ``BindError`` where the path cannot be had.
    """

    def __init__(self, path: str, loop: Loop, commands: Commands, *, max_message_size: int = 1 << 20) -> None:
        self.path = path
        self.commands = commands
        self.max_message_size = max_message_size
        self._loop = loop
        self._errors = LimitedLog(loop, f"errors in commands on {path}")
        self._peers: set[_Peer] = set()
        self._socket = _bound(path)
        # So that ``stop`` knows the process from other programs, also when it listens for nothing else any more.
        self._mark = Mark(self._socket)
        self._link: ControlLink | None = None
        self._inode = _inode(path)
        self._pid = os.getpid()
        self._watch = loop.watch(self._socket.fileno(), self._accept)
        self._watch.want(True, False)

    def link_from_port(self, port: int) -> None:
        """Let clients that know only the server's port find it; 0 if it has none."""
        if port and self._link is None:
            from .control_link import ControlLink  # only where the socket is not at the port's place

            self._link = ControlLink(self.path, port)

    def close(self) -> None:
        """Hear nobody any more, and take the file away if it is still ours. May be called again."""
        if self._socket.fileno() == -1:
            return
        self._watch.close()
        self._errors.close()
        self._mark.close()
        self._socket.close()
        if self._link is not None:
            self._link.close()
        for peer in list(self._peers):
            peer.close()
        # Another server may have taken the path over meanwhile.
        if self._pid == os.getpid() and _inode(self.path) == self._inode:
            with contextlib.suppress(OSError):
                os.unlink(self.path)

    def leave_to_parent(self) -> None:
        """In a forked worker: let go of what belongs to the parent, and touch neither its selector nor the file."""
        self._mark.close()
        self._socket.close()
        for peer in self._peers:
            peer.socket.close()
        self._peers.clear()

    def _accept(self, readable: bool, writable: bool) -> None:
        for _ in range(_BATCH):
            try:
                sock, _ = self._socket.accept()
            except OSError:  # nobody waits any more; or no descriptor is left, and then the peer waits
                return
            if len(self._peers) >= _MOST_PEERS or not _is_allowed(sock):
                sock.close()
                continue
            sock.setblocking(False)
            self._peers.add(_Peer(self, sock, self._loop, self._peers.discard))

    @property
    def longest_line(self) -> int:
        """Bytes that a request may have."""
        return 6 * self.max_message_size + _ENVELOPE

    def obey(self, line: bytes) -> tuple[bytes, Callable[[], None] | None]:
        """The line that answers a request's, and what is to be done once that is sent."""
        try:
            answer, then = self._obeyed(line)
            return _line(answer), then
        except (MicrosockError, ValueError) as error:
            return refusal(type(error).__name__, str(error)), None
        except Exception as error:
            self._errors.log("error in a command on %s", self.path, traceback=True)
            return refusal("Exception", f"{type(error).__name__}: {error}"), None

    def _obeyed(self, line: bytes) -> _Obeyed:
        from .untrusted import read_object  # with the first command; see `spare`

        try:
            request = read_object(line, self.longest_line)
        except ValueError as error:
            raise ValueError(f'expected one line of JSON with a "command": {error}') from None
        command = request.get("command")
        if not isinstance(command, str):
            raise ValueError(f'expected one line of JSON with a "command", not {command!r:.60}')
        if command not in _COMMANDS:
            raise ValueError(f"unknown command {command!r:.60}; known are {', '.join(_COMMANDS)}")
        return _COMMANDS[command](self, request)


def refusal(kind: str, reason: str) -> bytes:
    """The line that says why a command was not obeyed."""
    from .untrusted import printable

    return _line({"ok": False, "error": printable(reason), "type": kind})


def _line(answer: dict[str, object]) -> bytes:
    import json  # loaded in time, see ``server.spare``

    return json.dumps(answer).encode() + b"\n"


def open_control(
    settings: Settings, port: int, loop: Loop, commands: Commands, *, by_default: bool = True
) -> ControlServer | None:
    """The control socket that the settings ask for.

    Args:
        settings: ``control`` or ``pid_file`` say where.
        port: of the server; what says where if the settings do not, 0 if it has none.
        loop: see ``ControlServer``.
        commands: see ``ControlServer``.
        by_default: whether to open one by the port alone, and to let one elsewhere be found by the port. If that
            cannot be had the server serves without it, and a line in the log says so.

    Raises ``BindError`` if the place that the settings name cannot be had.
    """
    asked_for = settings.control is not None or settings.pid_file is not None
    if not (asked_for or by_default):
        return None
    try:
        path = control_path(settings.control, settings.pid_file, port)
        if path is None:
            return None
        control = ControlServer(path, loop, commands, max_message_size=settings.max_message_size)
        if asked_for and by_default:
            control.link_from_port(port)
        return control
    except MicrosockError as error:
        if asked_for:
            raise
        logger.warning("no control socket: %s", error)
        return None


_Obeyed = tuple[dict[str, object], Callable[[], None] | None]


def _publish(server: ControlServer, request: dict[str, Any]) -> _Obeyed:
    topic, retain = request.get("topic"), request.get("retain", False)
    if not isinstance(topic, str) or not isinstance(retain, bool):
        raise ValueError("publish takes a topic, a text or base64, and retain: true or false")
    data = _message(request)
    if len(data if isinstance(data, bytes) else data.encode()) > server.max_message_size:
        raise ValueError(f"the message is larger than max_message_size ({server.max_message_size} bytes)")
    server.commands.publish(topic, data, retain)
    return _done({}), None


def _message(request: dict[str, Any]) -> str | bytes:
    text, encoded = request.get("text"), request.get("base64")
    if isinstance(text, str) and encoded is None:
        return text
    if text is None and isinstance(encoded, str):
        import base64
        import binascii

        try:
            return base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise ValueError(f"that is no base64: {error}") from None
    raise ValueError("publish takes a topic, and either a text or base64")


def _status(server: ControlServer, request: dict[str, Any]) -> _Obeyed:
    return _done({"status": server.commands.status()}), None


def _stop(server: ControlServer, request: dict[str, Any]) -> _Obeyed:
    kill = request.get("kill", False)
    if not isinstance(kill, bool):
        raise ValueError(f"stop takes kill: true or false, not {kill!r:.60}")
    # Answered first: a server that stops at once would take the answer with it.
    return _done({"pid": os.getpid()}), partial(server.commands.stop, kill)


def _reload(server: ControlServer, request: dict[str, Any]) -> _Obeyed:
    return _done({"reloads": server.commands.reload()}), None


_COMMANDS: dict[str, Callable[[ControlServer, dict[str, Any]], _Obeyed]] = {
    "publish": _publish,
    "status": _status,
    "stop": _stop,
    "reload": _reload,
}


def _done(result: dict[str, object]) -> dict[str, object]:
    return {"ok": True, **result}


class _Peer:
    """One client: a line in, a line out, within five seconds."""

    def __init__(
        self, server: ControlServer, sock: socket.socket, loop: Loop, closed: Callable[[_Peer], object]
    ) -> None:
        self.socket = sock
        self._server = server
        self._closed = closed
        self._limit = server.longest_line
        self._line = bytearray()
        self._too_long = False
        self._out = b""
        self._then: Callable[[], None] | None = None
        self._timer = loop.timers.call_at(loop.timers.now() + _SECONDS, self.close)
        self._watch = loop.watch(sock.fileno(), self._ready)
        self._watch.want(True, False)

    def close(self) -> None:
        self._timer.cancel()
        self._watch.close()
        self.socket.close()
        self._closed(self)
        then, self._then = self._then, None
        if then is not None:
            then()

    def _ready(self, readable: bool, writable: bool) -> None:
        try:
            if not self._out:
                self._read()
            if self._out:
                self._write()
        except BlockingIOError:
            pass
        except OSError:
            self.close()

    def _read(self) -> None:
        data = self.socket.recv(_CHUNK)
        self._line += data
        if b"\n" in data:
            line = bytes(self._line.partition(b"\n")[0])
            if self._too_long or len(line) > self._limit:
                self._out = refusal("ValueError", f"the line is longer than {self._limit} bytes")
            else:
                self._out, self._then = self._server.obey(line)
            self._watch.want(False, True)
        elif not data:
            self.close()
        elif len(self._line) > self._limit:
            # Read to its end all the same: a close with unread input would take the answer with it.
            self._too_long = True
            self._line.clear()

    def _write(self) -> None:
        self._out = self._out[self.socket.send(self._out) :]
        if not self._out:
            self.close()


# The socket's file.


def _bound(path: str) -> socket.socket:
    # Bound under another name and then moved: at no moment may others write to it, or see it refuse.
    aside = f"{path}.{os.getpid()}"
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _refuse_to_supplant(path)
        os.fchmod(sock.fileno(), 0o600)
        sock.bind(aside)
        os.chmod(aside, 0o600)
        sock.setblocking(False)
        sock.listen(_MOST_PEERS)
        os.replace(aside, path)
    except OSError as error:
        sock.close()
        with contextlib.suppress(OSError):
            os.unlink(aside)
        if isinstance(error, BindError):
            raise
        raise BindError(error.errno, f"cannot listen for commands at {path}: {error.strerror or error}") from error
    return sock


def _refuse_to_supplant(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except BlockingIOError:
            pass  # its backlog is full: somebody is there
        except OSError as error:
            if error.errno == errno.ECONNREFUSED and stat.S_ISSOCK(os.stat(path).st_mode):
                return
            if error.errno == errno.ENOENT and not os.path.lexists(path):
                return
            raise
    raise BindError(errno.EADDRINUSE, f"another server listens for commands at {path}")


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_allowed(sock: socket.socket) -> bool:
    from .peers import peer_of

    peer = peer_of(sock)
    return peer is None or peer.is_trusted  # where the kernel does not tell, the file's mode keeps others out
