from __future__ import annotations

import pytest

from microsock.errors import BadSetting
from microsock.request import Address
from microsock.server.addresses import Inherited, TcpPlace, UnixPlace, parse_address, parse_addresses, shown


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
    assert parse_address(text) == TcpPlace(host, port)


def test_the_port_may_stand_apart() -> None:
    assert parse_address("localhost", 0) == TcpPlace("localhost", 0)
    assert parse_address("tcp://localhost", 9000) == TcpPlace("localhost", 9000)
    assert parse_address("localhost:9000", 9000) == TcpPlace("localhost", 9000)


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


@pytest.mark.parametrize("text", ["tls://localhost:443", "ssl://localhost:443"])
def test_an_address_may_ask_for_tls(text: str) -> None:
    assert parse_address(text) == TcpPlace("localhost", 443, tls=True)


@pytest.mark.parametrize(
    ("text", "path", "mode"),
    [
        ("unix:/run/app.sock", "/run/app.sock", None),
        ("unix:///run/app.sock", "/run/app.sock", None),
        ("unix:app.sock", "app.sock", None),
        ("unix:/run/app.sock?mode=660", "/run/app.sock", 0o660),
        ("unix:/run/app.sock?mode=0600", "/run/app.sock", 0o600),
    ],
)
def test_a_unix_socket_is_a_path_and_perhaps_its_permissions(text: str, path: str, mode: int | None) -> None:
    assert parse_address(text) == UnixPlace(path, mode)


@pytest.mark.parametrize(
    "text", ["unix:", "unix:/a?mode=88", "unix:/a?mode=", "unix:/a?b", "unix:/a\0b", "unix:?mode=660"]
)
def test_a_unix_socket_without_a_path_or_with_odd_permissions_is_refused(text: str) -> None:
    with pytest.raises(BadSetting, match=r"expected unix:/path or unix:/path\?mode=660"):
        parse_address(text)


def test_a_unix_path_that_the_kernel_has_no_room_for_is_refused() -> None:
    assert parse_address("unix:/" + "a" * 106)
    with pytest.raises(BadSetting, match="at most 107 bytes"):
        parse_address("unix:/" + "ä" * 54)


def test_a_descriptor_is_a_number_or_the_name_that_systemd_gave_it() -> None:
    assert parse_address("fd://3") == Inherited("3")
    assert parse_address("fd://web") == Inherited("web")


@pytest.mark.parametrize("text", ["fd://", "fd://a b", "fd://a:b", "fd://a/b"])
def test_what_is_no_descriptor_is_refused(text: str) -> None:
    with pytest.raises(BadSetting, match=r"expected fd://3, or fd://name"):
        parse_address(text)


@pytest.mark.parametrize("text", ["unix:/run/app.sock", "fd://3"])
def test_what_has_no_port_takes_none(text: str) -> None:
    with pytest.raises(BadSetting, match="has no port, and port= says 80; leave that out"):
        parse_address(text, 80)


def test_several_addresses_are_a_list() -> None:
    assert parse_addresses([":80", "unix:a"]) == [TcpPlace("", 80), UnixPlace("a")]
    assert parse_addresses(":80") == [TcpPlace("", 80)]


def test_no_address_at_all_is_refused() -> None:
    with pytest.raises(BadSetting, match="expected at least one"):
        parse_addresses([])
    with pytest.raises(BadSetting, match="expected a text"):
        parse_addresses([80])  # type: ignore[list-item]


def test_addresses_are_shown_as_in_a_url() -> None:
    assert shown(Address("127.0.0.1", 80)) == "127.0.0.1:80"
    assert shown(Address("::1", 80)) == "[::1]:80"
    assert shown(Address("", 80)) == "*:80"
    assert shown(Address("/run/app.sock", 0)) == "unix:/run/app.sock"
