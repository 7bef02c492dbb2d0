"""The messages between a worker's bus and the relay."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microsock import envelope

TOPICS = st.text(st.characters(categories=None), max_size=256)  # a topic may be any str, lone surrogates too
DATA = st.text(st.characters(exclude_categories=["Cs"])) | st.binary()
IDS = st.none() | st.text("0123456789abcdef", min_size=1, max_size=32)
NUMBERS = st.integers(0, (1 << 64) - 1)


@given(TOPICS, DATA, IDS, st.booleans(), NUMBERS)
def test_what_is_published_comes_out_as_it_went_in(
    topic: str, data: str | bytes, exclude: str | None, retain: bool, number: int
) -> None:
    message = envelope.publish_message(topic, data, exclude, retain)
    content = message[1:]
    said = envelope.Content(topic, data, exclude, retain)
    assert message[:1] == envelope.PUBLISH
    assert envelope.content_about(content) == (topic, retain)
    assert envelope.read_content(content) == said
    assert envelope.read_record(envelope.record_message(number, content)) == (number, said)
    remembered = envelope.read_history(envelope.history_message(number, not retain, content))
    assert remembered == (number, said._replace(retain=not retain))


@given(TOPICS, st.integers(3000, 4999), st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_a_closing_comes_out_as_it_went_in(topic: str, code: int, reason: str) -> None:
    assert envelope.read_close(envelope.close_message(topic, code, reason)) == (topic, code, reason)


@given(TOPICS, st.integers(0, (1 << 32) - 1), NUMBERS)
def test_a_wish_to_keep_and_one_to_join_come_out_as_they_went_in(topic: str, count: int, number: int) -> None:
    assert envelope.read_keep(envelope.keep_message(topic, count)) == (topic, count)
    assert envelope.read_join(envelope.join_message(number)) == number


def test_a_history_without_end_is_the_longest_that_can_be_said() -> None:
    assert envelope.read_keep(envelope.keep_message("a", 1 << 40)) == ("a", (1 << 32) - 1)


@given(st.lists(st.tuples(TOPICS, st.integers(0, (1 << 32) - 1))))
def test_counts_come_out_as_they_went_in(counts: list[tuple[str, int]]) -> None:
    assert envelope.read_subscribers(envelope.subscribers_message(counts)) == counts


READERS: list[Callable[[bytes], object]] = [
    envelope.content_about,
    envelope.read_content,
    envelope.read_record,
    envelope.read_history,
    envelope.read_join,
    envelope.read_more,
    envelope.read_close,
    envelope.read_keep,
    envelope.read_subscribers,
]


@pytest.mark.parametrize("read", READERS)
@given(message=st.binary())
def test_nonsense_is_a_value_error_and_nothing_else(read: Callable[[bytes], object], message: bytes) -> None:
    with suppress(ValueError):
        read(message)


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (envelope.read_content, envelope.publish_message("topic", "data")[1:9]),
        (envelope.read_content, b"\xff" + envelope.publish_message("topic", "data")[2:]),
        (envelope.read_content, envelope.publish_message("topic", b"\xff")[1:].replace(b"\2", b"\0", 1)),
        (envelope.read_content, envelope.publish_message("t" * 1025, "")[1:]),
        (envelope.read_content, envelope.publish_message("topic", "")[1:].replace(b"topic", b"\xfftopi")),
        (envelope.read_content, envelope.publish_message("topic", "", "left out")[1:].replace(b"left", b"\xffeft")),
        (envelope.read_record, b"R123"),
        (envelope.read_more, b"M123"),
        (envelope.read_close, envelope.close_message("topic", 1005, "")),
        (envelope.read_close, envelope.close_message("topic", 0, "")),
        (envelope.read_close, envelope.close_message("topic", 1000, "x" * 124)),
        (envelope.read_close, envelope.close_message("topic", 1000, "\ud800")),
        (envelope.read_close, envelope.close_message("t" * 1025, 1000, "")),
        (envelope.read_keep, envelope.keep_message("t" * 1025, 1)),
        (envelope.read_subscribers, envelope.subscribers_message([("t" * 1025, 1)])),
        (envelope.read_subscribers, envelope.subscribers_message([("t" * 1000, 1)] * 2000)),
        (envelope.read_close, envelope.close_message("topic", 1000, "")[:-1]),
        (envelope.read_keep, b"K"),
        (envelope.read_keep, envelope.keep_message("a", 1) + envelope.keep_message("b", 1)[1:]),
        (envelope.read_subscribers, envelope.subscribers_message([("topic", 3)])[:-1]),
    ],
)
def test_what_is_cut_or_bent_is_refused(read: Callable[[bytes], object], message: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(message)


@given(st.binary())
def test_what_the_relay_takes_a_worker_can_read(content: bytes) -> None:
    try:
        about = envelope.content_about(content)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            envelope.read_content(content)
    else:
        said = envelope.read_content(content)
        assert about == (said.topic, said.retain)


@pytest.mark.parametrize("payload", [b"\xff", b"\xed\xa0\x80", "ü".encode()[:1], b"x" * 100_000 + b"\x80"])
def test_a_text_that_is_no_utf_8_is_refused_where_it_comes_in(payload: bytes) -> None:
    binary = bytearray(envelope.publish_message("topic", payload)[1:])
    assert envelope.content_about(bytes(binary)) == ("topic", False)
    binary[0] &= ~2  # says: a text
    with pytest.raises(UnicodeDecodeError):
        envelope.content_about(bytes(binary))


@given(st.integers())
def test_a_count_that_has_no_room_is_said_as_the_nearest_that_has(count: int) -> None:
    ((_, said),) = envelope.read_subscribers(envelope.subscribers_message([("topic", count)]))
    assert said == sorted((0, count, (1 << 32) - 1))[1]
