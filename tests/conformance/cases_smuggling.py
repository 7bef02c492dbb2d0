"""Two readings of where a body ends: what is refused so that no second one is left (RFC 9112 sections 6.1, 11.2)."""

from __future__ import annotations

from .case import HOST, NEXT, SHOULD, Case, ask, must, post, refuse
from .checks import body, saw

__all__ = ["CASES"]

_END = b"0\r\n\r\n"
_CHUNKS = b"5\r\nhello\r\n" + _END
_HEAD = b"HEAD /next HTTP/1.1\r\nHost: a\r\n\r\n"


def _both(coding: bytes, payload: bytes = _END, length: bytes | None = None) -> bytes:
    """A request with a Transfer-Encoding line of our choice beside a Content-Length."""
    size = b"%d" % len(payload) if length is None else length
    return post(coding, b"Content-Length: " + size, body=payload)


def _coding(*values: bytes, payload: bytes = _CHUNKS) -> bytes:
    return post(*[b"Transfer-Encoding: " + value for value in values], body=payload)


_BOTH: list[Case] = [
    refuse("9112 6.1", "A length before chunked is refused",
        post(b"Content-Length: 15", b"Transfer-Encoding: chunked", body=_CHUNKS), ours=True),
    refuse("9112 6.1", "A length behind chunked is refused", _both(b"Transfer-Encoding: chunked", _CHUNKS), ours=True),
    refuse("9112 6.1", "A length shorter than the chunks is refused",
        _both(b"Transfer-Encoding: chunked", _END, b"4"), ours=True),
    refuse("9112 6.1", "A length longer than the chunks is refused",
        _both(b"Transfer-Encoding: chunked", _END, b"30"), ours=True),
    refuse("9112 6.1", "A length of nought beside chunked is refused",
        _both(b"Transfer-Encoding: chunked", _CHUNKS, b"0"), ours=True),
    refuse("9112 6.1", "A length that agrees with the chunks is refused",
        _both(b"Transfer-Encoding: chunked", b"5\r\nhello\r\n" + _END), ours=True),
    refuse("9112 6.1", "A byte behind the chunks poisons no next request",
        _both(b"Transfer-Encoding: chunked", _END + b"X", b"6") + NEXT, ours=True),
    refuse("9112 6.1", "A GET behind the chunks and within the length is not answered",
        _both(b"Transfer-Encoding: chunked", _END + NEXT), ours=True),
    refuse("9112 6.1", "A HEAD behind the chunks and within the length is not answered",
        _both(b"Transfer-Encoding: chunked", _END + _HEAD), ours=True),
    refuse("9112 6.1", "A GET inside a chunk and behind the length is not answered",
        _both(b"Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(NEXT), NEXT), b"4"), ours=True),
    refuse("9112 6.1", "A length with a plus sign beside chunked is refused",
        _both(b"Transfer-Encoding: chunked", _END + NEXT, b"+%d" % len(_END + NEXT)), ours=True),
    refuse("9112 6.1", "A length with a letter beside chunked is refused",
        _both(b"Transfer-Encoding: chunked", _END + NEXT, b"%dx" % len(_END + NEXT)), ours=True),
    refuse("9112 6.1", "A length beside chunked is refused on a GET",
        ask(b"GET / HTTP/1.1", b"Transfer-Encoding: chunked", b"Content-Length: 5", body=_END), ours=True),
    refuse("9112 6.1", "A length beside chunked is refused with Connection: close too",
        post(b"Connection: close", b"Transfer-Encoding: chunked", b"Content-Length: 5", body=_END), ours=True),
]  # fmt: skip

# Ways to write the coding that one reader takes for chunked and another does not. Beside a length each is refused.
_DISGUISES = [
    ("in mixed case", b"Transfer-Encoding: ChUnKeD"),
    ("with its name in capitals", b"TRANSFER-ENCODING: chunked"),
    ("with a tab before it", b"Transfer-Encoding:\tchunked"),
    ("with two spaces before it", b"Transfer-Encoding:  chunked"),
    ("with a space behind it", b"Transfer-Encoding: chunked "),
    ("with a tab behind it", b"Transfer-Encoding: chunked\t"),
    ("without white space", b"Transfer-Encoding:chunked"),
    ("with a comma before it", b"Transfer-Encoding: , chunked"),
    ("with a comma behind it", b"Transfer-Encoding: chunked,"),
    ("twice on a line", b"Transfer-Encoding: chunked, chunked"),
    ("before identity", b"Transfer-Encoding: chunked, identity"),
    ("behind identity", b"Transfer-Encoding: identity, chunked"),
    ("before cow", b"Transfer-Encoding: chunked, cow"),
    ("behind cow", b"Transfer-Encoding: cow, chunked"),
    ("in words with cow", b"Transfer-Encoding: cow chunked bar"),
    ("on two lines", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    ("on a line before identity", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
    ("on a line behind identity", b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked"),
    ("on a line behind an empty one", b"Transfer-Encoding:\r\nTransfer-Encoding: chunked"),
    ("with a parameter", b"Transfer-Encoding: chunked;ext=val"),
    ("in double quotes", b'Transfer-Encoding: "chunked"'),
    ("in single quotes", b"Transfer-Encoding: 'chunked'"),
    ("a letter short", b"Transfer-Encoding: chunke"),
    ("with x before it", b"Transfer-Encoding: xchunked"),
    ("doubled", b"Transfer-Encoding: chunkedchunked"),
    ("with a minus sign behind it", b"Transfer-Encoding: chunked-"),
    ("folded", b"Transfer-Encoding:\r\n chunked"),
    ("folded with a tab", b"Transfer-Encoding:\r\n\tchunked"),
    ("folded after the comma", b"Transfer-Encoding: identity,\r\n chunked"),
    ("folded with a bare LF", b"Transfer-Encoding:\n chunked"),
    ("with more in a folded line", b"Transfer-Encoding: chunked\r\n  abc"),
    ("with a space before the colon", b"Transfer-Encoding : chunked"),
    ("with a tab before the colon", b"Transfer-Encoding\t: chunked"),
    ("with a space before the name", b" Transfer-Encoding: chunked"),
    ("with a space for the hyphen", b"Transfer Encoding: chunked"),
    ("with a CR in its name", b"Transfer\r-Encoding: chunked"),
    ("with a byte above 127 in its name", b"Transf\x82r-Encoding: chunked"),
    ("with VT before it", b"Transfer-Encoding: \x0bchunked"),
    ("with FF before it", b"Transfer-Encoding: \x0cchunked"),
    ("with VT behind identity", b"Transfer-Encoding: identity, \x0bchunked"),
    ("with NUL behind it", b"Transfer-Encoding: chunked\0"),
    ("with BS behind it", b"Transfer-Encoding: chunkedd\x08"),
    ("with DEL behind it", b"Transfer-Encoding: chunked\x7f"),
    ("with a CR behind it", b"Transfer-Encoding: chunked\r"),
    ("with a CR before it", b"Transfer-Encoding:\rchunked"),
    ("with a no-break space before it", b"Transfer-Encoding: \xa0chunked"),
    ("with a no-break space behind it", b"Transfer-Encoding: chunked\xa0"),
    ("with NEL around it", b"Transfer-Encoding: \x85chunked\x85"),
    ("with 255 around it", b"Transfer-Encoding: \xffchunked\xff"),
    ("with a byte above 127 inside", b"Transfer-Encoding: ch\x96nked"),
    ("with a UTF-8 space before it", b"Transfer-Encoding: \xe2\x80\x83chunked"),
    ("behind another line and a CR", b"X: X\rTransfer-Encoding: chunked"),
    ("behind another line and an LF", b"X: X\nTransfer-Encoding: chunked"),
    ("behind an empty value and a CR", b"X:\rTransfer-Encoding: chunked"),
    ("before a CR and another line", b"Transfer-Encoding: chunked\rX: X"),
    ("before an LF and another line", b"Transfer-Encoding: chunked\nX: X"),
    ("as identity", b"Transfer-Encoding: identity"),
    ("as gzip", b"Transfer-Encoding: gzip"),
    ("as nothing", b"Transfer-Encoding:"),
    ("as a comma", b"Transfer-Encoding: ,"),
]
_REFUSALS = {400, 501}

_DISGUISED: list[Case] = [
    refuse("9112 6.1", f"A length beside chunked {how} is refused", _both(line, _END + NEXT), _REFUSALS, ours=True)
    for how, line in _DISGUISES
]

_CODINGS: list[Case] = [
    refuse("9112 6.1", "An unknown coding is not implemented", _coding(b"gzip", payload=b""), _REFUSALS, level=SHOULD),
    refuse("9112 6.1", "An unknown coding before chunked is not implemented",
        _coding(b"gzip, chunked"), 501, level=SHOULD),
    refuse("9112 6.1", "An unknown coding on a line before chunked is refused",
        _coding(b"deflate", b"chunked"), _REFUSALS, level=SHOULD),
    refuse("9112 6.1", "An unknown coding is not taken for chunked", _coding(b"blegh"), _REFUSALS),
    refuse("9112 6.1", "A coding that pigeons carry is refused", _coding(b"pigeons", payload=b""), _REFUSALS),
    refuse("9112 7", "Identity, which is no coding any more, is refused", _coding(b"identity", payload=b""), _REFUSALS),
    refuse("9112 6.3", "Chunked that is not last is refused", _coding(b"chunked, gzip", payload=_END)),
    refuse("9112 6.3", "Chunked on a line before another coding is refused",
        _coding(b"chunked", b"deflate", payload=b"World")),
    refuse("9112 6.1", "Chunked twice is refused", _coding(b"chunked, chunked"), _REFUSALS),
    refuse("9112 6.1", "Chunked on two lines is refused", _coding(b"chunked", b"chunked"), _REFUSALS),
    refuse("9112 6.1", "An empty coding is refused", _coding(b"", payload=b"")),
    refuse("9112 6.1", "Three empty codings beside a length are refused",
        post(b"Content-Length: 10", *[b"Transfer-Encoding:"] * 3, body=b"2\r\nAA\r\n0\r\n")),
    refuse("9112 7", "Chunked with a parameter is refused", _coding(b"chunked;a=b"), _REFUSALS, level=SHOULD),
    refuse("9112 7", "Chunked in quotes is refused", _coding(b'"chunked"'), _REFUSALS),
    refuse("9112 7", "Chunked with a letter more is refused", _coding(b"chunkedx"), _REFUSALS),
    refuse("9112 7", "Chunked doubled is refused", _coding(b"chunkedchunked"), _REFUSALS),
    refuse("9112 7", "Chunked between no-break spaces is refused", _coding(b"\xa0chunked\xa0"), _REFUSALS),
    refuse("9112 6.1", "Chunked from HTTP/1.0 is refused",
        ask(b"POST / HTTP/1.0", b"Transfer-Encoding: chunked", body=_CHUNKS), ours=True),
    refuse("9112 6.1", "Chunked with a length from HTTP/1.0 is refused",
        ask(b"POST / HTTP/1.0", b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"hello")),
    refuse("9112 6.1", "Chunked from HTTP/1.0 with keep-alive is refused",
        ask(b"POST / HTTP/1.0", b"Connection: keep-alive", b"Transfer-Encoding: chunked", body=_CHUNKS), ours=True),
    refuse("9112 5.2", "An OPTIONS with a folded coding and a length is refused",
        ask(b"OPTIONS / HTTP/1.1", b"Transfer-Encoding:", b" chunked", b"Content-Length: 5", body=b"hello"), ours=True),
    must("9110 5.6.1", "An empty member in the list of codings is no crash",
        _coding(b", chunked"), {200, 400, 501}, closes=None),
]  # fmt: skip

_LEFT_OVER: list[Case] = [
    must("9112 6.3", "Bytes behind a body of nought bytes are the next request",
        post(b"Content-Length: 0", body=b"X" + NEXT), 200, {400, 501}, closes=None),
    must("9112 6.3", "Bytes behind a request without a body are the next request",
        ask(b"GET / HTTP/1.1", body=b"hello\r\n\r\n"), 200, 400, closes=True),
    must("9112 6.3", "Chunks without Transfer-Encoding are no body",
        post(b"Transfer_Encoding: chunked", body=_CHUNKS), 200, 400, closes=True),
    must("9112 6.3", "A request's start inside the body of a GET starts no request",
        ask(b"GET / HTTP/1.1", b"Content-Length: %d" % len(NEXT[:-2]), body=NEXT[:-2]) + b"\r\n" + NEXT, 200, 200,
        checks=[body(b"next", 1)]),
    must("9112 6.3", "A whole request inside the body of a GET is not answered",
        ask(b"GET / HTTP/1.1", b"Content-Length: %d" % len(NEXT), body=NEXT), 200),
    must("9112 6.3", "A whole request inside the body of an OPTIONS is not answered",
        ask(b"OPTIONS / HTTP/1.1", b"Content-Length: %d" % len(NEXT), body=NEXT), {200, 204}),
    must("9112 6.3", "A whole request inside the body of a HEAD is not answered",
        ask(b"HEAD / HTTP/1.1", b"Content-Length: %d" % len(NEXT), body=NEXT), 200),
    must("9112 6.3", "A request behind a body keeps its own headers",
        post(b"Content-Length: 5", b"X-First: 1", body=b"hello") + ask(b"GET /echo HTTP/1.1", b"X-Second: 2"), 200, 200,
        checks=[saw(1, fields={"x-first": "", "x-second": "2"})]),
    refuse("9112 7.1", "A chunk size that is no size poisons no next request",
        _coding(b"chunked", payload=b"+0\r\n\r\nX" + NEXT)),
    refuse("9112 7.1", "Two chunk sizes in one hide no request",
        _coding(b"chunked", payload=b"0_2e\r\n\r\n" + NEXT + _END)),
    refuse("9112 6.3", "Two lengths hide no request",
        post(b"Content-Length: 4", b"Content-Length: %d" % (4 + len(NEXT)), body=b"PING" + NEXT)),
    refuse("9112 6.3", "An empty length and a good one hide no request",
        post(b"Content-Length:", b"Content-Length: %d" % len(NEXT), body=NEXT)),
    refuse("9112 6.3", "An empty length hides no request", ask(b"GET / HTTP/1.1", b"Content-Length:", body=NEXT)),
    refuse("9112 5.1", "A length with a space before its colon hides no request",
        b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length : %d\r\n\r\n" % len(NEXT) + NEXT),
    refuse("9112 5.2", "A framing line that is folded onto another hides no request",
        post(b"Foo: bar", b" Content-Length: %d" % len(NEXT), body=NEXT), ours=True),
]  # fmt: skip

CASES = _BOTH + _DISGUISED + _CODINGS + _LEFT_OVER
