"""The app: how a request becomes an answer, and the way to everything that is open.

Knows no connection and no server: a site attaches itself, and everything for open connections goes to the sites.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Never, Protocol, Self, TypeVar

from .errors import HTTPError, SetupError
from .jobs import Job, checked_job
from .log import logger
from .messages import Sendable, encode_message
from .rates import parse_rate
from .registry import Registry
from .request import Request
from .response import Pending, Response, completed, redirect, to_response
from .routing import Kind, Match
from .settings import SETTINGS, checked
from .signatures import check_parentheses
from .startup import uncollected
from .topics import InitialValues
from .websocket import WebSocket, check_close, checked_topic

if TYPE_CHECKING:
    from .status import Report, Standing
    from .status_page import Guard
    from .testing import TestClient
    from .websocket_route import WebSocketRoute

__all__ = ["App", "Attached", "Topic"]

Function = TypeVar("Function", bound=Callable[[], object])


class Attached(Protocol):
    """What an app needs of each site that serves it. Every method may be called from any thread."""

    def publish(self, topic: str, data: str | bytes, exclude: WebSocket | None, retain: bool) -> None:
        """Send a message to all who follow a topic, but one; those who follow later get one that is retained."""

    def count(self, topic: str) -> int:
        """How many follow it."""
        ...

    def close_topic(self, topic: str, code: int, reason: str) -> None:
        """Close all that follow it."""

    def websockets(self) -> list[WebSocket]:
        """Those that are open."""
        ...

    def standing(self) -> Standing:
        """Its figures, for a report."""
        ...

    def every(self, job: Job) -> None:
        """Call a function again and again while it serves."""

    def after(self, job: Job) -> None:
        """Call a function once, later."""


class App(Registry):
    """Collects handlers, and answers requests with them.

    Args:
        settings: any setting by its name (``max_body_size=1 << 20``); a server's own and the environment are stronger.

    Raises ``BadSetting`` for a name or value that is not one. Everything that a decorator can find wrong with a
    handler or rule raises a ``SetupError`` there.
    """

    def __init__(self, *_wrong: Never, **settings: object) -> None:
        super().__init__()
        _check_words(_wrong, settings)
        self.settings_given = {name: checked(name, value) for name, value in settings.items()}
        self.jobs: list[Job] = []
        self._sites: list[Attached] = []
        self.initial_values = InitialValues()
        """For sites: what was published to be retained while nothing served this app."""
        self._has_warned = False

    # Open connections. Any thread may call these.

    def publish(self, topic: str, data: Sendable, *, exclude: WebSocket | None = None, retain: bool = False) -> None:
        """Send a message to all who follow a topic, WebSockets and event streams, behind what is being done now.

        Args:
            topic: its name.
            data: as for ``WebSocket.send``.
            exclude: one that is not to get it, often the sender.
            retain: keep it as the topic's value: whoever follows the topic later gets it at once.

        Where nothing serves the app, nobody gets it, and the log says so once; what is to be retained is kept for when
        the app is served. To reach a server in another process, use ``microsock.publish``.

        Raises ``TypeError`` or ``ValueError`` for what cannot be sent, ``Overloaded`` if a server is too far behind.
        """
        checked_topic(topic)
        message = encode_message(data)
        if not self._sites:
            self._publish_unserved(topic, message, retain)
            return
        for site in self._sites:
            site.publish(topic, message, exclude, retain)
        if retain:
            self.initial_values.replace(topic, message)

    def _publish_unserved(self, topic: str, message: str | bytes, retain: bool) -> None:
        if retain:
            self.initial_values.keep(topic, message)
        if self._has_warned:
            return
        self._has_warned = True
        becomes = "is only kept until the app is served in this process" if retain else "reaches nobody"
        logger.warning(
            "nothing serves this app, so what is published on %r %s; a server in another process is reached by "
            "microsock.publish(topic, data, server=PORT)",
            topic,
            becomes,
        )

    def topic(self, name: str) -> Topic:
        """All who follow a topic, to count or to close."""
        return Topic(checked_topic(name), self._sites)

    @property
    def websockets(self) -> list[WebSocket]:
        """The open WebSockets of this worker."""
        return [websocket for site in self._sites for websocket in site.websockets()]

    # By the clock.

    def every(self, seconds: float, each_worker: bool = False) -> Callable[[Function], Function]:
        """Call a function, without arguments, every so many seconds while the app is served.

        The first call comes after ``seconds``; then they keep in step, and those that could not be made in time are
        passed over. What one raises is logged, and the next one comes all the same.

        Args:
            seconds: over 0.
            each_worker: in every worker, not in one of all.
        """
        check_parentheses("every", seconds)

        def register(function: Function) -> Function:
            job = checked_job("every", function, seconds, each_worker)
            if not job.seconds:
                raise ValueError("app.every takes a number of seconds over 0")
            self.jobs.append(job)
            for site in self._sites:
                site.every(job)
            return function

        return register

    def after(self, seconds: float, function: Callable[[], object]) -> None:
        """Call a function, without arguments, once, so many seconds from now. Any thread may call this.

        What the function raises is logged. Raises ``SetupError`` where nothing serves the app, since there is no
        clock then; ``Overloaded`` if the server is too far behind.
        """
        job = checked_job("after", function, seconds)
        if not self._sites:
            raise SetupError(
                f"nothing serves this app, so {job.name!r} would never be called; call app.after in a handler or in "
                "an @app.on_start function"
            )
        self._sites[0].after(job)

    # Limits.

    def set_rate_limit(self, max_requests: int, time_window: float) -> Self:
        """Limit each client to so many requests in ``time_window`` seconds: the setting ``rate_limit``.

        Where the app is served already, that changes in this worker from now on. Raises ``BadSetting``.
        """
        rate = parse_rate(checked("rate_limit", (max_requests, time_window)))
        self.settings_given["rate_limit"] = rate
        for changed in self.gates:
            changed(rate)
        return self

    # Its figures.

    def status(self, path: str = "/_status", guard: Guard | None = None) -> None:
        """Answer GET on a path with the figures of all workers: JSON, Prometheus' text, or a live page for browsers.

        ``Accept`` decides which, or ``?format=json``, ``prometheus`` or ``html``.

        Args:
            path: where.
            guard: called with the request, says whether it may see them; 403 if not. Without one they are for this
                machine alone: refused to whoever comes through a proxy, over a Unix socket, or by another name.
        """
        from .status_page import StatusPage  # only where there is one

        self.add_route(path, StatusPage(self.report, guard))

    def report(self) -> Report:
        """The figures, as ``status`` gives them in JSON: of all workers, and of every server of this app here."""
        from .status import report  # loaded in time, see `server.spare`

        return report(site.standing() for site in self._sites)

    # The doors upward: imported only when they are opened.

    def run(
        self,
        host: str = "127.0.0.1",
        port: int | None = None,
        *,
        runner: str | None = None,
        workers: int | str | None = None,
        **settings: Any,
    ) -> int:
        """Serve until asked to stop (INT or TERM); gives the exit status, 0 if all went well.

        Where it cannot listen, a line in the log says so, and the status is 4.

        Args:
            host: an address or host name to listen on.
            port: 0 for a free one; 8080 if left out.
            runner: ``sequential``, ``preforked`` or ``module:Class``; by default the first for one worker, else the
                second.
            workers: how many; ``auto`` is one for each processor.
            settings: stronger than the app's own; the environment is stronger still.

        Raises ``BadSetting`` for a setting that there is not, ``SetupError`` where the command imports or serves this
        app.
        """
        import threading

        from .importing import refuse_to_run_app

        refuse_to_run_app(self, threading.current_thread() is threading.main_thread())
        if workers is not None:
            settings["workers"] = workers
        with uncollected():
            from .runners.choice import run_here, runner_for
            from .runners.protocol import Task

            task = Task(lambda: self, binds=[host], port=port, keywords=settings, app=self)
            chosen = runner_for(task, runner)
        return run_here(chosen, task)

    def test_client(self, **options: Any) -> TestClient:
        """A client for tests: an ``httpx.Client`` that talks to this app in memory. See ``microsock.testing``."""
        from .testing import TestClient

        return TestClient(self, **options)

    # For the floors above.

    def match(self, request: Request) -> Match:
        """Which route answers a request."""
        router, method, path = self.router, request.method, request.routing_path
        return router.exact.get((method, path)) or router.search(method, path, request.raw_path, request.query_string)

    def match_websocket(self, request: Request) -> Match[WebSocketRoute[...]]:
        """Which WebSocket route a request leads to: FOUND or MISSING."""
        return self.router.websocket(request.routing_path)

    def call(self, request: Request, match: Match) -> Response | Pending:
        """The handler's answer, or the error's where there is none. ``finish`` is still to come."""
        _, route, params, _, _ = match
        try:
            if route is None:
                return _without_route(request, match)
            if params:
                request.params = params
                value = route.handler(request, **params)
            else:
                value = route.handler(request)
            return value if isinstance(value, (Response, Pending)) else to_response(value, route.name)
        except BaseException as error:
            return self._hooks.failed(request, error)

    def call_later(self, request: Request, match: Match) -> Callable[[], object]:
        """The handler's call, for another thread to make; what comes of it is for ``complete``."""
        assert match.route is not None
        request.params = match.params
        return partial(match.route.handler, request, **match.params)

    def complete(self, request: Request, value: object, name: str, head: Response | None = None) -> Response:
        """The answer to what the handler ``name`` gave later: anything it may return, or an exception.

        ``head`` is what stood for it until then: see ``response.completed``.
        """
        if isinstance(value, BaseException):
            return self._raised_later(request, value)
        try:
            return to_response(value, name) if head is None else completed(head, value, name)
        except BaseException as error:
            return self._hooks.failed(request, error)

    def _raised_later(self, request: Request, value: BaseException) -> Response:
        # Raised, so that an error handler may ask for the exception that is handled now. With our frames in its
        # traceback, it and whoever has brought it here would keep each other.
        traceback = value.__traceback__
        try:
            raise value
        except BaseException as error:
            return self._hooks.failed(request, error)
        finally:
            value.__traceback__ = traceback

    def refuse(self, request: Request, error: HTTPError) -> Response:
        """The answer to a request that gets no handler."""
        return self._hooks.failed(request, error)

    def finish(self, request: Request, response: Response) -> Response:
        """What ``on_response`` makes of a response; to be called once for each."""
        return self._hooks.finish(request, response) if self.on_responses else response

    def attach(self, site: Attached) -> None:
        """A site serves this app from now on."""
        self._sites.append(site)

    def detach(self, site: Attached) -> None:
        """It no longer does."""
        self._sites.remove(site)
        if not self._sites:
            self.initial_values.restart()

    def start_hooks(self) -> None:
        """Call the ``on_start`` functions; the first exception passes through."""
        for function in self._hooks.start:
            function()

    def stop_hooks(self) -> None:
        """Call the ``on_stop`` functions, each of them; exceptions are logged."""
        self._hooks.stop_all()

    if not TYPE_CHECKING:  # or every misspelt name would be taken for one that it gives

        def __getattr__(self, name: str) -> object:
            from .mistakes import missing_attribute  # for a mistake, or for whoever asks by hasattr

            raise missing_attribute(self, name)

    def __repr__(self) -> str:
        return f"<App with {len(self.router.routes)} routes, {len(self.router.websockets)} websockets>"


