"""Lines that were judged before: what came in and what goes out, each line once and then remembered.

The tables save work; they are no authority. A line enters on its second sighting and leaves when a table is full, and
what several lines say together is never remembered. Only lines whose names are listed here enter, and only targets that
the app has registered as they are: whatever else a client sends, or the app answers, may be a secret, and would lie in
memory for long. Pure functions on bytes, beside the tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Hashable
from functools import cache
from typing import Any, Generic, TypeVar

from ..errors import LocalProtocolError, RemoteProtocolError, reason_phrase
from ..startup import NamedTuple
from .framing import checked_host

__all__ = ["BODYLESS", "FRAMING", "AnswerHead", "Field", "FieldTable", "HeadTable", "Line", "RequestLines"]

Field = tuple[bytes, bytes]

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# Any other method, and a target of another form, is for h11 to judge.
_METHODS = {name.encode(): name for name in ("GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS")}
# What may stand in a target: all that is visible but the fragment's mark.
_TARGET = bytes(set(range(0x21, 0x7F)) - {ord("#")})
# Of a value that comes in: no obs-text, so that this is a strict subset of what h11 takes.
_VISIBLE = bytes([9, *range(0x20, 0x7F)])
# Of one that goes out: obs-text too (RFC 9110 section 5.5).
_SENDABLE = bytes([*_VISIBLE, *range(0x80, 0x100)])
_MAX_LINES, _MAX_LINE, _MAX_NAME, _MAX_HEAD = 1024, 512, 64, 16
# Of requests: what browsers and other clients send again and again, and what tells nothing about a user. Not Referer,
# whose path may be one that only its user knows.
_REPEATED = frozenset((
    b"accept", b"accept-charset", b"accept-encoding", b"accept-language", b"cache-control", b"content-encoding",
    b"content-language", b"content-type", b"dnt", b"origin", b"pragma", b"priority", b"sec-ch-prefers-color-scheme",
    b"sec-ch-prefers-reduced-motion", b"sec-ch-ua", b"sec-ch-ua-arch", b"sec-ch-ua-bitness",
    b"sec-ch-ua-form-factors", b"sec-ch-ua-full-version", b"sec-ch-ua-full-version-list", b"sec-ch-ua-mobile",
    b"sec-ch-ua-model", b"sec-ch-ua-platform", b"sec-ch-ua-platform-version", b"sec-ch-ua-wow64", b"sec-fetch-dest",
    b"sec-fetch-mode", b"sec-fetch-site", b"sec-fetch-storage-access", b"sec-fetch-user", b"sec-gpc", b"te",
    b"upgrade-insecure-requests", b"user-agent", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto",
    b"x-requested-with",
))  # fmt: skip
# Of answers: what an app sets to the same value for everybody.
_CONSTANT = frozenset((
    b"accept-ranges", b"access-control-allow-credentials", b"access-control-allow-headers",
    b"access-control-allow-methods", b"access-control-allow-origin", b"access-control-expose-headers",
    b"access-control-max-age", b"allow", b"alt-svc", b"cache-control", b"connection", b"content-encoding",
    b"content-language", b"content-length", b"content-security-policy", b"content-type",
    b"cross-origin-embedder-policy", b"cross-origin-opener-policy", b"cross-origin-resource-policy",
    b"permissions-policy", b"pragma", b"ratelimit-policy", b"referrer-policy", b"retry-after", b"server",
    b"strict-transport-security", b"transfer-encoding", b"vary", b"x-accel-buffering", b"x-content-type-options",
    b"x-dns-prefetch-control", b"x-frame-options", b"x-permitted-cross-domain-policies", b"x-powered-by",
    b"x-robots-tag", b"x-served-by", b"x-xss-protection",
))  # fmt: skip
# Each request's own: what these say is looked at every time.
SPECIAL = {b"host", b"content-length", b"connection", b"transfer-encoding", b"expect", b"upgrade"}
_LENGTH = re.compile(rb"[0-9]{1,19}")
_CLOSES = {b"close": True, b"keep-alive": False}
# Statuses whose answers have no content (RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5).
BODYLESS = (204, 205, 304)
# What the server decides, whatever the app says.
FRAMING = {b"content-length", b"transfer-encoding", b"connection", b"date", b"keep-alive"}


K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memory(Generic[K, V]):
    """Verdicts on what was seen twice: at most 1,024, and as many keys of what was seen once."""

    __slots__ = ("_seen", "known")

    def __init__(self) -> None:
        self.known: dict[K, V] = {}
        self._seen: set[K] = set()

    def remember(self, key: K, verdict: V) -> None:
        """Keep a verdict, if this is the second time it comes. A full table starts again."""
        if key in self._seen:
            if len(self.known) >= _MAX_LINES:
                self.known.clear()
            self.known[key] = verdict
            return
        if len(self._seen) >= _MAX_LINES:
            self._seen.clear()
        self._seen.add(key)


class RequestLines(Memory[bytes, tuple[str, str]]):
    """Request lines by their bytes: method and target."""

    __slots__ = ()

    def judge(self, line: bytes, targets: Container[tuple[str, str]] = ()) -> tuple[str, str] | None:
        """Method and target of a line that is not known; None where h11 is to judge it.

        Only one of ``targets`` may be remembered: in any other, a path parameter or a query may be a secret.
        """
        method, _, rest = line.partition(b" ")
        name, target = _METHODS.get(method), rest[:-9]
        if name is None or not (rest.startswith(b"/") and rest.endswith(b" HTTP/1.1")):
            return None
        if target.translate(None, _TARGET):
            return None
        parts = name, target.decode("ascii")
        if parts in targets and len(line) <= _MAX_LINE:
            self.remember(line, parts)
        return parts


Judged = tuple[Field, str, Any]
"""One line of a request that is plain for itself: its name in lower case and its value; for one that frames the
message what it tells, ``host``, ``length`` or ``closes``, else nothing; and that: a str, an int or a bool."""


class FieldTable(Memory[bytes, Field]):
    """Request lines by their bytes: name in lower case, and value. None that frames the message is in ``known``."""

    __slots__ = ("_names", "framing")

    def __init__(self) -> None:
        super().__init__()
        self._names: dict[bytes, bytes] = {}
        self.framing: Memory[bytes, Judged] = Memory()
        """Those that do. Only what each says is remembered; whether they go together is looked at every time."""

    def judge(self, line: bytes) -> Judged | None:
        """What a line says that is not known; None where h11 is to judge it."""
        name, colon, value = line.partition(b":")
        lower = self._names.get(name) or self._judge_name(name)
        if lower is None or not colon or value.translate(None, _VISIBLE):
            return None
        field = (lower, value.strip(b" \t"))
        judge = _JUDGES.get(lower)
        if judge is not None:
            judged = judge(field)
            if judged is not None and len(line) <= _MAX_LINE:
                self.framing.remember(line, judged)
            return judged
        if lower in _REPEATED and len(line) <= _MAX_LINE:
            self.remember(line, field)
        return field, "", None

    def _judge_name(self, name: bytes) -> bytes | None:
        # A line that never comes twice has a name that does.
        if len(name) > _MAX_NAME or not _TOKEN.fullmatch(name):
            return None
        if len(self._names) >= _MAX_LINES:
            self._names.clear()
        self._names[name] = lower = name.lower()
        return lower


def _host(field: Field) -> Judged | None:
    try:
        return field, "host", checked_host(field[1].decode("ascii"))
    except RemoteProtocolError:
        return None


def _length(field: Field) -> Judged | None:
    return (field, "length", int(field[1])) if _LENGTH.fullmatch(field[1]) else None


def _connection(field: Field) -> Judged | None:
    closes = _CLOSES.get(field[1].lower())
    return None if closes is None else (field, "closes", closes)


def _never(field: Field) -> None:
    return None


# Each request's own. Of the others that frame a message none is ordinary.
_JUDGES: dict[bytes, Callable[[Field], Judged | None]] = {
    b"host": _host,
    b"content-length": _length,
    b"connection": _connection,
    b"transfer-encoding": _never,
    b"expect": _never,
    b"upgrade": _never,
}


class Line(NamedTuple):
    """A line that goes out."""

    name: bytes
    value: bytes
    raw: bytes
    """As it goes over the wire, with its line end; empty for one whose place is the server's to fill."""
    lasting: bool
    """Whether it may be remembered."""


