"""A strict reader of what a server sends: it takes nothing that RFC 9112 does not allow a server to generate.

Raises ``Malformed`` with what is wrong. Knows nothing of microsock.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection
from http import HTTPStatus

__all__ = ["Answer", "Malformed", "read_answers"]

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) ([\x21-\x7e][\x20-\x7e]*)")
_FIELD = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ?([\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?"
)
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,16}")
# Sun, 06 Nov 1994 08:49:37 GMT (RFC 9110 section 5.6.7)
_DATE = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT"
)
# Lines that make no sense twice.
_ONCE = ("content-length", "content-type", "date", "transfer-encoding", "location", "server", "allow")
_PHRASES = {status.value: {status.phrase} for status in HTTPStatus}
# The names of RFC 9110, which older Pythons do not know yet.
_PHRASES[413] |= {"Content Too Large"}
_PHRASES[414] |= {"URI Too Long"}
_PHRASES[416] |= {"Range Not Satisfiable"}
_PHRASES[422] |= {"Unprocessable Content"}


class Malformed(AssertionError):
    """The server sent what it must not send."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """One final answer.

    Attributes:
        fields: the header lines in order, names in lower case.
        body: as a client gets it, chunks joined.
        complete: False when the connection ended inside the body.
        interim: the statuses of the 1xx answers that came before it.
        tail: after a 101, the bytes of the other protocol.
    """

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes = b""
    complete: bool = True
    interim: tuple[int, ...] = ()
    tail: bytes = b""

    def all(self, name: str) -> list[str]:
        """The values of each line with this name (lower case)."""
        return [value for key, value in self.fields if key == name]

    def get(self, name: str) -> str:
        """The value of a line, lines of one name joined; empty where there is none."""
        return ", ".join(self.all(name))

    def options(self) -> list[str]:
        """The members of Connection, in lower case."""
        return [option.strip().lower() for option in self.get("connection").split(",") if option.strip()]


def read_answers(data: bytes, *, ended: bool, heads: Collection[int] = ()) -> list[Answer]:
    """All answers in ``data``; nothing may be left over.

    Args:
        ended: whether the server has ended its side of the connection.
        heads: the indices of the answers that answer a HEAD.
    """
    answers: list[Answer] = []
    interim: list[int] = []
    while data:
        status, fields, data = _read_head(data)
        if 100 <= status < 200 and status != 101:
            _need(not fields or status != 100, "a 100 with header lines, which some clients do not expect")
            interim.append(status)
            continue
        answer = Answer(status, fields, interim=tuple(interim))
        interim.clear()
        answer, data = _read_body(answer, data, ended=ended, head=len(answers) in heads)
        answers.append(answer)
    _need(not interim or not ended, "a 1xx that no final answer follows")
    return answers


def _need(holds: object, complaint: str) -> None:
    if not holds:
        raise Malformed(complaint)


def _read_head(data: bytes) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
    head, found, rest = data.partition(b"\r\n\r\n")
    _need(found, f"no end of the head in {data[:200]!r}")
    first, *lines = head.split(b"\r\n")
    match = _STATUS_LINE.fullmatch(first)
    if match is None:
        raise Malformed(f"status line {first[:100]!r}")
    status, phrase = int(match[1]), match[2].decode()
    _need(phrase in _PHRASES.get(status, {phrase}), f"phrase {phrase!r} for {status}")
    fields = tuple(_read_field(line) for line in lines)
    for name in _ONCE:
        _need(sum(key == name for key, _ in fields) <= 1, f"{name} twice")
    return status, fields, rest


def _read_field(line: bytes) -> tuple[str, str]:
    match = _FIELD.fullmatch(line)
    if match is None:
        raise Malformed(f"header line {line!r}")
    return match[1].decode().lower(), (match[2] or b"").decode("latin-1")


def _read_body(answer: Answer, data: bytes, *, ended: bool, head: bool) -> tuple[Answer, bytes]:
    length, coding = answer.get("content-length"), answer.get("transfer-encoding")
    _need(not (length and coding), "Content-Length with Transfer-Encoding (RFC 9112 section 6.2)")
    _need(coding in ("", "chunked"), f"Transfer-Encoding {coding!r}")
    _need(re.fullmatch(r"(0|[1-9][0-9]*)?", length), f"Content-Length {length!r}")
    if answer.status == 101:
        _need(not (length or coding), "a 101 with framing lines (RFC 9110 section 8.6)")
        return dataclasses.replace(answer, tail=data), b""
    dates = answer.all("date")
    _need(dates and _DATE.fullmatch(dates[0]), f"Date {dates} (RFC 9110 section 6.6.1)")
    if answer.status == 204:
        _need(not (length or coding), "a 204 with framing lines (RFC 9110 section 8.6)")
    if head or answer.status in (204, 304):
        return answer, data
    if coding:
        return _read_chunks(answer, data, ended=ended)
    if length:
        size = int(length)
        _need(len(data) >= size or ended, f"{len(data)} of {size} bytes of a body, and no end")
        return dataclasses.replace(answer, body=data[:size], complete=len(data) >= size), data[size:]
    _need(ended, f"a {answer.status} framed by the end of the connection, which has not ended")
    _need("close" in answer.options(), "a body until the end without Connection: close")
    return dataclasses.replace(answer, body=data), b""


def _read_chunks(answer: Answer, data: bytes, *, ended: bool) -> tuple[Answer, bytes]:
    body = b""
    while data:
        line, found, rest = data.partition(b"\r\n")
        if not found:
            break
        _need(_CHUNK_SIZE.fullmatch(line), f"chunk size {line!r}")
        size = int(line, 16)
        if size == 0 and rest.startswith(b"\r\n"):
            return dataclasses.replace(answer, body=body), rest[2:]
        if size == 0 or len(rest) < size + 2:
            body += rest[:size]
            break
        _need(rest[size : size + 2] == b"\r\n", f"chunk of {size} bytes without CRLF at its end")
        body += rest[:size]
        data = rest[size + 2 :]
    _need(ended, "chunks without the last one, and no end")
    return dataclasses.replace(answer, body=body, complete=False), b""
