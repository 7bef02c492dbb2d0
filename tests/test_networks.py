from __future__ import annotations

import pytest

from microsock import BadSetting
from microsock.networks import LOCAL, Networks, host_name, is_loopback_name, parse_ip
from microsock.settings import Settings, from_text, resolve


@pytest.mark.parametrize(
    ("texts", "host", "port", "held"),
    [
        (["10.0.0.7"], "10.0.0.7", 4711, True),
        (["10.0.0.7"], "10.0.0.8", 4711, False),
        (["10.0.0.0/8"], "10.255.0.1", 4711, True),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", 4711, True),
        (["10.0.0.0/8"], "11.0.0.1", 4711, False),
        (["2001:db8::/32"], "2001:db8::7", 4711, True),
        (["2001:db8::/32"], "10.0.0.1", 4711, False),
        (["0.0.0.0/0"], "::1", 4711, False),
        (["unix"], "unix", 0, True),
        (["unix"], "/run/app.sock", 0, True),
        (["unix"], "", 0, True),
        (["unix"], "127.0.0.1", 0, False),
        (["unix"], "testclient", 50000, False),
        (["127.0.0.1"], "unix", 0, False),
        (LOCAL, "127.8.0.1", 1, True),
        (LOCAL, "::1", 1, True),
        ([], "127.0.0.1", 1, False),
    ],
)
def test_a_peer_is_held_by_its_address_or_as_one_of_a_unix_socket(
    texts: list[str], host: str, port: int, held: bool
) -> None:
    networks = Networks(texts)
    assert [networks.hold(host, port) for _ in range(2)] == [held, held]
    assert bool(networks) is bool(texts)


def test_what_is_remembered_of_peers_stays_bounded() -> None:
    networks = Networks(["10.0.0.0/8"])
    assert all(networks.hold(f"10.0.{number >> 8}.{number & 255}", 1) for number in range(5000))
    assert len(networks._remembered) <= 4096


@pytest.mark.parametrize("text", ["", "1.2.3", "1.2.3.4.5", "١.٢.٣.٤", "host", "1.2.3.4/8", ":" * 60, "f" * 100_000])
def test_what_is_no_ip_address_is_none(text: str) -> None:
    assert parse_ip(text) is None


@pytest.mark.parametrize("text", ["*", "localhost", "10.0.0.1/8", "10.0.0.0/33", "unix:/run/x", ""])
def test_a_setting_that_names_no_peers_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(BadSetting, match="trusted_proxies: "):
        resolve({"trusted_proxies": ["127.0.0.1", text]})


def test_a_list_in_one_text_is_split_at_its_commas() -> None:
    assert from_text("trusted_proxies", "10.0.0.0/8, unix,") == ("10.0.0.0/8", "unix")
    assert resolve({"trusted_proxies": "unix"}).trusted_proxies == ("unix",)


def test_behind_proxy_keeps_idle_connections_longer_unless_something_else_is_said() -> None:
    assert resolve({"behind_proxy": True}).keep_alive_timeout == 75
    assert resolve({"behind_proxy": True}, {"keep_alive_timeout": 9}).keep_alive_timeout == 9
    assert resolve({"behind_proxy": False}).keep_alive_timeout == Settings().keep_alive_timeout


@pytest.mark.parametrize(("text", "prefix"), [("/shop/", "/shop"), ("/", ""), ("", ""), ("/a/b~c", "/a/b~c")])
def test_a_root_path_is_kept_without_its_last_slash(text: str, prefix: str) -> None:
    assert resolve({"root_path": text}).root_path == prefix


@pytest.mark.parametrize("text", ["shop", "//shop", "/a b", "/a?b", "/a//b", "/%41", "/ä", 7])
def test_a_root_path_that_is_no_path_is_refused(text: object) -> None:
    with pytest.raises(BadSetting, match="root_path is "):
        resolve({"root_path": text})


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("localhost", True), ("LocalHost.", True), ("app.localhost", True), ("127.0.0.1", True), ("127.9.9.9", True),
        ("::1", True), ("[::1]:80", True), ("::ffff:127.0.0.1", True), ("", False), (".", False),
        ("example.org", False), ("localhost.example.org", False), ("notlocalhost", False), ("0.0.0.0", False),
        ("10.0.0.1", False), ("2001:db8::1", False), ("127.1", False), ("127.0.0.1.nip.io", False),
    ],
)  # fmt: skip
def test_a_name_of_the_loopback_is_one_everywhere(name: str, local: bool) -> None:
    assert is_loopback_name(host_name(name)) is local
