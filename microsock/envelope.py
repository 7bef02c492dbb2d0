"""What workers and their relay say to each other about what is published: a kind, some numbers and texts, a payload.

Values in, bytes out, and back. All that a message says is checked when it is read: lengths, ranges, UTF-8; whoever
reads what is no message gets a ``ValueError``. A message's first byte is its kind, an upper-case letter; all numbers
are big-endian. Knows no channel, and who says what when is the bus's.

    P  publish      letter                     → relay   flags, lengths, topic, exclude, payload: the letter's "content"
    O  offer        content                    → relay, from each worker when it starts: published unless it was before
    R  record       number, content            → worker
    H  history      number, is retained, content → worker, while it joins
    M  more         number                     → worker, while it joins: all up to here was sent, ask on with J
    W  welcome      –                          → worker: it has all
    J  join         number                     → relay   the last one known
    C  close        code, topic, reason        both ways
    K  keep         count, topic               both ways
    S  subscribers  (count, topic)…            both ways: own ones → relay, all others' → worker
    L  lead         0 or 1                     → worker; L 0 → relay: does so no longer
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import Struct, error

from .startup import NamedTuple
from .topics import MAX_TOPIC_BYTES
from .websocket import check_close

__all__ = [
    "CLOSE", "HISTORY", "JOIN", "KEEP", "LEAD", "LEADS", "LEADS_NOT", "MAX_COUNTS_BYTES", "MAX_MESSAGE_BYTES", "MORE",
    "OFFER", "PUBLISH", "RECORD", "SUBSCRIBERS", "WELCOME", "Closing", "Content", "checked_size", "close_message",
    "content_about", "history_message", "join_message", "keep_message", "more_message", "number_of", "offer_message",
    "publish_message", "read_close", "read_content", "read_history", "read_join", "read_keep", "read_more",
    "read_record", "read_subscribers", "record_message", "subscribers_message",
]  # fmt: skip

PUBLISH, OFFER, RECORD, HISTORY, MORE, WELCOME = b"P", b"O", b"R", b"H", b"M", b"W"
JOIN, CLOSE, KEEP, SUBSCRIBERS, LEAD = b"J", b"C", b"K", b"S", b"L"
LEADS, LEADS_NOT = LEAD + b"\1", LEAD + b"\0"

MAX_MESSAGE_BYTES = 4 << 20
"""The longest message over several workers. Four of them fit into what may wait for one worker."""

MAX_COUNTS_BYTES = 1 << 20
"""The longest S: whoever reads one does nothing else meanwhile."""

_MAX_COUNT = 0xFFFF_FFFF
_RETAIN, _BINARY = 1, 2
_CONTENT = Struct(">BIB")  # flags, bytes of the topic, bytes of the WebSocket's id that is left out
_NUMBER = Struct(">Q")
_HISTORY = Struct(">QB")
_CLOSE = Struct(">HI")
_COUNT = Struct(">II")


class Content(NamedTuple):
    """What was published, and how."""

    topic: str
    data: str | bytes
    exclude: str | None
    retain: bool


class Closing(NamedTuple):
    """A topic whose members are to be closed."""

    topic: str
    code: int
    reason: str


def checked_size(message: bytes) -> bytes:
    """A message that is not too long. Raises ``ValueError``."""
    if len(message) > MAX_MESSAGE_BYTES:
        raise ValueError(
            f"{len(message)} bytes are too many to publish over several workers, which takes {MAX_MESSAGE_BYTES} at "
            "once; publish in parts, or where the data is to be had"
        )
    return message


def publish_message(topic: str, data: str | bytes, exclude: str | None = None, retain: bool = False) -> bytes:
    """P. ``exclude`` is the id of a WebSocket that is not to get it, at most 255 bytes."""
    name, left_out = _encode(topic), _encode(exclude or "")
    flags = _RETAIN * retain | _BINARY * isinstance(data, bytes)
    payload = data.encode() if isinstance(data, str) else data
    return b"".join((PUBLISH, _CONTENT.pack(flags, len(name), len(left_out)), name, left_out, payload))


def offer_message(topic: str, data: str | bytes) -> bytes:
    """O."""
    return OFFER + publish_message(topic, data, None, retain=True)[1:]


def content_about(content: bytes) -> tuple[str, bool]:
    """The topic of a content and whether to retain it. All of it is checked, so that ``read_content`` will take it."""
    topic, _, payload, flags = _parts(content)
    if not flags & _BINARY and not payload.isascii():
        payload.decode()
    return topic, bool(flags & _RETAIN)


def read_content(content: bytes) -> Content:
    """All that a content says."""
    topic, exclude, payload, flags = _parts(content)
    data = payload if flags & _BINARY else payload.decode()
    return Content(topic, data, exclude, bool(flags & _RETAIN))


def _parts(content: bytes) -> tuple[str, str | None, bytes, int]:
    flags, name, left_out = _unpacked(_CONTENT, content)
    middle = _CONTENT.size + name
    end = middle + left_out
    if len(content) < end or flags > _RETAIN | _BINARY:
        raise ValueError(f"no published message: {content!r:.60}")
    return _topic(content[_CONTENT.size : middle]), _decode(content[middle:end]) or None, content[end:], flags


def record_message(number: int, content: bytes) -> bytes:
    """R."""
    return RECORD + _NUMBER.pack(number) + content


def number_of(message: bytes) -> int:
    """The number of R or H, whatever its content is."""
    (number,) = _unpacked(_NUMBER, message, 1)
    return number


def read_record(message: bytes) -> tuple[int, Content]:
    """The number and content of R."""
    return number_of(message), read_content(message[1 + _NUMBER.size :])


def history_message(number: int, is_retained: bool, content: bytes) -> bytes:
    """H."""
    return HISTORY + _HISTORY.pack(number, is_retained) + content


def read_history(message: bytes) -> tuple[int, Content]:
    """The number and content of H; ``retain`` tells whether it is its topic's value now."""
    number, is_retained = _unpacked(_HISTORY, message, 1)
    return number, read_content(message[1 + _HISTORY.size :])._replace(retain=bool(is_retained))


