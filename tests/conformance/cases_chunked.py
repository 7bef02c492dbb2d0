"""Chunked bodies: sizes, extensions, data, the end and the trailers (RFC 9112 section 7.1)."""

from __future__ import annotations

from .case import SILENCE, Case, ask, chunked, must, post, refuse
from .checks import body, saw, unseen

__all__ = ["CASES"]

_END = b"0\r\n\r\n"
_HELLO = [body(b"hello")]


def _size(size: bytes) -> bytes:
    """Five bytes whose chunk-size line reads ``size``."""
    return chunked(size + b"\r\nhello\r\n" + _END)


def _extension(extension: bytes) -> bytes:
    return _size(b"5" + extension)


_GOOD: list[Case] = [
    must("9112 7.1", "One chunk is read", _size(b"5"), 200, checks=_HELLO),
    must("9112 7.1", "Several chunks are joined",
        chunked(b"5\r\nhello\r\n6\r\n world\r\n" + _END), 200, checks=[body(b"hello world")]),
    must("9112 7.1", "No chunk but the last is an empty body", chunked(_END), 200, checks=[body(b"")]),
    must("9112 7.1", "A size in capital letters is read",
        chunked(b"A\r\nhelloworld\r\n" + _END), 200, checks=[body(b"helloworld")]),
    must("9112 7.1", "A size in small letters is read",
        chunked(b"a\r\nhelloworld\r\n" + _END), 200, checks=[body(b"helloworld")]),
    must("9112 7.1", "A size of two digits is read",
        chunked(b"1e\r\n" + b"x" * 30 + b"\r\n" + _END), 200, checks=[body(b"x" * 30)]),
    must("9112 7.1", "Leading zeros of a size mean nothing", _size(b"0005"), 200, checks=_HELLO),
    must("9112 7.1", "The last chunk may be written with several noughts",
        chunked(b"5\r\nhello\r\n000\r\n\r\n"), 200, checks=_HELLO),
    must("9112 7.1", "Line ends inside a chunk belong to it",
        chunked(b"8\r\n\r\n\r\n0\r\n\r\r\n" + _END), 200, checks=[body(b"\r\n\r\n0\r\n\r")]),
    must("9112 7.1", "A request inside a chunk belongs to it",
        chunked(b"%x\r\n%b\r\n" % (31, b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"[:31]) + _END), 200),
    must("9112 7.1", "Every byte may stand in a chunk",
        chunked(b"100\r\n" + bytes(range(256)) + b"\r\n" + _END), 200, checks=[body(bytes(range(256)))]),
    must("9112 7.1", "A thousand chunks of one byte are read",
        chunked(b"1\r\nx\r\n" * 1000 + _END), 200, checks=[body(b"x" * 1000)]),
    must("9112 7", "The coding's name is case-insensitive",
        post(b"Transfer-Encoding: Chunked", body=b"5\r\nhello\r\n" + _END), 200, checks=_HELLO),
    must("9112 7", "The header's name is case-insensitive",
        post(b"TRANSFER-ENCODING: CHUNKED", body=b"5\r\nhello\r\n" + _END), 200, checks=_HELLO),
    must("9110 5.5", "White space around the coding is no part of it",
        post(b"Transfer-Encoding:\t chunked \t", body=b"5\r\nhello\r\n" + _END), 200, checks=_HELLO),
    must("9112 7.1", "A GET may have a chunked body, which is read",
        ask(b"GET /echo HTTP/1.1", b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n" + _END), 200,
        checks=[saw(body="hello")]),
    must("9112 7.1", "A chunked body that nobody serves is read all the same",
        chunked(b"5\r\nhello\r\n" + _END, target=b"/missing"), 404),
    must("9112 7.1", "A chunked body that comes in two parts is joined",
        chunked(b"5\r\nhe"), 200, rest=b"llo\r\n" + _END, checks=_HELLO),
]  # fmt: skip

_SIZES: list[Case] = [
    refuse("9112 7.1", "An empty size is refused", _size(b"")),
    refuse("9112 7.1", "An empty line in place of the first chunk is refused", chunked(b"\r\n\r\n")),
    refuse("9112 7.1", "A size of a letter beyond f is refused", _size(b"g")),
    refuse("9112 7.1", "A size of words is refused", chunked(b"INVALID!!!\r\n" + _END)),
    refuse("9112 7.1", "A size with a plus sign is refused", _size(b"+5")),
    refuse("9112 7.1", "A negative size is refused", _size(b"-1")),
    refuse("9112 7.1", "A last chunk with a plus sign is refused", chunked(b"+0\r\n\r\n")),
    refuse("9112 7.1", "A last chunk with a minus sign is refused", chunked(b"-0\r\n\r\n")),
    refuse("9112 7.1", "A size with 0x in front is refused", _size(b"0x5")),
    refuse("9112 7.1", "A size with h behind is refused", _size(b"5h")),
    refuse("9112 7.1", "A size with an underscore is refused", chunked(b"1_0\r\n" + b"x" * 16 + b"\r\n" + _END)),
    refuse("9112 7.1", "A size with a nought and an underscore in front is refused",
        chunked(b"0_2e\r\n\r\n" + b"x" * 44 + b"\r\n" + _END)),
    refuse("9112 7.1", "A size with a decimal point is refused", _size(b"5.0")),
    refuse("9112 7.1", "A size in quotes is refused", _size(b'"5"')),
    refuse("9112 7.1", "A size with junk behind it is not taken for its longest valid part",
        chunked(b"1these-bytes-are-junk\r\nZ\r\n" + _END)),
    refuse("9112 7.1", "A size with a space in front is refused", _size(b" 5")),
    refuse("9112 7.1", "A size with a tab in front is refused", _size(b"\t5")),
    refuse("9112 7.1", "A size with a space behind is refused", _size(b"5 "), ours=True),
    refuse("9112 7.1", "A size with a tab behind is refused", _size(b"5\t"), ours=True),
    refuse("9112 7.1", "A last chunk with a space behind is refused", chunked(b"5\r\nhello\r\n0 \r\n\r\n"), ours=True),
    refuse("9112 7.1", "A size with NUL behind is refused", _size(b"5\0")),
    refuse("9112 7.1", "A size with a no-break space behind is refused", _size(b"5\xa0")),
    refuse("9112 7.1", "A size in other digits than ASCII's is refused", _size(b"\xd9\xa5")),
    refuse("9112 7.1", "A size past 64 bits is refused", chunked(b"FFFFFFFFFFFFFFFF0\r\nhello\r\n" + _END), {400, 413}),
    refuse("9112 7.1", "A size of 20 digits is refused", _size(b"0" * 19 + b"5"), ours=True),
    refuse("9112 7.1", "A size that overflows 64 bits back to five is refused",
        _size(b"10000000000000005"), {400, 413}),
    refuse("9112 7.1", "A size of 63 bits is past every limit",
        chunked(b"7fffffffffffffff\r\nhello\r\n"), {400, 413}, half_close=True),
    refuse("9112 7.1", "A size of thousands of noughts is refused", _size(b"0" * 5_000 + b"5")),
]  # fmt: skip

_EXTENSIONS: list[Case] = [
    must("9112 7.1.1", "An extension is ignored", _extension(b";ext=value"), 200, checks=_HELLO),
    must("9112 7.1.1", "An extension without a value is ignored", _extension(b";ext"), 200, checks=_HELLO),
    must("9112 7.1.1", "Several extensions are ignored", _extension(b";a;b=c;d=e"), 200, checks=_HELLO),
    must("9112 7.1.1", "An extension with a quoted value is ignored", _extension(b';a="b c";d'), 200, checks=_HELLO),
    must("9112 7.1.1", "Escapes and semicolons in a quoted value are ignored",
        _extension(b';a="I \\"love\\"; \\\\ it";b="c"'), 200, checks=_HELLO),
    must("9112 7.1.1", "An empty quoted value is ignored", _extension(b';a=""'), 200, checks=_HELLO),
    must("9112 7.1.1", "An extension of the last chunk is ignored",
        chunked(b"5\r\nhello\r\n0;a=b\r\n\r\n"), 200, checks=_HELLO),
    must("9110 5.6.3", "Bad white space around a semicolon is no crash",
        _extension(b" ; a=b"), {200, 400}, closes=None),
    refuse("9112 7.1.1", "A semicolon with nothing behind it is refused", _extension(b";")),
    refuse("9112 7.1.1", "Two semicolons are refused", _extension(b";;a")),
    refuse("9112 7.1.1", "An extension without a name is refused", _extension(b";=b")),
    refuse("9112 7.1.1", "An extension with an empty value is refused", _extension(b";a=")),
    refuse("9112 7.1.1", "An extension whose name is no token is refused", _extension(b";bad[=x")),
    refuse("9112 7.1.1", "An extension whose value is no token is refused", _extension(b";a=b[")),
    refuse("9112 7.1.1", "An extension without a semicolon is refused", _extension(b" ext=value")),
    refuse("9112 7.1.1", "A quoted value that does not end is refused", _extension(b';a="b; c')),
    refuse("9112 7.1.1", "Bytes behind a quoted value are refused", _extension(b';a="b"c')),
    refuse("9112 7.1.1", "A quoted value that ends at the next line is refused",
        chunked(b'5;a="\r\nhello\r\n0;"\r\n\r\n')),
    refuse("9112 7.1.1", "NUL in an extension is refused", _extension(b";\0ext")),
    refuse("9112 7.1.1", "NUL in a quoted value is refused", _extension(b';a="\0"')),
    refuse("9112 7.1.1", "DEL in a quoted value is refused", _extension(b';a="\x7f"')),
    refuse("9112 2.2", "A bare CR in an extension is refused", _extension(b";a\rX")),
    refuse("9112 2.2", "Two CRs before an extension are refused", chunked(b"5\r\r;ABCD\r\n34\r\nE\r\n" + _END)),
    refuse("9112 2.2", "A bare CR in place of white space is refused", chunked(b"2\r\r;a\r\n02\r\n41\r\n" + _END)),
    refuse("9112 2.2", "A bare CR behind an extension's value is refused",
        chunked(b"41;a=b\r\r" + b"X" * 65 + b"\r\n" + _END)),
    refuse("9112 2.2", "A bare LF behind an extension's semicolon is refused",
        chunked(b"5;\nhello\r\n" + _END), ours=True),
    refuse("9112 2.2", "A bare LF behind an extension is refused", chunked(b"5;a=b\nhello\r\n" + _END), ours=True),
    refuse("9112 2.2", "LF behind spaces in an extension is refused", chunked(b"3 \n  \r\nfoo\r\n" + _END)),
    refuse("9112 7.1.1", "LF behind hundreds of spaces in an extension is refused",
        chunked(b"5;" + b" " * 10_000 + b"\nhello\r\n" + _END), ours=True),
    refuse("9112 7.1.1", "An extension of a thousand bytes is refused", _extension(b";ext=" + b"A" * 1_000), ours=True),
    refuse("9112 7.1.1", "An extension of 100 kB is refused", _extension(b";ext=" + b"A" * 100_000), ours=True),
    must("9112 7.1.1", "An extension of a hundred bytes is ignored",
        _extension(b";ext=" + b"A" * 100), 200, checks=_HELLO),
    refuse("9112 7.1.1", "Megabytes of extensions are refused before the end",
        chunked((b"1;" + b"x" * 200 + b"\r\nx\r\n") * 10_000), {400, 413}, ours=True),
]  # fmt: skip

_DATA: list[Case] = [
    refuse("9112 7.1", "Data without CRLF behind it is refused", chunked(b"5\r\nhello" + _END)),
    refuse("9112 7.1", "More data than the size says is refused", chunked(b"5\r\nhello!!\r\n" + _END)),
    refuse("9112 7.1", "Less data than the size says is refused", chunked(b"6\r\nhello\r\n" + _END)),
    refuse("9112 7.1", "Two other bytes in place of the CRLF behind the data are refused",
        chunked(b"5\r\nhelloXX" + _END)),
    refuse("9112 7.1", "CR and another byte behind the data are refused", chunked(b"5\r\nhello\rX" + _END)),
    refuse("9112 2.2", "A bare LF behind the data is refused", chunked(b"5\r\nhello\n" + _END), ours=True),
    refuse("9112 2.2", "A bare CR behind the data is refused", chunked(b"5\r\nhello\r" + _END)),
    refuse("9112 2.2", "A bare LF behind the size is refused", chunked(b"5\nhello\r\n" + _END), ours=True),
    refuse("9112 2.2", "A bare CR behind the size is refused", chunked(b"5\rhello\r\n" + _END)),
    refuse("9112 2.2", "Two CRs behind the size are refused", chunked(b"5\r\r\nhello\r\n" + _END)),
    refuse("9112 7.1", "An empty line between chunks is refused", chunked(b"5\r\nhello\r\n\r\n" + _END)),
    refuse("9112 2.2", "A bare LF behind the last chunk's size is refused",
        chunked(b"5\r\nhello\r\n0\n\r\n"), ours=True),
    refuse("9112 2.2", "A bare LF at the very end is refused", chunked(b"5\r\nhello\r\n0\r\n\n"), ours=True),
    refuse("9112 2.2", "A bare CR at the very end is refused", chunked(b"5\r\nhello\r\n0\r\n\rX")),
    refuse("9112 2.2", "Chunks with bare LFs only are refused", chunked(b"5\nhello\n0\n\n"), ours=True),
    refuse("9112 7.1", "Chunks that just end with an empty line are refused", chunked(b"3\r\nfoo\r\n\r\n")),
    must("9112 8", "Chunks without the last one reach no handler",
        chunked(b"5\r\nhello\r\n"), {400, SILENCE}, half_close=True, closes=True),
    must("9112 8", "A chunk that ends early reaches no handler",
        chunked(b"5\r\nhel"), {400, SILENCE}, half_close=True, closes=True),
    must("9112 8", "A last chunk without the empty line reaches no handler",
        chunked(b"5\r\nhello\r\n0\r\n"), {400, SILENCE}, half_close=True, closes=True),
    must("9110 15.5.9", "Chunks that stop coming are answered 408 in the end",
        chunked(b"5\r\nhello\r\n"), {400, 408}, wait=60, closes=True),
]  # fmt: skip


def _trailer(*lines: bytes) -> bytes:
    return chunked(b"5\r\nhello\r\n0\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n", target=b"/echo")


_MERGED = [saw(body="hello")]

_TRAILERS: list[Case] = [
    must("9112 7.1.2", "A trailer is read and ignored",
        _trailer(b"X-Checksum: abc"), 200, checks=[saw(body="hello"), unseen("x-checksum: abc")]),
    must("9112 7.1.2", "Several trailers are read and ignored",
        _trailer(b"Vary: *", b"X-A: b"), 200, checks=[saw(body="hello"), unseen("vary: *", "x-a: b")]),
    must("9110 6.5.1", "Content-Length among the trailers frames nothing",
        _trailer(b"Content-Length: 50"), {200, 400}, closes=None,
        checks=[saw(body="hello"), unseen("content-length: 50")]),
    must("9110 6.5.1", "Transfer-Encoding among the trailers frames nothing",
        _trailer(b"Transfer-Encoding: gzip"), {200, 400}, closes=None,
        checks=[saw(body="hello"), unseen("transfer-encoding: gzip")]),
    must("9110 6.5.1", "Host among the trailers routes nothing",
        _trailer(b"Host: evil.example"), {200, 400}, closes=None,
        checks=[saw(url="http://a/echo"), unseen("host: evil.example")]),
    must("9110 6.5.1", "Authorization among the trailers authorises nothing",
        _trailer(b"Authorization: Bearer evil"), {200, 400}, closes=None,
        checks=[unseen("authorization: bearer evil")]),
    must("9110 6.5.1", "Content-Type among the trailers types nothing",
        _trailer(b"Content-Type: text/evil"), {200, 400}, closes=None, checks=[unseen("content-type: text/evil")]),
    must("9110 6.5.1", "Connection among the trailers closes nothing",
        _trailer(b"Connection: close"), {200, 400}, closes=None, checks=[unseen("connection: close")]),
    refuse("9112 5.1", "A trailer with a space before its colon is refused", _trailer(b"X-A : b")),
    refuse("9112 5", "A trailer without a colon is refused", _trailer(b"X-A")),
    refuse("9112 5", "A trailer with an empty name is refused", _trailer(b": b")),
    refuse("9112 5", "A trailer whose name is no token is refused", _trailer(b"X[A: b")),
    refuse("9112 5.2", "A folded trailer is refused", _trailer(b"X-A: b", b" c"), ours=True),
    refuse("9112 5.2", "A trailer that begins with a space is refused", _trailer(b" X-A: b"), ours=True),
    refuse("9110 5.5", "NUL in a trailer is refused", _trailer(b"X-A: \0")),
    refuse("9110 5.5", "NUL behind hundreds of spaces in a trailer is refused",
        _trailer(b"X-A: " + b" " * 900 + b"\0"), ours=True),
    refuse("9112 2.2", "A bare CR in a trailer is refused", _trailer(b"X-A: b\rc")),
    refuse("9112 2.2", "A bare LF behind a trailer is refused", chunked(b"5\r\nhello\r\n0\r\nX-A: b\n\r\n"), ours=True),
    refuse("9112 7.1.2", "A request in place of a trailer is refused", _trailer(b"GET /evil HTTP/1.1", b"Host: a")),
    must("9112 7.1.2", "A request that looks like a trailer is no request",
        _trailer(b"X:POST /evil HTTP/1.1"), 200, checks=_MERGED),
    refuse("9110 5.4", "A trailer of two thousand bytes is refused",
        _trailer(b"X-A: " + b"b" * 2_000), {400, 431}, ours=True),
    refuse("9110 5.4", "Trailers of eight thousand bytes in all are refused",
        _trailer(*[b"X-A: " + b"b" * 800] * 10), {400, 431}, ours=True),
    refuse("9110 5.4", "Trailers without end are refused",
        chunked(b"0\r\n" + b"X-A: b\r\n" * 50_000), {400, 431}, ours=True),
]  # fmt: skip

CASES = _GOOD + _SIZES + _EXTENSIONS + _DATA + _TRAILERS