class AnswerHead:
    """The head of an answer as the app gave it, judged.

    Attributes:
        status: from 200 to 599.
        lines: all of them.
        raw: status line and lines as they go over the wire, but for those whose place is the server's to fill.
        framing: whether there are such lines.
        plain: whether there are none, and the status is one that has a body.
    """

    __slots__ = ("framing", "lines", "plain", "raw", "status")

    def __init__(self, status: int, lines: tuple[Line, ...]) -> None:
        raws = [line.raw for line in lines]
        self.status = status
        self.lines = lines
        self.raw = _status_line(status) + b"".join(raws)
        self.framing = b"" in raws
        self.plain = not self.framing and status not in BODYLESS


@cache
def _status_line(status: int) -> bytes:
    return f"HTTP/1.1 {status} {reason_phrase(status)}\r\n".encode("ascii")


class HeadTable(Memory[tuple[int, tuple[tuple[str, str], ...]], AnswerHead]):
    """Heads of answers by status and lines, as the app gave them."""

    __slots__ = ("_lines", "_names")

    def __init__(self) -> None:
        super().__init__()
        self._lines: Memory[tuple[str, str], Line] = Memory()
        self._names: Memory[str, tuple[bytes, bytes]] = Memory()

    def judge(self, status: int, pairs: tuple[tuple[str, str], ...]) -> AnswerHead:
        """A head that is not known. Raises ``LocalProtocolError`` for a line that must not be sent."""
        known = self._lines.known
        lines = [known.get(pair) or self._judge(pair) for pair in pairs]
        head = AnswerHead(status, tuple(lines))
        if len(lines) <= _MAX_HEAD:
            for line in lines:
                if not line.lasting:
                    break
            else:
                self.remember((status, pairs), head)
        return head

    def _judge(self, pair: tuple[str, str]) -> Line:
        name, value = pair
        try:
            known = self._names.known.get(name) or self._judge_name(name)
            sent = value.encode("latin-1")
        except UnicodeEncodeError as error:
            raise LocalProtocolError(f"header line {pair!r} has characters outside Latin-1") from error
        if known is None or sent.translate(None, _SENDABLE) or sent != sent.strip(b" \t"):
            raise LocalProtocolError(f"illegal header line {pair!r}")
        raw_name, lower = known
        raw = b"" if lower in FRAMING else b"%b: %b\r\n" % (raw_name, sent)
        # A nonce of a policy is another in each answer, and for its page alone.
        lasting = lower in _CONSTANT and len(raw_name) + len(sent) <= _MAX_LINE and b"'nonce-" not in sent
        line = Line(raw_name, sent, raw, lasting)
        if lasting:
            self._lines.remember(pair, line)
        return line

    def _judge_name(self, name: str) -> tuple[bytes, bytes] | None:
        # A line that is never sent twice has a name that is.
        raw = name.encode("ascii")
        if not _TOKEN.fullmatch(raw):
            return None
        known = raw, raw.lower()
        if len(raw) <= _MAX_NAME:
            self._names.remember(name, known)
        return known
