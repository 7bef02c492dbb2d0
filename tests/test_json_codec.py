"""JSON in and out, and that what came in can go out again, over every way that there is."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microsock import App, Event, EventStream, Request, Response, WebSocket, WebSocketClosed
from microsock.json_codec import MAX_DEPTH, encode_json, json_text, parse_json
from microsock.testing import StillWaiting, TestClient

# JSON texts that a visitor may send, and that are to come back with the same value.
CAN_GO_BACK = {
    "a lone high surrogate": r'{"a":"\ud83d"}',
    "a lone low surrogate": r'{"a":"x\ude00y"}',
    "the two in the wrong order": r'{"a":"\ude00\ud83d"}',
    "a whole pair": r'{"a":"\ud83d\ude00"}',
    "a surrogate behind backslashes": r'{"a":"\\\\\ud83d\\u"}',
    "a surrogate in a name": r'{"\udfff":1}',
    "a surrogate beside letters": '{"a":"\\ud83d ü ☃"}',
    "the largest float": '{"a":[1.7976931348623157e308,-1.7976931348623157e308]}',
    "the smallest floats": '{"a":[5e-324,1e-999,-0.0]}',
    "many digits": '{"a":%s}' % ("7" * 4000),
    "as deep as it may be": '{"a":' + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1) + "}",
    "wide": '{"a":[' + ",".join(["[{}]"] * 3000) + "]}",
}
# What is no JSON, or so large that it could not go out again.
REFUSED = {
    "an exponent too large": '{"a":1e999}',
    "an exponent too large, negative": '{"a":-1e999}',
    "just over the largest float": '{"a":1.7976931348623159e308}',
    "400 digits and a fraction": '{"a":%s.5}' % ("9" * 400),
    "an exponent of many digits": '{"a":1E+0000000400}',
    "inside arrays": '{"a":[[0.5,[2e308]]]}',
    "NaN": '{"a":NaN}',
    "Infinity": '{"a":Infinity}',
    "minus Infinity": '{"a":-Infinity}',
    "5,000 digits": '{"a":%s}' % ("7" * 5000),
    "one too deep": '{"a":' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "}",
    "objects too deep": '{"a":' * 300 + "1" + "}" * 300,
    "deeper than Python recurses": "[" * 5000 + "]" * 5000,
    "so deep that it is never read": '{"a":' * 100_000,
}


def table(cases: dict[str, str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("text", cases.values(), ids=cases.keys())


# Values.


@table(CAN_GO_BACK)
def test_what_was_taken_can_be_said_again(text: str) -> None:
    value = parse_json(text)
    assert parse_json(json_text(value)) == value
    assert parse_json(encode_json(value)) == value
    assert json_text(value).encode() == encode_json(value)


@table(REFUSED)
def test_what_could_not_be_said_again_is_not_taken(text: str) -> None:
    for data in (text, text.encode()):
        with pytest.raises(ValueError) as refused:
            parse_json(data)
        assert "set_int_max_str_digits" not in str(refused.value)


def test_json_goes_out_as_utf_8_without_spaces() -> None:
    assert encode_json({"ü": [1, 2]}) == '{"ü":[1,2]}'.encode()


@settings(max_examples=50)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()), st.lists))
def test_it_says_what_python_says_and_refuses_what_json_has_not(value: Any) -> None:
    try:
        expected = json.dumps(value, allow_nan=False)
    except ValueError:
        with pytest.raises(ValueError):
            json_text(value)
        return
    assert json.loads(encode_json(value)) == json.loads(expected)


@settings(max_examples=50)
@given(st.text(st.characters(categories=["Cs", "Lu", "Po"])))
def test_any_text_goes_out_and_in_again(text: str) -> None:
    assert parse_json(encode_json([text])) == json.loads(json.dumps([text]))


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ({1: {2}}, TypeError, "set is not JSON serializable (at [1])"),
        ({"items": [1, {"price": float("nan")}]}, ValueError, "(at ['items'][1]['price'])"),
        ([float("inf")], ValueError, "(at [0])"),
        ({(1, 2): 3}, TypeError, "keys must be str"),
        ([0, (1, object())], TypeError, "(at [1][1])"),
    ],
)
def test_what_is_no_json_is_named_by_its_path(value: Any, error: type[Exception], message: str) -> None:
    for write in (json_text, encode_json):
        with pytest.raises(error) as refused:
            write(value)
        assert message in str(refused.value)


def test_a_value_without_an_end_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="Circular reference"):
        encode_json(endless)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="nested too deeply"):
        encode_json(deep)


# Over the wire.


def echo() -> App:
    app = App()

    @app.post("/returned")
    def returned(request: Request) -> Any:
        return request.json()

    @app.post("/response")
    def response(request: Request) -> Response:
        return Response(request.json())

    @app.post("/published")
    def published(request: Request) -> str:
        app.publish("all", request.json())
        return ""

    @app.get("/events")
    def events(request: Request) -> EventStream:
        return EventStream("all")

    @app.post("/event")
    def event(request: Request) -> Any:
        yield Event(request.json())

    @app.websocket("/function")
    def function(ws: WebSocket, message: dict[str, Any] | list[Any]) -> Any:
        return message

    @app.websocket("/generator")
    def generator(ws: WebSocket) -> Any:
        while True:
            ws.send((yield from ws.json()))

    return app


def back_over_a_websocket(client: TestClient, path: str, text: str) -> Any:
    ws = client.websocket(path)
    ws.send(text)
    try:
        return json.loads(ws.receive())
    except (WebSocketClosed, StillWaiting):
        assert ws.closed is not None
        return ws.closed[0]


@table(CAN_GO_BACK)
def test_every_way_out_takes_what_a_visitor_sent(text: str) -> None:
    value = json.loads(text)
    with echo().test_client() as client:
        for path in ("/returned", "/response"):
            assert json.loads(client.post(path, content=text).content) == value
        for path in ("/function", "/generator"):
            assert back_over_a_websocket(client, path, text) == value
        with client.events("/events") as events:
            assert client.post("/published", content=text).status_code == 200
            assert json.loads(events.receive().data) == value
        assert json.loads(client.post("/event", content=text).text.removeprefix("data: ")) == value


@table(REFUSED)
def test_what_cannot_go_out_is_its_senders_mistake(text: str, caplog: pytest.LogCaptureFixture) -> None:
    with echo().test_client() as client, caplog.at_level(logging.WARNING):
        for path in ("/returned", "/response", "/published"):
            assert client.post(path, content=text).status_code == 400
        for path in ("/function", "/generator"):
            assert back_over_a_websocket(client, path, text) == 1007
    assert caplog.text == ""


@pytest.mark.parametrize("value", [{"a": [float("nan")]}, ({"a": [float("inf")]}, 201), [{"a": {1}}]])
def test_what_an_app_gives_and_json_has_not_is_an_error_that_names_the_handler(
    value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()

    @app.get("/prices")
    def prices(request: Request) -> Any:
        return value

    @app.websocket("/quotes")
    def quotes(ws: WebSocket, message: str) -> Any:
        return value[0] if isinstance(value, tuple) else value

    with app.test_client() as client:
        assert client.get("/prices").status_code == 500
        assert "handler 'prices' returned what cannot be sent: " in caplog.text
        assert "['a']" in caplog.text
        caplog.clear()
        assert back_over_a_websocket(client, "/quotes", "x") == 1011
        assert "error in WebSocket handler 'quotes'" in caplog.text
