"""The app: a request in, an answer out; and the way to everything that is open. No bytes here: see the exchange."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from microsock import (
    App,
    BadRule,
    BadSetting,
    HTTPError,
    Pending,
    Request,
    Response,
    SetupError,
    WebSocket,
    abort,
    sleep,
)
from microsock.board import private_board
from microsock.jobs import Job
from microsock.status import Standing


@pytest.fixture
def app() -> App:
    app = App()

    @app.get("/")
    def index(request: Request) -> str:
        return "Hello, World!"

    @app.get("/users/{id:int}")
    def user(request: Request, id: int) -> dict[str, object]:
        return {"id": id, "params": request.params}

    return app


def answer(app: App, method: str, target: str) -> Response:
    request = Request(method, target)
    response = app.call(request, app.match(request))
    assert isinstance(response, Response)
    return app.finish(request, response)


def adds(app: App, value: object) -> App:
    @app.get("/value")
    def handler(request: Request) -> Any:
        if isinstance(value, BaseException):
            raise value
        return value

    return app


# What a handler returns.


@pytest.mark.parametrize(
    ("value", "status", "body", "content_type"),
    [
        ("a", 200, b"a", "text/html; charset=utf-8"),
        (b"a", 200, b"a", "application/octet-stream"),
        ({"a": 1}, 200, b'{"a":1}', "application/json"),
        ([1], 200, b"[1]", "application/json"),
        (("a", 201), 201, b"a", "text/html; charset=utf-8"),
        (({}, 201, {"Content-Type": "text/x"}), 201, b"{}", "text/x"),
        (Response("a", 202, content_type="text/y"), 202, b"a", "text/y"),
    ],
)
def test_a_returned_value_becomes_a_response(
    app: App, value: object, status: int, body: bytes, content_type: str
) -> None:
    response = answer(adds(app, value), "GET", "/value")
    assert (response.status, response.body, response.headers["Content-Type"]) == (status, body, content_type)


def test_an_iterator_becomes_a_stream(app: App) -> None:
    stream = iter(["a", "b"])
    assert answer(adds(app, stream), "GET", "/value").stream is stream


def test_a_pending_answer_is_passed_on(app: App) -> None:
    pending = Pending()
    request = Request("GET", "/value")
    assert app.call(request, adds(app, pending).match(request)) is pending


def test_none_is_refused_naming_the_handler(app: App, caplog: pytest.LogCaptureFixture) -> None:
    assert answer(adds(app, None), "GET", "/value").status == 500
    (record,) = caplog.records
    assert record.exc_info
    assert str(record.exc_info[1]).startswith("handler 'handler' returned None; return a str, bytes, dict")


def test_parameters_come_by_keyword_and_in_the_request(app: App) -> None:
    assert answer(app, "GET", "/users/7").body == b'{"id":7,"params":{"id":7}}'


def test_requests_do_not_share_their_parameters(app: App) -> None:
    first, second = Request("GET", "/"), Request("GET", "/")
    app.call(first, app.match(first))
    first.params["mine"] = 1
    app.call(second, app.match(second))
    assert second.params == {}


# What there is no handler for.


@pytest.mark.parametrize(
    ("method", "target", "status", "text", "headers"),
    [
        ("GET", "/nothing", 404, "404 Not Found\n", {}),
        ("POST", "/", 405, "405 Method Not Allowed\n", {"Allow": "GET, HEAD, OPTIONS"}),
        ("OPTIONS", "/", 204, "", {"Allow": "GET, HEAD, OPTIONS"}),
        ("OPTIONS", "*", 204, "", {"Allow": "GET, HEAD, OPTIONS"}),
        ("OPTIONS", "/nothing", 404, "404 Not Found\n", {}),
        ("BREW", "/", 501, "501 no handler knows the method BREW\n", {}),
        ("GET", "/users/7/?a=b", 308, "Permanent Redirect: /users/7?a=b\n", {"Location": "/users/7?a=b"}),
    ],
)
def test_without_a_handler_the_app_answers(
    app: App, method: str, target: str, status: int, text: str, headers: dict[str, str]
) -> None:
    response = answer(app, method, target)
    assert (response.status, response.text) == (status, text)
    assert headers.items() <= dict(response.headers.items()).items()


def test_a_location_that_cannot_be_sent_is_an_error_like_any_other(app: App) -> None:
    app.add_route("/{name}", lambda request, name: name)
    assert answer(app, "GET", "/\ud800/").status == 500


@pytest.mark.parametrize(("method", "target", "status"), [("GET", "/x", 404), ("PUT", "/", 405), ("BREW", "/", 501)])
def test_every_error_goes_through_the_error_handler(app: App, method: str, target: str, status: int) -> None:
    app.error(lambda request, error: {"type": error.type, "path": request.path})
    response = answer(app, method, target)
    assert response.status == status
    assert response.headers["Content-Type"] == "application/json"


def test_allow_stays_on_the_answer_of_an_error_handler(app: App) -> None:
    app.error(405)(lambda request, error: "no")
    assert answer(app, "POST", "/").headers["Allow"] == "GET, HEAD, OPTIONS"


# Errors.


def test_abort_is_answered_with_its_status_and_not_logged(app: App, caplog: pytest.LogCaptureFixture) -> None:
    @app.get("/secret")
    def secret(request: Request) -> str:
        abort(403, "not for you")

    response = answer(app, "GET", "/secret")
    assert (response.status, response.text) == (403, "403 not for you\n")
    assert not caplog.messages


def test_an_exception_is_500_and_logged_with_its_traceback(app: App, caplog: pytest.LogCaptureFixture) -> None:
    response = answer(adds(app, ValueError("secret")), "GET", "/value")
    assert (response.status, response.text) == (500, "500 Internal Server Error\n")
    assert "secret" in caplog.text
    assert "Traceback" in caplog.text


def test_a_refused_request_is_answered_like_an_error_of_a_handler(app: App) -> None:
    app.error(413)(lambda request, error: {"error": error.type})
    response = app.refuse(Request("POST", "/"), HTTPError(413))
    assert (response.status, response.body) == (413, b'{"error":"TOO_LARGE"}')


# Answers that come later.


@pytest.mark.parametrize(
    ("value", "status"),
    [("a", 200), (("a", 201), 201), (HTTPError(404), 404), (ValueError(), 500), (None, 500), (Pending(), 500)],
)
def test_what_comes_later_may_be_all_that_a_handler_returns_or_an_exception(
    app: App, value: object, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert app.complete(Request("GET", "/"), value, "later").status == status
    assert len(caplog.messages) == (status == 500)


def test_the_last_word_is_on_response(app: App) -> None:
    @app.on_response
    def stamp(request: Request, response: Response) -> None:
        response.headers["X-Path"] = request.path

    assert answer(app, "GET", "/").headers["X-Path"] == "/"
    assert answer(app, "GET", "/nothing").headers["X-Path"] == "/nothing"


# Start and stop.


def test_the_hooks_of_start_and_stop_run_in_order(app: App) -> None:
    ran: list[int] = []
    for number in (1, 2):
        app.on_start(lambda number=number: ran.append(number))
        app.on_stop(lambda number=number: ran.append(-number))
    app.start_hooks()
    app.stop_hooks()
    assert ran == [1, 2, -1, -2]


def test_what_a_start_hook_raises_passes_through(app: App) -> None:
    app.on_start(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        app.start_hooks()


def test_what_a_stop_hook_raises_is_logged(app: App, caplog: pytest.LogCaptureFixture) -> None:
    app.on_stop(lambda: 1 / 0)
    app.stop_hooks()
    assert caplog.record_tuples == [("microsock", logging.ERROR, "on_stop '<lambda>' raised")]


# Settings.


def test_the_settings_that_were_given_are_kept() -> None:
    assert App(grace=1, max_body_size=10).settings_given == {"grace": 1.0, "max_body_size": 10}


def test_an_unknown_setting_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(BadSetting, match=r"^unknown setting 'max_body'; did you mean 'max_body_size'\?$"):
        App(max_body=10)


# Open connections.


class Written:
    """A site that writes down what it is asked for."""

    def __init__(self, followers: int = 0) -> None:
        self.followers = followers
        self.calls: list[tuple[object, ...]] = []

    def publish(self, topic: str, data: str | bytes, exclude: WebSocket | None, retain: bool) -> None:
        self.calls.append(("publish", topic, data, exclude, retain))

    def count(self, topic: str) -> int:
        return self.followers

    def close_topic(self, topic: str, code: int, reason: str) -> None:
        self.calls.append(("close", topic, code, reason))

    def websockets(self) -> list[WebSocket]:
        return [object.__new__(WebSocket)] * self.followers

    def standing(self) -> Standing:
        return Standing(private_board(float), {"room": self.followers})

    def every(self, job: Job) -> None:
        self.calls.append(("every", job.name, job.seconds, job.each_worker))

    def after(self, job: Job) -> None:
        self.calls.append(("after", job.name, job.seconds))


@pytest.fixture
def sites(app: App) -> Iterator[list[Written]]:
    sites = [Written(2), Written(1)]
    for site in sites:
        app.attach(site)
    yield sites
    for site in sites:
        app.detach(site)
    assert app.websockets == []


def test_what_is_published_goes_to_every_site_that_serves_the_app(app: App, sites: list[Written]) -> None:
    sender = object.__new__(WebSocket)
    app.publish("room", {"a": 1}, exclude=sender)
    app.publish("room", b"b", retain=True)
    for site in sites:
        assert site.calls == [("publish", "room", '{"a":1}', sender, False), ("publish", "room", b"b", None, True)]


@pytest.mark.parametrize(("topic", "data"), [("room", None), ("room", 5), (7, "a")])
def test_what_cannot_be_published_is_refused_though_nobody_listens(app: App, topic: Any, data: Any) -> None:
    with pytest.raises(TypeError):
        app.publish(topic, data)


def beat() -> None: ...


def test_a_job_that_comes_late_reaches_every_site_and_those_that_start_later(app: App, sites: list[Written]) -> None:
    assert app.every(2, each_worker=True)(beat) is beat
    for site in sites:
        assert site.calls == [("every", "beat", 2.0, True)]
    assert [job.name for job in app.jobs] == ["beat"]


def test_what_comes_once_goes_to_one_site(app: App, sites: list[Written]) -> None:
    app.after(0, beat)
    assert [site.calls for site in sites] == [[("after", "beat", 0.0)], []]


def test_nothing_comes_later_where_nothing_serves(app: App) -> None:
    with pytest.raises(SetupError, match=r"^nothing serves this app, so 'beat' would never be called; call app\.after"):
        app.after(1, beat)


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), "1", True])
def test_a_job_comes_again_after_a_time_over_0(app: App, seconds: Any) -> None:
    with pytest.raises(ValueError, match=r"app\.every takes a number of seconds"):
        app.every(seconds)(beat)
    assert app.jobs == []


def test_a_job_is_a_plain_function_without_parameters(app: App) -> None:
    def greedy(name: str) -> None: ...

    def waiting() -> Iterator[object]:
        yield from sleep(1)

    with pytest.raises(BadRule, match=r"'greedy' takes \(name\), but app\.every calls it with \(\)"):
        app.every(1)(greedy)  # type: ignore[type-var]
    with pytest.raises(SetupError, match="'waiting' is a generator function; put what comes after a wait into"):
        app.every(1)(waiting)


def test_a_topic_counts_and_closes_over_all_sites(app: App, sites: list[Written]) -> None:
    topic = app.topic("room")
    assert (topic.name, topic.count()) == ("room", 3)
    topic.close()
    topic.close(1001, "bye")
    for site in sites:
        assert site.calls == [("close", "room", 1000, ""), ("close", "room", 1001, "bye")]


def test_a_topic_is_closed_only_with_what_may_be_sent(app: App, sites: list[Written]) -> None:
    with pytest.raises(ValueError, match="a close code is"):
        app.topic("room").close(1006)
    with pytest.raises(TypeError, match="a topic is a str, not 7"):
        app.topic(7)  # type: ignore[arg-type]


def test_the_open_websockets_of_all_sites_are_listed(app: App, sites: list[Written]) -> None:
    assert len(app.websockets) == 3


# The doors upward.


def test_run_refuses_an_unknown_setting_before_it_listens(app: App) -> None:
    with pytest.raises(BadSetting, match="unknown setting 'colour'"):
        app.run(port=0, colour="blue")


def test_the_test_client_is_made_for_this_app(app: App) -> None:
    with app.test_client() as client:
        assert client.app is app
        assert client.get("/").text == "Hello, World!"


def test_making_an_app_imports_no_server_and_no_library() -> None:
    seen = "import sys, microsock; microsock.App(); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True).stdout.split()
    assert "microsock.app" in modules
    assert not {"microsock.server", "microsock.protocol", "microsock.testing", "h11", "wsproto", "httpx"} & set(modules)


def test_an_app_shows_how_much_it_has(app: App) -> None:
    assert repr(app) == "<App with 2 routes, 0 websockets>"


def test_a_websocket_has_a_match_of_its_own(app: App) -> None:
    @app.websocket("/chat/{room}")
    def chat(ws: WebSocket, message: str, room: str) -> None: ...

    match = app.match_websocket(Request("GET", "/chat/a"))
    assert (match.route, match.params) == (chat, {"room": "a"})
    assert app.match_websocket(Request("GET", "/")).route is None
