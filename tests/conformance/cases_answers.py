"""Methods, what each kind of answer carries, and what a handler cannot break (RFC 9110 sections 6, 9 and 15)."""

from __future__ import annotations

from .case import ANY, Case, ask, must, post, refuse, should
from .checks import allows, body, closing, cut_short, empty, field, keeping, lacks, saw

__all__ = ["CASES"]


def _get(path: bytes, version: bytes = b"1.1") -> bytes:
    return ask(b"GET " + path + b" HTTP/" + version)


_METHODS: list[Case] = [
    must("9110 9.3.2", "HEAD gets the headers of GET without the body",
        ask(b"HEAD / HTTP/1.1"), 200, checks=[field("content-length", "2"), field("content-type", "text/plain")]),
    must("9110 9.3.2", "HEAD of what is missing has no body", ask(b"HEAD /missing HTTP/1.1"), 404),
    must("9110 9.3.2", "HEAD of what fails has no body", ask(b"HEAD /fails HTTP/1.1"), 500),
    must("9110 9.3.2", "HEAD of a stream has no body", ask(b"HEAD /stream HTTP/1.1"), 200),
    must("9110 9.3.2", "HEAD of a redirect has no body", ask(b"HEAD /folder HTTP/1.1"), 308),
    must("9110 9.3.2", "HEAD of HTTP/1.0 has no body", ask(b"HEAD / HTTP/1.0"), 200, closes=True),
    must("9110 9.3.2", "HEAD of a stream to HTTP/1.0 has no body", ask(b"HEAD /stream HTTP/1.0"), 200, closes=True),
    must("9110 9.3.2", "A HEAD with a malformed header is refused without a body",
        ask(b"HEAD / HTTP/1.1", b"Bad Name: x"), 400, closes=True),
    must("9110 9.3.2", "A HEAD without Host is refused without a body",
        ask(b"HEAD / HTTP/1.1", host=b""), 400, closes=True),
    must("9110 9.3.2", "A HEAD with too large a body is refused without one",
        ask(b"HEAD / HTTP/1.1", b"Content-Length: 999999"), 413, closes=True),
    must("9110 9.3.3", "POST is served", post(b"Content-Length: 2", body=b"hi"), 200, checks=[body(b"hi")]),
    must("9110 9.3.4", "PUT is served",
        ask(b"PUT /echo HTTP/1.1", b"Content-Length: 2", body=b"hi"), 200, checks=[saw(method="PUT", body="hi")]),
    must("5789 2", "PATCH is served",
        ask(b"PATCH /echo HTTP/1.1", b"Content-Length: 2", body=b"hi"), 200, checks=[saw(method="PATCH", body="hi")]),
    must("9110 9.3.5", "DELETE is served", ask(b"DELETE /echo HTTP/1.1"), 200, checks=[saw(method="DELETE")]),
    must("9110 9.1", "A method of the app's own is served",
        ask(b"REPORT /echo HTTP/1.1"), 200, checks=[saw(method="REPORT")]),
    must("9110 15.5.6", "A known method that the resource lacks is not allowed, and Allow names those it has",
        ask(b"DELETE / HTTP/1.1"), 405, checks=[allows("GET", "HEAD", "OPTIONS", "POST")]),
    must("9110 15.5.6", "A method of the app's own that the resource lacks is not allowed",
        ask(b"REPORT / HTTP/1.1"), 405, checks=[allows("GET", "HEAD", "OPTIONS", "POST")]),
    should("9110 9.1", "An unknown method is not implemented", ask(b"FOOBAR / HTTP/1.1"), 501, closes=ANY),
    should("9110 9.1", "A method in lower case is another method", ask(b"get / HTTP/1.1"), 501, closes=ANY),
    should("9110 9.1", "A method in mixed case is another method", ask(b"Post / HTTP/1.1"), 501, closes=ANY),
    should("9110 9.1", "A method that goes on behind a known one is another method",
        ask(b"GETS / HTTP/1.1"), 501, closes=ANY),
    should("9110 9.1", "A method of WebDAV is not implemented", ask(b"MKCOL / HTTP/1.1"), 501, closes=ANY),
    should("9110 9.1", "A method of punctuation is not implemented",
        ask(b"!#$%&'*+-.^_`|~ / HTTP/1.1"), 501, closes=ANY),
    should("9112 3", "A method of 300 letters is not implemented", ask(b"A" * 300 + b" / HTTP/1.1"), 501, closes=ANY),
    should("9110 9.1", "An unknown method with a body is not implemented",
        ask(b"PURGE / HTTP/1.1", b"Content-Length: 5", body=b"hello"), 501, closes=ANY),
    should("9110 9.3.7", "OPTIONS of a resource names its methods",
        ask(b"OPTIONS / HTTP/1.1"), {200, 204}, checks=[allows("GET", "HEAD", "OPTIONS", "POST")]),
    should("9110 9.3.7", "OPTIONS of the server as a whole names its methods",
        ask(b"OPTIONS * HTTP/1.1"), {200, 204}, checks=[field("allow")]),
    must("9110 9.3.7", "OPTIONS of what is missing is no success", ask(b"OPTIONS /missing HTTP/1.1"), 404),
    must("9110 9.3.8", "TRACE echoes nothing",
        ask(b"TRACE / HTTP/1.1", b"Authorization: Bearer secret"), {405, 501}, closes=ANY, ours=True),
    must("9110 9.3.8", "TRACE with a body echoes nothing",
        ask(b"TRACE / HTTP/1.1", b"Content-Length: 5", body=b"hello"), {400, 405, 501}, closes=ANY),
]  # fmt: skip

