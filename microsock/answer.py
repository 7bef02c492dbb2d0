"""One request's answer on its way out: at once, later, or a piece at a time.

Knows the session it goes into and the app that has the last word; no socket, no selector.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from .errors import HTTPError, Overloaded
from .eventstream import CONTENT_TYPE, EventStream
from .failures import log_failure, reraise_if_fatal
from .protocol.http1 import Http1
from .request import Request
from .response import Pending, Response
from .routing import Match
from .site import Call, Outlet, Site
from .streaming import Body, Cut, Producer, Returned
from .tally import Cell

__all__ = ["Answer"]

_SWITCHING = 101


class Talk(Outlet, Protocol):
    """What an answer needs of the talk that it is part of."""

    def moved(self) -> None:
        """There is something to send, outside of a turn of the connection."""


class Answer:
    """Answers one request, once.

    Args:
        site: whose app answers.
        http: the session's HTTP half, which waits for this answer.
        request: what is answered.
        last: whether the connection is to close behind it.
        talk: what it is part of.
    """

    # Most answers are given at once and set few of these.
    match: Match | None = None
    over = False
    asked = False
    """Whether the gate has been asked."""
    lines: list[tuple[str, str]] | None = None
    """What the gate adds to the answer."""
    _pending: Pending | None = None
    _call: Call | None = None  # of a handler in another thread
    _body: Body | None = None  # while it streams
    _endless = False  # whether it streams events
    _head: Response | None = None  # of a stream whose first item is still to come
    _finished = False  # whether on_response has run
    _failed = False  # whether an error's answer has been tried
    _status = 0  # of the head that is out
    _size = 0

    def __init__(self, site: Site, http: Http1, request: Request, last: bool, talk: Talk) -> None:
        self.request = request
        self._site = site
        self._http = http
        self._last = last
        self._talk = talk
        self._started = site.now()

    @property
    def streaming(self) -> bool:
        """Whether there is a body to ``pull``."""
        return self._body is not None

    @property
    def held(self) -> int:
        """Bytes that wait to be pulled."""
        return 0 if self._body is None else self._body.held

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

    def go_on(
        self, response: Response | Pending, lines: list[tuple[str, str]] | None, started: float, finished: bool
    ) -> None:
        """Answer a request that came at ``started`` and was called; ``finished``: the hooks have seen the response."""
        self.lines, self._started, self._finished = lines, started, finished
        if finished and lines and isinstance(response, Response):
            response = response.supplemented(lines)
        self.respond(response)

    def complete(self, token: Pending, value: object) -> None:
        """What was pending is there. Ignored where the peer has gone or it is the second time."""
        if self._pending is token:
            self._pending = self._call = None
            token.unbind()
            self.respond(self._site.app.complete(self.request, value, self._handler_name()))
            self._talk.moved()

    def call_elsewhere(self, function: Callable[[], object]) -> None:
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
        if self._finished:
            return response
        self._finished = True
        if self.lines:
            response = response.supplemented(self.lines)
        return self._site.app.finish(self.request, response)

    def _send_whole(self, response: Response) -> None:
        if response.stream is not None:  # a hook put a stream in the body's place
            self._start_stream(response)
            return
        self._size = self._send_head(response)
        self._end()

    def _send_head(self, response: Response) -> int:
        if self._last or self._site.ending:
            self._http.last_answer = True
        status, lines, body = response.parts()
        size = self._http.respond(status, lines, body)
        self._status = status
        return size

    # Streams.

    def _start_stream(self, response: Response) -> None:
        self._head = response
        self._body = self._made_body(response)
        self.pull()

    def _made_body(self, response: Response) -> Body:
        assert response.stream is not None
        if not isinstance(response.stream, EventStream):
            return Producer(response.stream, self._site, self._talk.moved, self._handler_name())
        if self._http.bodyless(response.status):
            return Producer((), self._site, self._talk.moved)
        from .following import Following  # loaded in time, see ``server.spare``

        last_event_id = self.request.headers.get("Last-Event-ID")
        return Following(response.stream, self._site, last_event_id, self._talk, self._talk.moved)

    def pull(self) -> bool:
        """Take the next piece of a streamed body; tells whether to call again while there is room."""
        body = self._body
        if body is None:
            return False
        try:
            piece = body.pull()
            if piece != b"" and self._send_piece(body, piece):
                return True
        except Cut:
            self._break_off()
        except Returned as returned:
            self._answer_with(returned.value)
        except BaseException as error:
            reraise_if_fatal(error)
            self._fail(error)
        # Another body may stand in its place by now, which has more already.
        return self._body is not None and self._body is not body

    def _answer_with(self, value: object) -> None:
        # A generator that has only waited is done, and no head is out yet.
        head, self._head = self._head, None
        self._close_body()
        if isinstance(value, Pending):
            self.respond(value)
        else:
            self.respond(self._site.app.complete(self.request, value, self._handler_name(), head))

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
            self._send_head(response)
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
            self._talk.moved()

    def _end_stream(self) -> None:
        self._close_body()
        self._http.finish()
        self._end()

    def _break_off(self) -> None:
        # The head is out: no last chunk, so that the client can tell (RFC 9112 section 8).
        self._close_body()
        self._http.abandon()
        self._end()

    def _fail(self, error: BaseException) -> None:
        self._head = None
        if self._status:
            log_failure(error, "error in the streamed body of handler %r", self._handler_name())
            self._break_off()
            return
        self._close_body()
        if not self._failed:
            self._failed = True
            self.respond(self._site.app.complete(self.request, error, self._handler_name()))
        else:
            log_failure(error, "error in the streamed body of an error handler")
            self.respond(Response("500 Internal Server Error\n", 500, None, "text/plain; charset=utf-8"))

    def _close_body(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            if self._endless:
                self._site.tally.closed(Cell.EVENT_STREAMS)
            try:
                body.close()
            except BaseException as error:
                reraise_if_fatal(error)
                log_failure(error, "error while closing the streamed body of handler %r", self._handler_name())

    # The end.

    def log_upgrade(self) -> None:
        """The answer was a 101, which the session has sent already."""
        self._status = _SWITCHING
        self._end()

    def give_up(self) -> None:
        """Nobody is there to take it: close its producer, forget what was pending."""
        if not self.over:
            self._close_body()
            self._head = None
            pending, self._pending = self._pending, None
            if pending is not None:
                pending.unbind()
            if self._call is not None:
                self._call.cancel()
            self._end()

    def _end(self) -> None:
        self.over = True
        endless = self._status != 0 and (self._endless or self._status == _SWITCHING)
        self._site.answered(self.request, self._status, self._size, self._started, endless)

    def _handler_name(self) -> str:
        route = self.match.route if self.match is not None else None
        return route.name if route is not None else "?"
