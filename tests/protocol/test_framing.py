from __future__ import annotations

import pytest

from microsock import RemoteProtocolError
from microsock.protocol.framing import Framing, examine


def lines(*fields: bytes) -> list[tuple[bytes, bytes]]:
    """Header lines as they reach ``examine``: names in lower case, values stripped."""
    pairs = (field.partition(b":") for field in fields)
    return [(name.lower(), value.strip(b" \t")) for name, _, value in pairs]


def status(method: str, target: str, version: str, *fields: bytes) -> int:
    with pytest.raises(RemoteProtocolError) as caught:
        examine(method, target, version, lines(*fields))
    return caught.value.status


def test_a_plain_request_has_no_body() -> None:
    assert examine("GET", "/a?b", "1.1", lines(b"Host: a")) == Framing("/a?b", "a", 0, False, False)


def test_http_1_0_needs_no_host() -> None:
    assert examine("GET", "/", "1.0", []) == Framing("/", "", 0, False, False)


@pytest.mark.parametrize(
    "host",
    [
        "a", "example.org", "example.org:80", "a:", "127.0.0.1:65535", "[::1]", "[::1]:8080", "[::ffff:1.2.3.4]",
        "xn--bcher-kva.example", "a_b", "%61", "a" * 512,
    ],
)  # fmt: skip
def test_a_host_of_these_forms_is_taken(host: str) -> None:
    assert examine("GET", "/", "1.1", lines(b"Host: " + host.encode())).host == host


@pytest.mark.parametrize(
    "host",
    [
        b"", b"a b", b"a,b", b"a/b", b"user@a", b"a:b", b"a:65536", b"a:123456", b":80", b"a:80:80", b"[::1", b"::1",
        b"[]", b"[a]", b"[1.2.3.4]", b"[::1]a", b"[fe80::1%25eth0]", b"%zz", b"%6", b"a\xff", b"http://a", b"a" * 513,
    ],
)  # fmt: skip
def test_a_malformed_host_is_refused(host: bytes) -> None:
    assert status("GET", "/", "1.1", b"Host: " + host) == 400


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_two_hosts_are_refused_even_if_they_are_equal(version: str) -> None:
    assert status("GET", "/", version, b"Host: a", b"Host: a") == 400


def test_a_missing_host_is_refused_in_1_1() -> None:
    assert status("GET", "/", "1.1") == 400
    assert status("GET", "http://a/", "1.1") == 400


@pytest.mark.parametrize(
    ("method", "target", "origin_form", "host"),
    [
        ("GET", "/", "/", "host"),
        ("GET", "//a//b", "//a//b", "host"),
        ("GET", "/?a=/b?c", "/?a=/b?c", "host"),
        ("OPTIONS", "*", "*", "host"),
        # The target's authority counts, not Host (RFC 9112 section 3.2.2).
        ("GET", "http://other:81/a?b", "/a?b", "other:81"),
        ("GET", "HTTPS://other", "/", "other"),
        ("GET", "http://other?b", "/?b", "other"),
        ("OPTIONS", "http://other", "*", "other"),
        ("OPTIONS", "http://other/", "/", "other"),
    ],
)
def test_a_target_comes_down_to_its_origin_form(method: str, target: str, origin_form: str, host: str) -> None:
    assert examine(method, target, "1.1", lines(b"Host: host"))[:2] == (origin_form, host)


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "foo", 400),
        ("GET", "*", 400),
        ("GET", "a:443", 400),
        ("GET", "/a#b", 400),
        ("GET", "http:///a", 400),
        ("GET", "http://", 400),
        ("GET", "http://u@a/", 400),
        ("GET", "http://a b/", 400),
        ("GET", "http://a/#b", 400),
        ("GET", "ftp://a/", 400),
        ("CONNECT", "a:443", 501),
        ("CONNECT", "/", 501),
    ],
)
def test_a_target_of_another_form_is_refused(method: str, target: str, expected: int) -> None:
    assert status(method, target, "1.1", b"Host: a") == expected


@pytest.mark.parametrize(("value", "length"), [(b"0", 0), (b"5", 5), (b"005", 5), (b"9" * 19, int("9" * 19))])
def test_a_length_is_digits(value: bytes, length: int) -> None:
    assert examine("POST", "/", "1.1", lines(b"Host: a", b"Content-Length: " + value)).length == length


@pytest.mark.parametrize(
    "fields",
    [
        [b"Content-Length:"],
        [b"Content-Length: +5"],
        [b"Content-Length: -5"],
        [b"Content-Length: 0x5"],
        [b"Content-Length: 5 5"],
        [b"Content-Length: 5_0"],
        [b"Content-Length: 5, 5"],
        [b"Content-Length: \xb2"],
        [b"Content-Length: " + b"0" * 23],
        [b"Content-Length: 5", b"Content-Length: 5"],
        [b"Content-Length: 5", b"Content-Length: 6"],
    ],
)
def test_any_other_length_and_a_repeated_one_is_refused(fields: list[bytes]) -> None:
    assert status("POST", "/", "1.1", b"Host: a", *fields) == 400


@pytest.mark.parametrize("value", [b"chunked", b"Chunked", b"CHUNKED"])
def test_a_chunked_body_is_one_of_any_case(value: bytes) -> None:
    assert examine("POST", "/", "1.1", lines(b"Host: a", b"Transfer-Encoding: " + value)).chunked


@pytest.mark.parametrize(
    ("version", "fields", "expected"),
    [
        ("1.1", [b"Transfer-Encoding: chunked", b"Content-Length: 5"], 400),
        ("1.1", [b"Content-Length: 0", b"Transfer-Encoding: chunked"], 400),
        ("1.1", [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"], 400),
        ("1.1", [b"Transfer-Encoding: chunked, chunked"], 400),
        ("1.1", [b"Transfer-Encoding:"], 400),
        ("1.1", [b"Transfer-Encoding: identity"], 400),
        ("1.1", [b"Transfer-Encoding: gzip"], 400),
        ("1.1", [b"Transfer-Encoding: chunked, gzip"], 400),
        ("1.1", [b"Transfer-Encoding: xchunked"], 400),
        ("1.1", [b"Transfer-Encoding: \x0bchunked"], 400),
        ("1.1", [b'Transfer-Encoding: "chunked"'], 400),
        ("1.1", [b"Transfer-Encoding: gzip, chunked"], 501),
        ("1.0", [b"Transfer-Encoding: chunked"], 400),
    ],
)
def test_any_other_transfer_coding_is_refused(version: str, fields: list[bytes], expected: int) -> None:
    assert status("POST", "/", version, b"Host: a", *fields) == expected


def test_100_continue_is_expected_in_1_1_only() -> None:
    fields = lines(b"Host: a", b"Expect: 100-Continue", b"Content-Length: 1")
    assert examine("POST", "/", "1.1", fields).expects_continue
    assert not examine("POST", "/", "1.0", fields).expects_continue


@pytest.mark.parametrize("fields", [[b"Expect: tea"], [b"Expect:"], [b"Expect: 100-continue"] * 2])
def test_any_other_expectation_is_refused_with_417(fields: list[bytes]) -> None:
    assert status("POST", "/", "1.1", b"Host: a", *fields) == 417
