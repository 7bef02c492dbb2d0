"""The access log: one line for each answer and, in the formats that have room for it, for each WebSocket's end.

Formats what a site reports; where the lines go is for the handlers of the logger ``microsock.access``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cache, lru_cache

from ..log import printable
from ..site import AccessEntry, Answered, SocketClosed

__all__ = ["FORMATS", "AccessLog"]

logger = logging.getLogger("microsock.access")

# strftime would name the months in the language of the locale.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# What log readers know for a client that left before its answer began; nginx has coined it.
_LEFT = 499


class AccessLog:
    """Writes an entry when called with it; costs next to nothing while nobody listens to the logger.

    Args:
        layout: ``dev``, ``common``, ``combined`` or ``json``.
        now: seconds since the epoch.
    """

    def __init__(self, layout: str = "dev", now: Callable[[], float] = time.time) -> None:
        self._formatted = FORMATS[layout]
        self._now = now

    def __call__(self, entry: AccessEntry) -> None:
        if logger.isEnabledFor(logging.INFO):
            line = self._formatted(entry, self._now())
            if line:
                # As ``logger.info``, but for a search of the stack for where this is called from: always from here.
                logger.handle(logger.makeRecord(logger.name, logging.INFO, __file__, 0, line, (), None, "access"))


# dev: for the eye.


def _dev(entry: AccessEntry, now: float) -> str:
    return f"{_clock(int(now))} {_answer(entry) if isinstance(entry, Answered) else _socket(entry)}"


@lru_cache(maxsize=2)
def _clock(seconds: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def _answer(entry: Answered) -> str:
    request = f"{entry.client} {printable(entry.method)} {printable(entry.path)}"
    return f"{request} {entry.status} {entry.size}B {entry.seconds * 1000:.1f}ms"


def _socket(entry: SocketClosed) -> str:
    traffic = f"in {entry.received} out {entry.sent}"
    return f"{entry.client} WS {printable(entry.path)} closed {entry.code} {entry.seconds:.0f}s {traffic}"


# common and combined: as Apache and nginx write them, for the programs that read those. They know requests only.


def _common(entry: AccessEntry, now: float) -> str:
    if not isinstance(entry, Answered):
        return ""
    version = entry.request.http_version if entry.request is not None else "1.1"
    asked = f"{_quoted(entry.method)} {_quoted(entry.path)} HTTP/{version}"
    return f'{entry.client or "-"} - - [{_date(int(now))}] "{asked}" {entry.status or _LEFT} {entry.size or "-"}'


def _combined(entry: AccessEntry, now: float) -> str:
    line = _common(entry, now)
    referer, agent = _headers(entry)
    return line and f'{line} "{_quoted(referer)}" "{_quoted(agent)}"'


@lru_cache(maxsize=2)
def _date(seconds: int) -> str:
    moment = time.localtime(seconds)
    return f"{moment.tm_mday:02}/{_MONTHS[moment.tm_mon - 1]}/{time.strftime('%Y:%H:%M:%S %z', moment)}"


def _quoted(text: str) -> str:
    # Each character is escaped once: a backslash that is doubled again would set the quote behind it free.
    return printable(text.replace("\\", "\\\\").replace('"', '\\"')) if text else "-"


_TOLD = frozenset((b"referer", b"user-agent"))


def _headers(entry: AccessEntry) -> tuple[str, str]:
    # Referer and User-Agent, of many lines the only ones that are wanted.
    found: dict[bytes, bytes] = {}
    for name, value in () if entry.request is None else entry.request.lines_of(_TOLD):
        found[name] = value if name not in found else found[name] + b", " + value
    return found.get(b"referer", b"").decode("latin-1"), found.get(b"user-agent", b"").decode("latin-1")


# json: an object a line, for machines.


def _json(entry: AccessEntry, now: float) -> str:
    # Put together by hand, in a third of the time of an encoder that is asked about each value. Texts are escaped to
    # ASCII, in which nobody can write a line of their own.
    text = _escape()
    if isinstance(entry, Answered):
        told = (
            f'"event":"answer","method":{text(entry.method)},"target":{text(entry.path)},'
            f'"status":{entry.status or "null"},"bytes":{entry.size}'
        )
    else:
        told = (
            f'"event":"websocket","target":{text(entry.path)},"code":{entry.code},'
            f'"received":{entry.received},"sent":{entry.sent}'
        )
    line = f'{{"time":"{_utc(now)}","client":{text(entry.client)},{told},"seconds":{entry.seconds:.6f}'
    request = entry.request
    if request is None:
        return line + "}"
    referer, agent = _headers(entry)
    return (
        f'{line},"scheme":{text(request.scheme)},"host":{text(request.host)},"version":"{request.http_version}",'
        f'"referer":{text(referer)},"user_agent":{text(agent)}}}'
    )


@cache
def _escape() -> Callable[[str], str]:
    from json.encoder import encode_basestring_ascii  # see `spare`

    return encode_basestring_ascii


def _utc(now: float) -> str:
    return f"{_utc_second(int(now))}.{int(now * 1000) % 1000:03}Z"


@lru_cache(maxsize=2)
def _utc_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


FORMATS: dict[str, Callable[[AccessEntry, float], str]] = {
    "dev": _dev,
    "common": _common,
    "combined": _combined,
    "json": _json,
}
