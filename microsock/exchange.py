"""One app answers one session: each event becomes one call into the app, each answer one call into the session.

Knows no socket and no selector; bytes for the peer go to the ``Wire`` that the connection is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from .answer import Answer
from .errors import HTTPError, LocalProtocolError
from .log import logger
from .protocol.events import (
    CloseReceived,
    Event,
    MessageReceived,
    PingReceived,
    PongReceived,
    RequestReceived,
    RequestRefused,
    RequestStarted,
    Waiting,
)
from .protocol.fields import AnswerHead
from .protocol.handshake import check_handshake, is_websocket_upgrade, offered_subprotocols, upgrade_required
from .protocol.http1 import HEADS, Peer
from .protocol.ordinary import Head, whole_answer
from .protocol.session import Session
from .request import Request
from .response import Pending, Response
from .routing import Kind, Match, Route
from .site import Site
from .tally import Cell

if TYPE_CHECKING:
    from .conversation import Conversation, Wire
    from .gate import Gate, Permit
    from .websocket_route import WebSocketRoute

__all__ = ["HIGH_WATER", "Exchange"]

# Queued bytes past which a producer is paused and a WebSocket peer is not read from.
HIGH_WATER = 64 << 10

# A handler that took so many seconds is not waited for by the answers that were made before it in the same turn.
_SLOW = 0.001
# What one turn may take before other connections get theirs: in seconds, and, for what is parsed without bringing about
# an event, in units of about a microsecond.
_TURN_SECONDS = 0.001
_TURN_BUDGET = 250
_GOING_AWAY, _SERVICE_RESTART = 1001, 1012
_ABNORMAL = 1006
_BUSY, _RETRY = 503, (("Retry-After", "1"),)


class _ClosedWire:
    """In the place of a connection that has closed: what is written is dropped."""

    queued_bytes = acknowledged = 0

    def write(self, chunks: Sequence[bytes]) -> None:
        """Nobody is there."""

    def push(self, frame: bytes) -> None:
        """Nobody is there."""


_CLOSED_WIRE = _ClosedWire()


class Exchange:
    """Call ``session.receive_data`` and then ``run``; between turns, ``pull`` while there is room to send."""

    __slots__ = ("_answer", "_app", "_busy", "_site", "_wire", "answered", "conversation", "rested", "session")

    def __init__(self, site: Site, peer: Peer, wire: Wire) -> None:
        self.session = Session(peer, site.settings, site.http_date, site.app.router.exact)
        self.conversation: Conversation | None = None
        self.answered = 0
        """How many requests came; with ``session.waiting`` it tells one wait from the next."""
        self.rested = 0.0
        """When the last straight answer was made."""
        self._site = site
        self._app = site.app
        self._wire = wire
        self._answer: Answer | None = None
        self._busy: Request | None = None  # what is answered straight

    @property
    def about(self) -> str:
        """What it is busy with, as ``GET /notes`` or ``WS /chat``; empty between requests."""
        if self.conversation is not None:
            return f"WS {self.conversation.socket.request.raw_path}"
        request = self._busy if self._answer is None else self._answer.request
        return "" if request is None else f"{request.method} {request.raw_path}"

    @property
    def answering(self) -> bool:
        """Whether it is busy with what is answered straight, of which the session does not know."""
        return self._busy is not None

    # Events in.

    def run(self, budget: int) -> bool:
        """Handle up to ``budget`` events, for a millisecond or by the session's own budget of work.

        Tells whether there may be more to do, once there is room for what it brings.
        """
        if self.conversation is not None:
            return self._converse(self.conversation, budget)
        handle = self._log_and_handle if self._site.settings.debug else self._handle
        http, now = self.session.http, self._site.now
        until = now() + _TURN_SECONDS
        http.budget = _TURN_BUDGET
        for _ in range(budget):
            event = http.next_event()
            if event is None:
                break
            handle(event)
            if self.session.websocket is not None:
                self._flush()
                return True
            if now() >= until:
                break
        if chunks := http.data_to_send():
            self._wire.write(chunks)
        if self._answer is not None:
            self._see_to_answer(self._answer)
        return event is not None or http.budget <= 0

    def take(self, data: bytes) -> list[bytes] | None:
        """Bytes came while nothing was under way: gives the answer where there is a plain one at once; else ``run``.

        This is the straight way for what most requests are: ordinary, alone, with a plain response of a plain handler,
        on a connection that stays open. It does what ``run`` does, in the same order and by the same functions, but
        keeps no account of what could come between. Whatever is not so goes on from here as all others do.
        """
        site, http = self._site, self.session.http
        head = http.read_alone(data)
        if head is None:
            return None
        raw, method, target, fields, host, length, closes = head
        # Its body is not the app's to see before the request may run.
        request = Request(method, target, fields, b"", http.client, http.scheme, host)
        self._note(request)
        app, gate, hosts = site.app, site.gate, site.hosts
        match = app.match(request)
        _, route, _, _, _ = match
        if (
            route is None or route.blocking or closes or method == "HEAD" or site.ending
            or self.answered >= site.most_requests
            or (length and length > self._most_body(route))
            or (gate is not None and not site.limits.prompt)
            or (hosts is not None and request.host not in hosts.known)
        ):  # fmt: skip
            event = http.begin(head, request, data[len(raw) + 4 :])
            self._begin(request, match)
            self._handle(event)
            return None
        if route.slow and site.departures is not None:
            site.departures.leave()
        self._busy = request
        started = site.now()
        error, told = (None, None) if gate is None else self._asked(gate, request, match)
        if length:
            if error is not None:
                http.begin(head, request, data[len(raw) + 4 :])
                refusal = app.complete(request, error, "")
                self._begin(request, match).go_on(refusal, told, started, finished=False)
                return None
            request.body = data[len(raw) + 4 :]
        response = app.call(request, match) if error is None else app.complete(request, error, "")
        finished = False
        if isinstance(response, Response) and response.stream is None:
            finished = True
            if told and (app.on_responses or not response.bare):
                response = response.supplemented(told)
                told = None
            if app.on_responses:
                response = app.finish(request, response)
            status, lines, whole = response.parts()
            sent = HEADS.known.get((status, lines)) or _judged(status, lines)
            # Asked once more: a signal may have come while the handler ran.
            if sent is not None and sent.plain and whole is not None and not site.ending:
                self._busy = None
                self.rested = ended = site.answered(request, status, len(whole), started)
                route.slow = ended - started > _SLOW
                return whole_answer(sent, site.http_date(), whole, told)
        self._begin_again(head, request, match).go_on(response, told, started, finished)
        return None

    def _asked(self, gate: Gate, request: Request, match: Match) -> Permit:
        permit = gate.ask(request, match, _nobody)
        assert permit is not None
        return permit

    def _begin_again(self, head: Head, request: Request, match: Match) -> Answer:
        # What was called already goes the way of all others.
        http = self.session.http
        http.begin(head, request, b"")
        if head[5]:
            http.skip_body()
        return self._begin(request, match)

    def _begin(self, request: Request, match: Match | None) -> Answer:
        last = self.answered >= self._site.most_requests
        self._answer = answer = Answer(self._site, self.session.http, request, last, self)
        answer.match = match
        self._busy = None
        return answer

    def _note(self, request: Request) -> None:
        site = self._site
        request.app = site.app
        if site.proxies.watching:
            site.proxies.look(request)
        self.answered += 1
        if site.count_request is not None:
            site.count_request()

    def _converse(self, conversation: Conversation, budget: int) -> bool:
        # An open WebSocket is asked straight: nothing follows it.
        frames, now = conversation.frames, self._site.now
        until = now() + _TURN_SECONDS
        frames.budget = _TURN_BUDGET
        handle = self._log_and_hear if self._site.settings.debug else conversation.hear
        more = True
        for _ in range(budget):
            if self._wire.queued_bytes > HIGH_WATER:
                break
            event = None if conversation.full else frames.next_event()
            if event is None:
                more = frames.budget <= 0
                break
            handle(event)
            if now() >= until:
                break
        if frames.has_output:
            self._flush()
        return more

    @property
    def streaming(self) -> bool:
        """Whether there is a streamed body to ``pull``."""
        return self._answer is not None and self._answer.streaming

    def pull(self) -> bool:
        """Take the next piece of a streamed body; tells whether to call again while there is room."""
        answer = self._answer
        more = answer is not None and answer.pull()
        self._flush()
        if answer is not None and not more:
            self._see_to_answer(answer)
        return more

    def _flush(self) -> None:
        if chunks := self.session.data_to_send():
            self._wire.write(chunks)

    # For its answer.

    def moved(self) -> None:
        """There is something to send, outside of a turn of the connection."""
        # Also without bytes: the end of an answer changes what the connection waits for.
        self._wire.write(self.session.data_to_send())

    def queued(self) -> int:
        """How many bytes the kernel has not taken yet."""
        return self._wire.queued_bytes

    def acknowledged(self) -> int:
        """How many bytes the peer has taken so far, as far as the kernel can tell."""
        return self._wire.acknowledged

    # With debug on. Sizes, not contents: a log is no place for what a message or body says.

    def _log_and_handle(self, event: Event) -> None:
        logger.debug("%s: %s", self.session.http.client, event)
        self._handle(event)

    def _log_and_hear(self, event: Event) -> None:
        assert self.conversation is not None
        detail: object = event
        if isinstance(event, MessageReceived):
            detail = f"MessageReceived({type(event.data).__name__} of {len(event.data)})"
        elif isinstance(event, (PingReceived, PongReceived)):
            detail = f"{type(event).__name__}({len(event.payload)} bytes)"
        logger.debug("%s: %s", self.conversation.id, detail)
        self.conversation.hear(event)

    def _handle(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            answer = self._answer_to(event.request)
            if self._may(answer, self._answer_whole):
                self._answer_whole(answer)
            if answer.over:
                self._answer = None
        elif isinstance(event, RequestStarted):
            answer = self._answer_to(event.request)
            if self._may(answer, self._start):
                self._start(answer)
        elif isinstance(event, RequestRefused):
            self._refuse(event)

    def _answer_to(self, request: Request) -> Answer:
        answer = self._answer
        if answer is None or answer.request is not request:
            self._note(request)
            answer = self._begin(request, None)
        return answer

    def _match(self, answer: Answer) -> Match:
        if answer.match is None:
            answer.match = self._app.match(answer.request)
        return answer.match

    # Whether a request may go on: its host and its limits are looked at once, before its body. What limits say later
    # lets it go on then.

    def _may(self, answer: Answer, go_on: Callable[[Answer], None]) -> bool:
        hosts, gate = self._site.hosts, self._site.gate
        if answer.asked or (hosts is None and gate is None):
            return True
        answer.asked = True
        if hosts is not None and not hosts.permit(answer.request.host) and not self._is_for_any_host(answer):
            error = hosts.refusal(answer.request.host, self._site.now())
            answer.respond(self._app.refuse(answer.request, error))
            return False
        if gate is None:
            return True
        permit = gate.ask(answer.request, self._match_any(answer), partial(self._permitted, answer, go_on))
        return permit is not None and self._take(permit, answer)

    def _is_for_any_host(self, answer: Answer) -> bool:
        route = self._match(answer).route
        return route is not None and route.any_host

    def _match_any(self, answer: Answer) -> Match[Any]:
        # A WebSocket route counts for itself; without any, nothing is to be looked for.
        if self._app.router.websockets and self._site.settings.websocket and is_websocket_upgrade(answer.request):
            upgrade = self._app.match_websocket(answer.request)
            if upgrade.route is not None:
                return upgrade
        return self._match(answer)

    def _take(self, permit: Permit, answer: Answer) -> bool:
        answer.lines = permit.lines
        if permit.error is None:
            return True
        answer.respond(self._app.complete(answer.request, permit.error, ""))
        return False

    def _permitted(self, answer: Answer, go_on: Callable[[Answer], None], permit: Permit) -> None:
        if self._answer is answer and not answer.over:
            if self._take(permit, answer):
                go_on(answer)
            self.moved()

    # The head is there and the body is due: what need not wait for the body is decided now.
    def _start(self, answer: Answer) -> None:
        match = self._match(answer)
        if match.kind is not Kind.FOUND and "expect" in answer.request.headers:
            answer.respond(self._app.call(answer.request, match))
            return
        http = self.session.http
        has_room = self._site.buffered.has_room(http.expected)
        if refused := http.admit(self._most_body(match.route), has_room):
            self._handle(refused)

    def _most_body(self, route: Route | None) -> int:
        own = route.max_body_size if route is not None else None
        return self._site.settings.max_body_size if own is None else own

    def _answer_whole(self, answer: Answer) -> None:
        request = answer.request
        if self.session.http.may_switch and self._asks_for_websocket(request):
            upgrade = self._app.match_websocket(request)
            if upgrade.route is not None:
                self._upgrade(answer, upgrade.route, upgrade.params)
                return
        match = answer.match or self._match(answer)
        route = match.route
        if route is None:
            answer.respond(self._call_none(answer, match))
        elif route.blocking:
            answer.call_elsewhere(self._app.call_later(request, match))
        else:
            answer.respond(self._app.call(request, match))

    def _asks_for_websocket(self, request: Request) -> bool:
        return self._site.settings.websocket and is_websocket_upgrade(request)

    def _call_none(self, answer: Answer, match: Match) -> Response | Pending:
        if match.kind is Kind.MISSING and self._is_websocket(answer.request):
            return self._app.refuse(answer.request, _upgrade_required(answer.request))
        return self._app.call(answer.request, match)

    def _is_websocket(self, request: Request) -> bool:
        return self._site.settings.websocket and self._app.match_websocket(request).kind is Kind.FOUND

    def _refuse(self, event: RequestRefused) -> None:
        http = self.session.http
        request = event.request or Request("", "", client=http.client, scheme=http.scheme)
        is_busy = event.status == _BUSY
        if is_busy:
            self._site.tally.add(Cell.BODIES_REFUSED)
        error = HTTPError(event.status, event.message, headers=_RETRY if is_busy else ())
        answer = self._answer_to(request)
        answer.respond(self._app.refuse(request, error))

    @property
    def held(self) -> int:
        """Bytes in memory for the peer, but for those that the wire has queued."""
        held = self.session.phase.held
        if self.conversation is not None:
            return held + self.conversation.held
        return held if self._answer is None else held + self._answer.held

    def refuse_body(self) -> None:
        """There is no room for the body of the request that is read: 503, and the connection closes."""
        self._refuse(self.session.http.refuse_body())
        self.moved()

    # WebSockets.

    def _upgrade(self, answer: Answer, route: WebSocketRoute[...], params: dict[str, Any]) -> None:
        # All of WebSocket is loaded with the first of them; the server's ``spare`` does it in time.
        from .origin import OriginRefused, check_origin

        request = answer.request
        request.params = params
        try:
            check_handshake(request)
            check_origin(request, route.origins)
            extra = route.admit(request)
        except BaseException as error:
            if type(error) is OriginRefused:
                self._site.proxies.origin_refused(request)
            answer.respond(self._app.complete(request, error, route.name))
        else:
            self._accept(answer, route, extra)

    def _accept(self, answer: Answer, route: WebSocketRoute[...], extra: list[tuple[bytes, bytes]]) -> None:
        from .conversation import Conversation

        request = answer.request
        offered = offered_subprotocols(request)
        subprotocol = next((name for name in route.subprotocols if name in offered), None)
        compression = self._site.settings.compression if route.compression is None else route.compression
        if answer.lines:
            extra += [(name.encode(), value.encode()) for name, value in answer.lines]
        frames = self.session.accept(request, extra, subprotocol, route.max_message_size, compression)
        answer.log_upgrade()
        self._answer = None
        self._flush()
        request.compact(route.rule.text)
        self.conversation = Conversation(self._site, frames, self._wire, route, request, subprotocol)
        self.conversation.open()
        if self._site.draining:
            self.drain()

    # Ends.

    def time_out(self) -> None:
        """What the session waits for did not come in time: 408 for a half-read request, else just the end."""
        if self.session.waiting in (Waiting.HEAD, Waiting.BODY):
            self._refuse(self.session.http.refuse(408, "the request did not come in time"))
            self._flush()
        else:
            self.session.http.abandon()

    def drain(self) -> None:
        """The server stops: say goodbye on a WebSocket, end an event stream; what is running goes on."""
        if self.conversation is not None:
            if self._site.leaving:
                self.conversation.end(_SERVICE_RESTART, "the server restarts")
            else:
                self.conversation.end(_GOING_AWAY, "the server is going away")
        elif self._answer is not None:
            self._answer.drain()

    def sent(self) -> None:
        """All that was queued has left."""
        if self.conversation is not None and self.conversation.script is not None:
            self.conversation.script.drained()

    def lost(self) -> None:
        """The connection is gone: end whatever runs on it."""
        if self._answer is not None:
            self._answer.give_up()
        if self.conversation is not None:
            self.conversation.ended(CloseReceived(_ABNORMAL, "", True))

    def drop(self) -> None:
        """Let go of all that was received, sent and made for a peer that is gone. The last call, behind ``lost``."""
        self._wire = _CLOSED_WIRE
        self._answer = self._busy = None
        self.session.drop()
        conversation, self.conversation = self.conversation, None
        if conversation is not None:
            conversation.drop(_CLOSED_WIRE)

    def _see_to_answer(self, answer: Answer) -> None:
        # A half-close looks like a full one. A finite answer is sent; nobody waits for one that is parked.
        if self.session.peer_ended and answer.parked and self.session.waiting is Waiting.ANSWER:
            answer.give_up()
            self.session.http.abandon()
        if answer.over:
            self._answer = None


def _nobody(permit: Permit) -> None:
    raise AssertionError("a store that answers promptly has answered later")


def _judged(status: int, lines: tuple[tuple[str, str], ...]) -> AnswerHead | None:
    try:
        return HEADS.judge(status, lines)
    except LocalProtocolError:
        return None


def _upgrade_required(request: Request) -> HTTPError:
    if request.http_version == "1.0":
        return HTTPError(400, "a WebSocket needs HTTP/1.1")
    return upgrade_required("this is a WebSocket")