def _check_words(wrong: tuple[object, ...], settings: dict[str, object]) -> None:
    if wrong:
        from .mistakes import positional_setting  # for a mistake only, which ends the start

        raise positional_setting(wrong)
    for name in settings.keys() - SETTINGS.keys():
        from .mistakes import setting_elsewhere  # as above

        if error := setting_elsewhere(name, settings[name]):
            raise error


class Topic:
    """All who follow one topic."""

    __slots__ = ("_sites", "name")

    def __init__(self, name: str, sites: list[Attached]) -> None:
        self.name = name
        self._sites = sites

    def count(self) -> int:
        """How many WebSockets and event streams follow it."""
        return sum(site.count(self.name) for site in self._sites)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close them all; event streams just end. Raises ``ValueError`` for what ``WebSocket.close`` would not take."""
        check_close(code, reason)
        for site in self._sites:
            site.close_topic(self.name, code, reason)


def _without_route(request: Request, match: Match) -> Response:
    if match.kind is Kind.REDIRECT:
        return redirect(match.location, 308)
    if match.kind is Kind.UNKNOWN_METHOD:
        raise HTTPError(501, f"no handler knows the method {request.method}")
    if match.kind is Kind.MISSING:
        raise HTTPError(404)
    allow = [("Allow", ", ".join(match.allow))]
    if request.method == "OPTIONS":
        return Response(status=204, headers=allow)
    raise HTTPError(405, headers=allow)
