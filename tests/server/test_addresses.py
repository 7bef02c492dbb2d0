from __future__ import annotations

import pytest

from microsock.errors import BadSetting, SetupError
from microsock.request import Address
from microsock.server.addresses import parse_address, shown


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1", "127.0.0.1", 8080),
        ("localhost", "localhost", 8080),
        ("localhost:9000", "localhost", 9000),
        ("my-host.example:0", "my-host.example", 0),
        (":9000", "", 9000),
        ("::1", "::1", 8080),
        ("::", "::", 8080),
        ("fe80::1%eth0", "fe80::1%eth0", 8080),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1", 8080),
        ("[::1]", "::1", 8080),
        ("[::1]:9000", "::1", 9000),
        ("tcp://localhost", "localhost", 8080),
        ("tcp://localhost:9000", "localhost", 9000),
        ("tcp://[::1]:9000", "::1", 9000),
        ("tcp://:65535", "", 65535),
    ],
)
def test_every_form_of_an_address_is_understood(text: str, host: str, port: int) -> None:
    assert parse_address(text) == Address(host, port)


def test_the_port_may_stand_apart() -> None:
    assert parse_address("localhost", 0) == Address("localhost", 0)
    assert parse_address("tcp://localhost", 9000) == Address("localhost", 9000)
    assert parse_address("localhost:9000", 9000) == Address("localhost", 9000)


def test_two_ports_that_differ_are_refused() -> None:
    with pytest.raises(BadSetting, match="'tcp://localhost:1' says port 1 and port= says 2; give one of them"):
        parse_address("tcp://localhost:1", 2)


@pytest.mark.parametrize(
    "text",
    [
        "", "tcp://", "http://localhost", "local host", "localhost:", "localhost:http", "[::1", "::1]:80", "[]:80",
        "a/b", "localhost:80:90", "localhost:123456", "tcp://localhost:80/", "[::1]80", "localhost:８０",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_naming_the_forms(text: str) -> None:
    with pytest.raises(BadSetting, match="is not understood; expected host, host:port, :port"):
        parse_address(text)


@pytest.mark.parametrize("port", [-1, 65536, True, 80.0, "80"])
def test_a_port_out_of_range_is_refused(port: int) -> None:
    with pytest.raises(BadSetting, match=r"port is .*; expected a number from 0"):
        parse_address("localhost", port)


@pytest.mark.parametrize("text", ["unix:/run/app.sock", "fd://3", "tls://localhost", "ssl://localhost:443"])
def test_what_comes_later_says_so(text: str) -> None:
    with pytest.raises(SetupError, match="not supported yet"):
        parse_address(text)


def test_addresses_are_shown_as_in_a_url() -> None:
    assert shown(Address("127.0.0.1", 80)) == "127.0.0.1:80"
    assert shown(Address("::1", 80)) == "[::1]:80"
    assert shown(Address("", 80)) == "*:80"