_KINDS: list[Case] = [
    must("9110 6.6.1", "A success has a date", _get(b"/"), 200, checks=[field("date")]),
    must("9110 6.6.1", "A client's error has a date", _get(b"/missing"), 404, checks=[field("date")]),
    must("9110 6.6.1", "A refusal has a date", b"Invalid\r\n\r\n", 400, closes=True, checks=[field("date")]),
    must("9110 6.6.1", "A handler's own date is sent once", _get(b"/own-date"), 200, checks=[field("date")]),
    should("9110 8.3", "What has a body has a type", _get(b"/"), 200, checks=[field("content-type")]),
    should("9110 8.3", "An error has a type", _get(b"/missing"), 404, checks=[field("content-type")]),
    should("9110 8.6", "A body of a known length has it stated",
        _get(b"/"), 200, checks=[field("content-length", "2")]),
    should("9110 8.6", "An empty body has its length stated",
        _get(b"/empty"), 200, checks=[field("content-length", "0"), empty]),
    must("9110 8.6", "A 204 has no length and no body",
        _get(b"/no-content"), 204, checks=[lacks("content-length", "transfer-encoding"), empty]),
    must("9110 8.6", "An OPTIONS answered 204 has no length", ask(b"OPTIONS / HTTP/1.1"), {200, 204}),
    must("9110 15.4.5", "A 304 has no body and keeps its ETag",
        _get(b"/not-modified"), 304, checks=[field("etag", '"1"'), lacks("transfer-encoding")]),
    must("9110 15.3.6", "A 205 has no body", _get(b"/reset-content"), 205, checks=[empty]),
    must("9110 15.4", "A redirect has a Location", _get(b"/old"), 301, checks=[field("location", "/")]),
    must("9110 15.5.2", "A 401 keeps its challenge",
        _get(b"/unauthorized"), 401, checks=[field("www-authenticate", 'Basic realm="a"')]),
    must("9110 15", "A status that few know is sent with its phrase", _get(b"/teapot"), 418),
    must("9112 4", "A status that nobody registered is sent", _get(b"/unregistered"), 299),
    must("9110 15.6.1", "A handler's failure is a 500 that tells nothing of it",
        _get(b"/fails"), 500, checks=[body(b"500 Internal Server Error\n")]),
    must("9110 15.6.1", "A handler that returns nothing is a 500", _get(b"/none"), 500, checks=[keeping]),
    must("9112 9.6", "A refusal says that the connection closes",
        b"Invalid\r\n\r\n", 400, closes=True, checks=[closing, field("content-length")]),
    must("9112 2.3", "The answer to HTTP/1.0 is of our own version",
        _get(b"/", b"1.0"), 200, closes=True, checks=[body(b"OK")]),
]  # fmt: skip

_HANDLERS: list[Case] = [
    must("9112 11.1", "CR and LF in a value split no answer", _get(b"/splits"), 500, checks=[lacks("x-evil", "x-a")]),
    must("9112 11.1", "CR and LF in a name split no answer",
        _get(b"/splits-name"), 500, checks=[lacks("x-evil", "x-a")]),
    must("9112 6.2", "A handler's too short a length cuts no body",
        _get(b"/short-length"), {200, 500}, checks=[keeping]),
    must("9112 6.2", "A handler's too long a length keeps nobody waiting",
        _get(b"/long-length"), {200, 500}, checks=[keeping]),
    must("9112 6.2", "A handler's own coding does not stand beside the length",
        _get(b"/own-coding"), {200, 500}, checks=[keeping]),
    must("9112 7.1", "A stream is sent in chunks",
        _get(b"/stream"), 200,
        checks=[field("transfer-encoding", "chunked"), lacks("content-length"), body(b"onetwo")]),
    must("9112 7.1", "A stream of nothing is an empty body", _get(b"/stream-nothing"), 200, checks=[empty]),
    must("9112 6.1", "A stream to HTTP/1.0 is sent until the end of the connection",
        _get(b"/stream", b"1.0"), 200, closes=True,
        checks=[lacks("transfer-encoding", "content-length"), body(b"onetwo")]),
    must("9112 6.1", "A stream to HTTP/1.0 with keep-alive has an end all the same",
        ask(b"GET /stream HTTP/1.0", b"Connection: keep-alive"), 200, closes=True,
        checks=[lacks("transfer-encoding"), body(b"onetwo")]),
    must("9110 15.6.1", "A stream that fails before its first piece is a 500",
        _get(b"/stream-fails-first"), 500, checks=[keeping]),
    must("9112 8", "A stream that fails later ends without its last chunk",
        _get(b"/stream-fails-later"), 200, closes=True, checks=[body(b"one"), cut_short]),
    refuse("9112 9.3", "A refusal is the last thing on its connection", b"Invalid\r\n\r\n" + _get(b"/")),
]  # fmt: skip

CASES = _METHODS + _KINDS + _HANDLERS
