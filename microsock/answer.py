"""One request's answer on its way out: at once, later, or a piece at a time.

Knows the session it goes into and the app that has the last word; no socket, no selector.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from .errors import HTTPError, Overloaded
from .eventstream import CONTENT_TYPE, EventStream
from .protocol.http1 import Http1
from .request import Request
from .response import Pending, Response
from .routing import Match
from .site import Answered, Call, Site, logger
from .streaming import Body, Cut, Producer
from .tally import Cell

__all__ = ["Answer"]

_SWITCHING = 101


class Answer:
    """Answers one request, once.

    Args:
        site: whose app answers.
        http: the session's HTTP half, which waits for this answer.
        request: what is answered.
        last: whether the connection is to close behind it.
        moved: called when there is something to send outside of a turn of the connection.
        queued: bytes of the connection that the kernel has not taken yet.
    """

    __slots__ = (
        "_app", "_body", "_call", "_endless", "_failed", "_finished", "_head", "_http", "_last", "_moved", "_pending",
        "_queued", "_site", "_size", "_started", "_status", "asked", "lines", "match", "over", "request",
    )  # fmt: skip

    def __init__(
        self,
        site: Site,
        http: Http1,
        request: Request,
        last: bool,
        moved: Callable[[], None],
        queued: Callable[[], int],
    ) -> None:
        self.request = request
        self.match: Match | None = None
        self.over = False
        self.asked = False  # whether the gate has been asked
        self.lines: list[tuple[str, str]] | None = None  # that it adds to the answer
        self._site = site
        self._app = site.app
        self._http = http
        self._last = last
        self._moved = moved
        self._queued = queued
        self._started = site.now()
        self._pending: Pending | None = None
        self._call: Call | None = None  # of a handler in another thread
        self._body: Body | None = None  # while it streams
        self._endless = False  # whether it streams events
        self._head: Response | None = None  # of a stream whose first item is still to come
        self._finished = False  # whether on_response has run
        self._failed = False  # whether an error's answer has been tried
        self._status = 0  # of the head that is out
        self._size = 0

    @property
    def streaming(self) -> bool:
        """Whether there is a body to ``pull``."""
        return self._body is not None

    @property
    def parked(self) -> bool:
        """Whether it waits for something that may never happen: nobody waits for that at the end of a stream."""
        if self._body is not None:
            return self._endless or self._body.parked
        return self._pending is not None and not self._pending.finite

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

    def call_elsewhere(self, function: Callable[[], Response | Pending]) -> None:
        """Answer with what a handler gives in another thread; 503 where too many calls wait for one."""
        self._pending = pending = Pending(finite=True)
        pending.bind(partial(self.complete, pending))
        try:
            self._call = self._site.executor.submit(
                function, lambda value, error: pending.complete(value if error is None else error)
            )
        except Overloaded:
            error = HTTPError(503, "the server is too busy", headers=[("Retry-After", "1")])
            self.complete(pending, error)

    def _finish(self, response: Response) -> Response:
        if not self._finished:
            self._finished = True
            if self.lines is not None:
                response.headers.supplement(self.lines)
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
        self._http.respond(response.status, response.headers.items(), body)
        self._status = response.status

    # Streams.

    def _start_stream(self, response: Response) -> None:
        self._head = response
        self._body = self._made_body(response)
        self.pull()

    def _made_body(self, response: Response) -> Body:
        assert response.stream is not None
        if not isinstance(response.stream, EventStream):
            return Producer(response.stream, self._site, self._moved)
        if self._http.bodyless(response.status):
            return Producer((), self._site, self._moved)
        from .following import Following  # loaded in time, see ``server.spare``

        last_event_id = self.request.headers.get("Last-Event-ID")
        return Following(response.stream, self._site, last_event_id, self._queued, self._moved)

    def pull(self) -> bool:
        """Take the next piece of a streamed body; tells whether to call again while there is room."""
        if self._body is None:
            return False
        try:
            piece = self._body.pull()
            return piece != b"" and self._send_piece(self._body, piece)
        except Cut:
            self._break_off()
        except Exception as error:
            self._fail(error)
        return False

    def _send_piece(self, body: Body, piece: bytes | None) -> bool:
        # The head goes out behind the first pull, so that an error before it is still a 500.
        if self._head is not None and not self._send_stream_head(body, self._head, piece):
            return False
        bodyless = self._http.bodyless(self._status)
        if piece and not bodyless:
            self._http.send_piece(piece)
            self._size += len(piece)
        if piece is None or bodyless or (self._endless and self._site.draining):
            self._end_stream()
            return False
        return True

    def _send_stream_head(self, body: Body, head: Response, piece: bytes | None) -> bool:
        head.headers.setdefault("Content-Type", body.content_type)
        for name, value in body.headers:
            head.headers.setdefault(name, value)
        head.stream = shown = body.shown(piece)
        response = self._finish(head)
        self._head = None
        if response.stream is shown:
            self._endless = response.headers.get("Content-Type", "").lower().startswith(CONTENT_TYPE)
            if self._endless:
                self._site.tally.opened(Cell.EVENT_STREAMS, Cell.EVENT_STREAMS_TOTAL)
            self._send_head(response, None)
            return True
        # A hook put another body in its place; one that streams may still draw on this one.
        if response.stream is None:
            self._close_body()
        self.respond(response)
        return False

    def drain(self) -> None:
        """The server stops: an endless answer ends here, as a whole one, so that its client comes back elsewhere."""
        if self._body is not None and self._endless:
            self._http.last_answer = True
            self._end_stream()
            self._moved()

    def _end_stream(self) -> None:
        self._close_body()
        self._http.finish()
        self._end()

    def _break_off(self) -> None:
        # The head is out: no last chunk, so that the client can tell (RFC 9112 section 8).
        self._close_body()
        self._http.abandon()
        self._end()

    def _fail(self, error: Exception) -> None:
        self._head = None
        if self._status:
            logger.error("error in the streamed body of handler %r", self._handler_name(), exc_info=error)
            self._break_off()
            return
        self._close_body()
        if not self._failed:
            self._failed = True
            self.respond(self._app.complete(self.request, error, self._handler_name()))
        else:
            logger.error("error in the streamed body of an error handler", exc_info=error)
            self.respond(Response("500 Internal Server Error\n", 500, None, "text/plain; charset=utf-8"))

    def _close_body(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            if self._endless:
                self._site.tally.closed(Cell.EVENT_STREAMS)
            try:
                body.close()
            except Exception:
                logger.exception("error while closing the streamed body of handler %r", self._handler_name())

    # The end.

    def log_upgrade(self) -> None:
        """The answer was a 101, which the session has sent already."""
        self._status = _SWITCHING
        self._end()

    def give_up(self) -> None:
        """Nobody is there to take it: close its producer, forget what was pending."""
        if not self.over:
            self._close_body()
            self._pending = None
            if self._call is not None:
                self._call.cancel()
            self._end()

    def _end(self) -> None:
        self.over = True
        seconds = self._site.now() - self._started
        self._count(seconds)
        if self._site.access is not None:
            request = self.request
            target = f"{request.raw_path}?{request.query_string}" if request.query_string else request.raw_path
            entry = Answered(
                request.client.host, request.method or "-", target or "-", self._status, self._size, seconds, request
            )
            self._site.access(entry)

    def _count(self, seconds: float) -> None:
        if self._status == _SWITCHING or (self._endless and self._status):
            self._site.tally.answered_endless(self._status)
        else:
            self._site.tally.answered(self._status, seconds)

    def _handler_name(self) -> str:
        route = self.match.route if self.match is not None else None
        return route.name if route is not None else "?"
