"""One open WebSocket: frames become calls of its handler, and what the handler sends becomes frames.

A function is called once a message, here or in another thread; a generator is a ``Script`` of its own. Knows no socket
and no selector.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, Protocol

from . import forked
from .errors import Overloaded, WebSocketClosed
from .failures import log_failure, reraise_if_fatal
from .history import Record
from .limits import Allowance
from .messages import encode_message
from .protocol.events import CloseReceived, Event, MessageReceived
from .protocol.frames import Frames
from .request import Request
from .script import Script
from .site import Call, Site, SocketClosed
from .slow_reader import SlowReader
from .tally import Cell
from .websocket import ClosedLink, WebSocket
from .websocket_route import WebSocketRoute

__all__ = ["Conversation", "Wire"]

_POLICY, _INTERNAL, _TRY_LATER = 1008, 1011, 1013


class Wire(Protocol):
    """Where the bytes of an exchange go."""

    @property
    def queued_bytes(self) -> int:
        """Bytes that the kernel has not taken yet."""

    @property
    def acknowledged(self) -> int:
        """How many bytes the peer has taken so far, as far as the kernel can tell."""
        ...

    def push(self, frame: bytes) -> None:
        """Queue bytes that are sent to many; as ``write``, with less to do."""

    def write(self, chunks: Sequence[bytes]) -> None:
        """Queue bytes; they leave at the end of the current turn."""


class Conversation:
    """Drives the handler of one WebSocket.

    It is the ``Link`` that the handler's ``WebSocket`` talks through, from any thread; the ``Talk`` of its script; and
    a ``Follower`` of topics.
    """

    __slots__ = (
        "_call", "_controls", "_messages", "_opened", "_reader", "_received", "_request", "_route", "_sent", "_site",
        "_wire", "frames", "id", "over", "running", "script", "socket",
    )  # fmt: skip

    def __init__(
        self,
        site: Site,
        frames: Frames,
        wire: Wire,
        route: WebSocketRoute[Any],
        request: Request,
        subprotocol: str | None,
    ) -> None:
        self.id = site.new_id()
        self.socket = WebSocket(self, request, request.params, subprotocol)
        self.running = False
        self.over: CloseReceived | None = None
        self._site = site
        self.frames = frames
        self._wire = wire
        self._route = route
        self._request = request
        self._opened = site.now()
        self._received = self._sent = 0
        limit = site.settings.ws_message_limit
        self._messages = None if limit is None else Allowance(limit)
        self._controls: Allowance | None = None  # from the first ping or pong on
        self.script: Script | None = None
        self._call: Call | None = None  # of a function in another thread
        self._reader: SlowReader | None = None  # from the first push past ``max_queued_bytes`` on

    # What the exchange calls.

    def open(self) -> None:
        """Run ``on_open`` and start a generator; to be called once the 101 is on its way."""
        self._site.add(self)
        if self._route.hooks.open is not None:
            self._run(False, self._route.hooks.open, self.socket, **self._request.params)
        if self._route.is_generator and self.close_code is None:
            self._start_script()

    def _start_script(self) -> None:
        try:
            generator = self._route.handler(self.socket, **self._request.params)
            if not isinstance(generator, Generator):
                raise TypeError(f"handler {self._route.name!r} wraps a generator function, and gave {generator!r:.60}")
        except BaseException as error:
            self._raised(error)
        else:
            self.script = Script(self._site, self, generator, self._route.name)
            self.script.start()

    @property
    def full(self) -> bool:
        """Whether to stop parsing: the handler has enough to do already."""
        return self._call is not None or (self.script is not None and self.script.full)

    @property
    def held(self) -> int:
        """Bytes that came and wait for the handler."""
        return 0 if self.script is None else self.script.held

    def hear(self, event: Event) -> None:
        """A message came, or the end."""
        if isinstance(event, MessageReceived):
            self._received += 1
            if self._messages is not None and not self._messages.spend(self._site.now()):
                self.end(_POLICY, "too many messages")
            elif self.script is not None:
                self.script.receive(event.data)
            else:
                self._call_function(event.data)
        elif isinstance(event, CloseReceived):
            self.ended(event)
        elif not self._may_control():
            self.end(_POLICY, "too many control frames")

    def _may_control(self) -> bool:
        if self._controls is None:
            rate = self._site.settings.max_control_frames
            if rate is None:
                return True
            self._controls = Allowance(rate)
        return self._controls.spend(self._site.now())

    def ended(self, over: CloseReceived) -> None:
        """The talk is over, by whichever end; the handler is told, once."""
        if self.over is not None:
            return
        forked.came_back()
        self.over = over
        self._site.discard(self)
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self.script is not None and not self.running:
            self.script.tell_end()
        if self._route.hooks.close is not None:
            self._run(False, self._route.hooks.close, self.socket, over.code, over.reason)
        self._log(over.code)

    def drop(self, wire: Wire) -> None:
        """The connection has closed, behind ``ended``: keep nothing of it, so that nothing keeps this.

        Args:
            wire: takes the place of the connection.
        """
        assert self.over is not None
        self._wire = wire
        self.frames.drop()
        # What the app keeps of a WebSocket, or a generator that cleans up behind its end, is not to keep this.
        self.socket.disconnect(ClosedLink(self.id, self.over.code))
        self.script = None

    # What the handler's WebSocket calls. Another thread's words are said on the loop.

    @property
    def queued_bytes(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._wire.queued_bytes

    @property
    def close_code(self) -> int | None:
        """The code the connection closed with or is closing with; None while it is open."""
        return self.over.code if self.over is not None else self.frames.close_sent

    def send(self, data: str | bytes) -> None:
        """Send a message. An answer is never dropped; from outside the handler it counts as pushed."""
        if not self._site.on_loop():
            self._site.post(partial(self._send_if_open, data))
            return
        if self.close_code is not None:
            by_peer = self.over is not None and self.over.by_peer
            raise WebSocketClosed(self.close_code, "the WebSocket is closed", by_peer, websocket_id=self.id)
        self._send(data)

    def ping(self, payload: bytes) -> None:
        """Send a Ping; nothing once the connection is closing."""
        if not self._site.on_loop():
            self._site.post(partial(self.ping, payload))
        elif self.close_code is None:
            self.frames.ping(payload)
            self._flush()

    def close(self, code: int, reason: str) -> None:
        """Start the close handshake, once."""
        if self._site.on_loop():
            self.end(code, reason)
        else:
            self._site.post(partial(self.end, code, reason))

    def subscribe(self, topic: str) -> None:
        """Follow a topic until the connection closes."""
        if not self._site.on_loop():
            self._site.post(partial(self.subscribe, topic))
        elif self.over is None and (retained := self._site.follow(topic, self)) is not None:
            # Asked for by the handler, so it is an answer as what it sends itself.
            if self._is_answering and self.close_code is None:
                self._send_frame(retained.frame)
            else:
                self.deliver(retained)

    def unsubscribe(self, topic: str) -> None:
        """Follow a topic no more."""
        if self._site.on_loop():
            self._site.topics.unsubscribe(topic, self)
        else:
            self._site.post(partial(self.unsubscribe, topic))

    # What is sent.

    def deliver(self, record: Record) -> None:
        """Send what goes to many. Past ``max_queued_bytes`` the app's ``slow_reader`` policy decides."""
        if self.close_code is None and self._has_room(len(record.frame)):
            self._sent += 1
            self._wire.push(record.frame)

    def _send_frame(self, frame: bytes) -> None:
        self._sent += 1
        self.frames.send_frame(frame)
        self._flush()

    def end(self, code: int, reason: str) -> None:
        """``close``, on the loop."""
        if self.close_code is None:
            if self.script is not None:
                self.script.clear()
            self.frames.close(code, reason)
            self._flush()

    def _send_if_open(self, data: str | bytes) -> None:
        if self.close_code is None:
            self._send(data)

    def _send(self, data: str | bytes) -> None:
        if self.running or self._is_answering or self._has_room(len(data)):
            self._sent += 1
            self.frames.send_message(data)
            self._flush()

    @property
    def _is_answering(self) -> bool:
        # A function in another thread answers too.
        return self.running or self._call is not None or (self.script is not None and self.script.calling)

    def _has_room(self, size: int) -> bool:
        if self._reader is None:
            queued = self._wire.queued_bytes
            if not queued or queued + size <= self._site.settings.max_queued_bytes:
                return True
            self._reader = SlowReader(self._site, self, partial(self.end, _TRY_LATER, "too slow a reader"))
        return self._reader.admits(size)

    # As an ``Outlet``.

    def queued(self) -> int:
        """See ``Outlet``."""
        return self._wire.queued_bytes

    def acknowledged(self) -> int:
        """See ``Outlet``."""
        return self._wire.acknowledged

    def _flush(self) -> None:
        self._wire.write(self.frames.data_to_send())

    def read_on(self) -> None:
        """There is room for messages again, and some may be here unparsed."""
        self._wire.write([])

    # A function, once a message.

    def _call_function(self, data: str | bytes) -> None:
        try:
            value = self._route.read(data)
        except WebSocketClosed as error:
            # A wrong type is the peer's fault: closed with its code, no traceback.
            self.end(error.code, error.reason)
            return
        if self._route.blocking:
            self._submit(partial(self._route.handler, self.socket, value, **self._request.params))
        else:
            self._run(True, self._route.handler, self.socket, value, **self._request.params)

    def _submit(self, function: Callable[[], Any]) -> None:
        try:
            self._call = self._site.executor.submit(function, self._called)
        except Overloaded:
            self.end(_TRY_LATER, "the server is too busy")

    def _called(self, value: object, error: Exception | None) -> None:
        self._call = None
        traceback = error.__traceback__ if error is not None else None
        self._run(True, _outcome, value, error)
        if error is not None:
            # With our frames in its traceback, it and whoever has brought it here would keep each other.
            error.__traceback__ = traceback
        self.read_on()

    def _run(self, replies: bool, function: Callable[..., Any], /, *arguments: Any, **params: Any) -> None:
        running, self.running = self.running, True
        try:
            value = function(*arguments, **params)
            if replies and value is not None and self.close_code is None:
                self._send(encode_message(value))
        except BaseException as error:
            self._raised(error)
        finally:
            self.running = running

    def script_ended(self, error: BaseException | None, value: object = None) -> None:
        """The generator has returned a value, which is its last message, or raised."""
        if error is not None:
            self._raised(error)
        elif value is not None:
            self._run(True, _outcome, value, None)
        self.end(1000, "")

    def _raised(self, error: BaseException) -> None:
        reraise_if_fatal(error)
        if not self._is_own_end(error):
            self._failed(error)

    def _is_own_end(self, error: BaseException) -> bool:
        # For a handler the end of its own WebSocket is a normal end; that of another one is an error as any other.
        if not issubclass(type(error), WebSocketClosed):
            return False
        whose: str | None = error.websocket_id  # type: ignore[attr-defined]
        return whose == self.id or (whose is None and self.close_code is not None)

    def _failed(self, error: BaseException) -> None:
        log_failure(error, "error in WebSocket handler %r", self._route.name)
        keep = False
        if self._route.hooks.error is not None:
            try:
                keep = self._route.hooks.error(self.socket, error) is True
            except BaseException as another:
                reraise_if_fatal(another)
                if not self._is_own_end(another):
                    log_failure(another, "error in on_error of WebSocket handler %r", self._route.name)
        if not keep or self._route.is_generator:
            self.end(_INTERNAL, "internal error")

    def _log(self, code: int) -> None:
        self._site.tally.add(Cell.MESSAGES_RECEIVED, self._received)
        self._site.tally.add(Cell.MESSAGES_SENT, self._sent)
        if self._site.access is not None:
            seconds = self._site.now() - self._opened
            client, path = self._request.client.host, self._request.raw_path
            entry = SocketClosed(client, path, code, seconds, self._received, self._sent, self._request)
            self._site.access(entry)


def _outcome(value: object, error: Exception | None) -> object:
    if error is not None:
        raise error
    return value
