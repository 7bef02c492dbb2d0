from __future__ import annotations

from collections.abc import Iterator

import pytest

from microsock import sleep
from microsock.streaming import BodyStream
from microsock.waits import Receive, Sleep


def pulled(stream: BodyStream) -> list[object]:
    return list(iter(stream.pull, None))


def test_pieces_come_one_by_one_as_bytes() -> None:
    stream = BodyStream(["grüß", b"dich", bytearray(b"a"), memoryview(b"b")])
    assert pulled(stream) == ["grüß".encode(), b"dich", b"a", b"b"]
    assert stream.pull() is None


def test_an_empty_piece_is_told_so_that_a_turn_may_end_behind_it() -> None:
    assert pulled(BodyStream(["", b"", "a", "b", b""])) == [b"", b"", b"a", b"b", b""]


@pytest.mark.parametrize(
    ("items", "expected"),
    [(["a"], "text/html; charset=utf-8"), ([b"a"], "application/octet-stream"), ([], "application/octet-stream")],
)
def test_the_first_item_tells_the_content_type(items: list[object], expected: str) -> None:
    stream = BodyStream(items)
    stream.pull()
    assert stream.content_type == expected


def test_a_sleep_is_passed_on() -> None:
    def body() -> Iterator[object]:
        yield "a"
        yield from sleep(2)
        yield "b"

    assert pulled(BodyStream(body())) == [b"a", Sleep(2), b"b"]


@pytest.mark.parametrize(
    ("item", "complaint"),
    [(1, "yields str, bytes or Event, not int$"), (None, "not NoneType"), (Receive(), "can only wait by sleep")],
)
def test_any_other_item_is_a_mistake(item: object, complaint: str) -> None:
    with pytest.raises(TypeError, match=complaint):
        BodyStream([item]).pull()


def test_what_the_producer_raises_passes_through() -> None:
    def body() -> Iterator[str]:
        yield "a"
        raise ValueError("on purpose")

    stream = BodyStream(body())
    assert stream.pull() == b"a"
    with pytest.raises(ValueError, match="on purpose"):
        stream.pull()


def test_an_iterable_is_asked_for_its_iterator_with_the_first_pull() -> None:
    class Broken:
        def __iter__(self) -> Iterator[str]:
            raise ValueError("on purpose")

    stream = BodyStream(Broken())
    with pytest.raises(ValueError, match="on purpose"):
        stream.pull()


def test_close_tells_the_producer() -> None:
    told = []

    def body() -> Iterator[str]:
        try:
            yield "a"
        except GeneratorExit:
            told.append("closed")
            raise

    stream = BodyStream(body())
    stream.pull()
    stream.close()
    assert told == ["closed"]


def test_what_cannot_be_closed_is_left_alone() -> None:
    BodyStream(["a"]).close()


def test_a_piece_can_be_put_back() -> None:
    stream = BodyStream(["a", "b"])
    piece = stream.pull()
    assert isinstance(piece, bytes)
    assert list(stream.from_piece(piece)) == [b"a", "b"]
    assert pulled(BodyStream(BodyStream([]).from_piece(None))) == [b""]
