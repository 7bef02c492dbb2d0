"""One request's answer on its way out: at once, later, or a piece at a time.

Knows the session it goes into and the app that has the last word; no socket, no selector.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from .headers import Headers
from .protocol.http1 import Http1
from .request import Request
from .response import Pending, Response
from .routing import Match
from .site import Answered, Site, Timer, logger
from .streaming import BodyStream
from .waits import Sleep

__all__ = ["Answer"]


class Answer:
    """Answers one request, once.

    Args:
        site: whose app answers.
        http: the session's HTTP half, which waits for this answer.
        request: what is answered.
        last: whether the connection is to close behind it.
        moved: called when there is something to send outside of a turn of the connection.
    """

    __slots__ = (
        "_alarm", "_app", "_failed", "_finished", "_head", "_http", "_last", "_moved", "_pending", "_site", "_size",
        "_started", "_status", "_stream", "match", "over", "request",
    )  # fmt: skip

    def __init__(self, site: Site, http: Http1, request: Request, last: bool, moved: Callable[[], None]) -> None:
        self.request = request
        self.match: Match | None = None
        self.over = False
        self._site = site
        self._app = site.app
        self._http = http
        self._last = last
        self._moved = moved
        self._started = site.now()
        self._pending: Pending | None = None
        self._stream: BodyStream | None = None
        self._head: Response | None = None  # of a stream whose first item is still to come
        self._finished = False  # whether on_response has run
        self._failed = False  # whether an error's answer has been tried
        self._alarm: Timer | None = None  # while a stream's producer sleeps
        self._status = 0  # of the head that is out
        self._size = 0

    @property
    def parked(self) -> bool:
        """Whether it waits for something that may never happen: nobody waits for that at the end of a stream."""
        return self._alarm is not None or (self._pending is not None and not self._pending.finite)

    def respond(self, answer: Response | Pending) -> None:
        """Answer with what the app gave."""
        if isinstance(answer, Pending):
            self._pending = answer
            answer.bind(partial(self.complete, answer))
        elif answer.stream is None:
            self._send_whole(self._finish(answer))
        else:
            self._start_stream(answer)

    def complete(self, token: Pending, value: object) -> None:
        """What was pending is there. Ignored where the peer has gone or it is the second time."""
        if self._pending is token and not self.over:
            self._pending = None
            self.respond(self._app.complete(self.request, value, self._handler_name()))
            self._moved()

    def _finish(self, response: Response) -> Response:
        if not self._finished:
            self._finished = True
            response = self._app.finish(self.request, response)
        return response

    def _send_whole(self, response: Response) -> None:
        if response.stream is not None:  # a hook put a stream in the body's place
            self._start_stream(response)
            return
        self._size = 0 if self._http.bodyless(response.status) else len(response.body)
        self._send_head(response, response.body)
        self._end()

    def _send_head(self, response: Response, body: bytes | None) -> None:
        if self._last or self._site.draining:
            self._http.last_answer = True
        self._http.respond(response.status, _lines(response.headers), body)
        self._status = response.status

    # Streams.

    def _start_stream(self, response: Response) -> None:
        assert response.stream is not None
        self._head = response
        self._stream = BodyStream(response.stream)
        self.pull()

    def pull(self) -> bool:
        """Take the next piece of a streamed body; tells whether to call again while there is room."""
        if self._stream is None or self._alarm is not None:
            return False
        try:
            piece = self._stream.pull()
            if isinstance(piece, Sleep):
                self._sleep(piece.seconds)
                return False
            return self._send_piece(self._stream, piece)
        except Exception as error:
            self._fail(error)
            return False

    def _send_piece(self, stream: BodyStream, piece: bytes | None) -> bool:
        # The head goes out behind the first pull, so that an error before it is still a 500.
        if self._head is not None and not self._send_stream_head(stream, self._head, piece):
            return False
        if piece is None or self._http.bodyless(self._status):
            self._close_stream()
            self._http.finish()
            self._end()
            return False
        self._http.send_piece(piece)
        self._size += len(piece)
        return True

    def _send_stream_head(self, stream: BodyStream, head: Response, piece: bytes | None) -> bool:
        head.headers.setdefault("Content-Type", stream.content_type)
        head.stream = shown = stream.from_piece(piece)
        response = self._finish(head)
        self._head = None
        if response.stream is shown:
            self._send_head(response, None)
            return True
        # A hook put another body in its place; one that streams may still draw on this one.
        if response.stream is None:
            self._close_stream()
        self.respond(response)
        return False

    def _sleep(self, seconds: float) -> None:
        self._alarm = self._site.call_at(self._site.now() + seconds, self._wake)

    def _wake(self) -> None:
        self._alarm = None
        self.pull()
        self._moved()

    def _fail(self, error: Exception) -> None:
        self._close_stream()
        self._head = None
        if self._status:
            # The head is out: no last chunk, so that the client can tell (RFC 9112 section 8).
            logger.error("error in the streamed body of handler %r", self._handler_name(), exc_info=error)
            self._http.abandon()
            self._end()
        elif not self._failed:
            self._failed = True
            self.respond(self._app.complete(self.request, error, self._handler_name()))
        else:
            logger.error("error in the streamed body of an error handler", exc_info=error)
            self.respond(Response("500 Internal Server Error\n", 500, None, "text/plain; charset=utf-8"))

    def _close_stream(self) -> None:
        stream, self._stream = self._stream, None
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if stream is not None:
            try:
                stream.close()
            except Exception:
                logger.exception("error while closing the streamed body of handler %r", self._handler_name())

    # The end.

    def log_upgrade(self) -> None:
        """The answer was a 101, which the session has sent already."""
        self._status = 101
        self._end()

    def give_up(self) -> None:
        """Nobody is there to take it: close its producer, forget what was pending."""
        if not self.over:
            self._close_stream()
            self._pending = None
            self._end()

    def _end(self) -> None:
        self.over = True
        if self._site.access is not None:
            seconds = self._site.now() - self._started
            request = self.request
            target = f"{request.raw_path}?{request.query_string}" if request.query_string else request.raw_path
            entry = Answered(
                request.client.host, request.method or "-", target or "-", self._status, self._size, seconds
            )
            self._site.access(entry)

    def _handler_name(self) -> str:
        route = self.match.route if self.match is not None else None
        return route.name if route is not None else "?"


def _lines(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