def join_message(number: int) -> bytes:
    """J: all up to this number is known."""
    return JOIN + _NUMBER.pack(number)


def read_join(message: bytes) -> int:
    """The number of J."""
    return number_of(message)


def more_message(number: int) -> bytes:
    """M: all up to this number was sent."""
    return MORE + _NUMBER.pack(number)


def read_more(message: bytes) -> int | None:
    """The number of M, if it has one."""
    return number_of(message) if len(message) > 1 else None


def close_message(topic: str, code: int, reason: str) -> bytes:
    """C."""
    name = _encode(topic)
    return CLOSE + _CLOSE.pack(code, len(name)) + name + _encode(reason)


def read_close(message: bytes) -> Closing:
    """What C says."""
    code, name = _unpacked(_CLOSE, message, 1)
    begin = 1 + _CLOSE.size
    if len(message) < begin + name:
        raise ValueError(f"no closing of a topic: {message!r:.60}")
    closing = Closing(_topic(message[begin : begin + name]), code, message[begin + name :].decode())
    check_close(closing.code, closing.reason)
    return closing


def keep_message(topic: str, count: int) -> bytes:
    """K."""
    name = _encode(topic)
    return KEEP + _COUNT.pack(min(count, _MAX_COUNT), len(name)) + name


def read_keep(message: bytes) -> tuple[str, int]:
    """The topic and count of K."""
    ((topic, count),) = _pairs(message)
    return topic, count


def subscribers_message(counts: Iterable[tuple[str, int]]) -> bytes:
    """S. A count past what it has room for is said as the most that it has."""
    pieces = [SUBSCRIBERS]
    for topic, count in counts:
        name = _encode(topic)
        pieces += (_COUNT.pack(max(0, min(count, _MAX_COUNT)), len(name)), name)
    return b"".join(pieces)


def read_subscribers(message: bytes) -> list[tuple[str, int]]:
    """The topics and counts of S."""
    if len(message) > MAX_COUNTS_BYTES:
        raise ValueError(f"{len(message)} bytes are too many for counts of followers")
    return list(_pairs(message))


def _pairs(message: bytes) -> Iterator[tuple[str, int]]:
    position = 1
    while position < len(message):
        count, size = _unpacked(_COUNT, message, position)
        begin = position + _COUNT.size
        position = begin + size
        if len(message) < position:
            raise ValueError(f"a count without its topic: {message!r:.60}")
        yield _topic(message[begin:position]), count


def _unpacked(form: Struct, message: bytes, position: int = 0) -> tuple[int, ...]:
    try:
        return form.unpack_from(message, position)
    except error:
        raise ValueError(f"a message that is too short: {message!r:.60}") from None


def _encode(text: str) -> bytes:
    # A topic may be any str, lone surrogates too.
    return text.encode(errors="surrogatepass")


def _decode(text: bytes) -> str:
    return text.decode(errors="surrogatepass")


def _topic(name: bytes) -> str:
    if len(name) > MAX_TOPIC_BYTES:
        raise ValueError(f"a topic of {len(name)} bytes; it has at most {MAX_TOPIC_BYTES}")
    return _decode(name)
