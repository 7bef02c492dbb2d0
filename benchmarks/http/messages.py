"""What goes over the wire, made before the clock runs, and what must come back."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from functools import lru_cache
from itertools import count, cycle
from typing import NamedTuple

from ..processes import HOST

__all__ = ["BROWSER", "CLOSE", "Exchange", "bare", "bodies", "documents", "json_answers", "unique", "users"]

HELLO = b"Hello, world!"

BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
    "Accept-Encoding: gzip, deflate, br, zstd",
    'sec-ch-ua: "Chromium";v="142", "Not_A Brand";v="99"',
    "sec-ch-ua-mobile: ?0",
    'sec-ch-ua-platform: "Linux"',
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: none",
    "Upgrade-Insecure-Requests: 1",
    "Cookie: session=eyJ1c2VyIjo0Mn0.aXk0; theme=dark",
)
"""With Host they are the thirteen header lines of a browser."""

CLOSE = ("Connection: close",)


class Exchange(NamedTuple):
    """A request and the body of the answer that is due; its status must be 200."""

    sent: bytes
    body: bytes
    is_json: bool = False
    """The body may be another spelling of the same JSON."""

    def allows(self, body: bytes) -> bool:
        """Whether this is the body that is due."""
        return body == self.body or (self.is_json and _same(body, self.body))


@lru_cache(maxsize=4096)
def _same(body: bytes, due: bytes) -> bool:
    try:
        return bool(json.loads(body) == json.loads(due))
    except ValueError:
        return False


def bare(lines: tuple[str, ...] = ()) -> Iterator[Exchange]:
    """The same small request again and again, with these header lines behind its Host."""
    return cycle([Exchange(_request("GET /", lines), HELLO)])


def unique() -> Iterator[Exchange]:
    """As a browser asks, and one more header line that never comes twice: an id."""
    before, after = _request("GET /", (*BROWSER, "X-Request-Id: *")).rsplit(b"*", 1)
    for number in count(random.getrandbits(60)):
        yield Exchange(b"%s%016x%s" % (before, number, after), HELLO)


def json_answers() -> Iterator[Exchange]:
    """A small document."""
    return cycle([Exchange(_request("GET /json"), _dumped({"message": HELLO.decode()}), is_json=True)])


def users() -> Iterator[Exchange]:
    """A hundred paths with a number in them, which must come back as one."""
    made = []
    for number in range(100):
        document = {"id": number, "name": f"user {number}"}
        made.append(Exchange(_request(f"GET /users/{number}"), _dumped(document), is_json=True))
    return cycle(made)


def documents() -> Iterator[Exchange]:
    """JSON of about 1 KiB, to be read and written again."""
    source = random.Random(1024)
    made = []
    for number in range(61):
        notes = [
            {"id": source.getrandbits(20), "done": bool(i % 2), "text": "a note of some length"} for i in range(16)
        ]
        body = _dumped({"number": number, "notes": notes})
        made.append(Exchange(_request("POST /json", ("Content-Type: application/json",), body), body, is_json=True))
    return cycle(made)


def bodies(size: int, different: int = 8) -> Iterator[Exchange]:
    """Random bytes, to be sent back as they are."""
    source = random.Random(size)
    contents = [source.randbytes(size) for _ in range(different)]
    lines = ("Content-Type: application/octet-stream",)
    return cycle([Exchange(_request("POST /echo", lines, content), content) for content in contents])


def _request(line: str, lines: tuple[str, ...] = (), body: bytes = b"") -> bytes:
    length = (f"Content-Length: {len(body)}",) if body else ()
    head = "\r\n".join([f"{line} HTTP/1.1", f"Host: {HOST}", *lines, *length, "", ""])
    return head.encode() + body


def _dumped(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
