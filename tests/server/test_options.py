from __future__ import annotations

import pytest

from microsock.errors import BadSetting
from microsock.server.options import NO_OPTIONS, KeyPair, Options, parse_options


def test_without_options_all_is_as_the_settings_say() -> None:
    assert parse_options(None) == parse_options({}) == NO_OPTIONS
    assert NO_OPTIONS.ipv6_only


def test_the_names_of_a_stream_context_stand_for_settings() -> None:
    ssl = {"local_cert": "a.pem", "local_pk": "a.key", "passphrase": "sesame", "cafile": "ca.pem"}
    options = parse_options({"socket": {"backlog": 7, "so_reuseport": True}, "ssl": ssl})
    assert options.settings == {
        "backlog": 7,
        "reuse_port": True,
        "ssl_certfile": "a.pem",
        "ssl_keyfile": "a.key",
        "ssl_keyfile_password": "sesame",
        "ssl_ca_certs": "ca.pem",
    }


def test_flat_and_nested_mean_the_same() -> None:
    nested = parse_options({"socket": {"backlog": 7, "ipv6_v6only": False}, "ssl": {"local_cert": "a.pem"}})
    assert parse_options({"backlog": 7, "ipv6_v6only": False, "local_cert": "a.pem"}) == nested
    assert not nested.ipv6_only


def test_a_settings_own_name_is_understood_too() -> None:
    assert parse_options({"reuse_port": True, "ssl_certfile": "a.pem"}).settings == {
        "reuse_port": True,
        "ssl_certfile": "a.pem",
    }


def test_certificates_by_server_name() -> None:
    pair = {"local_cert": "b.pem", "local_pk": "b.key"}
    options = parse_options(
        {"ssl": {"SNI_enabled": True, "SNI_server_certs": {"A.example.": "a.pem", "b.example": pair}}}
    )
    assert options.names == {"a.example": KeyPair("a.pem"), "b.example": KeyPair("b.pem", "b.key")}


def test_what_is_always_so_may_be_said() -> None:
    assert parse_options({"tcp_nodelay": True, "disable_compression": True}) == Options()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backlogg": 3}, "unknown option 'backlogg' in options; did you mean 'backlog'?"),
        ({"socket": {"local_cert": "a"}}, r"unknown option 'local_cert' in options\['socket'\]"),
        ({"ssl": {"backlog": 1}}, r"unknown option 'backlog' in options\['ssl'\]; known are .*ciphers"),
        ({"ssl": {"peer_name": "a"}}, "unknown option 'peer_name'"),
        ({3: 4}, "unknown option 3"),
        ({"socket": 3}, r"options\['socket'\] is 3; expected a dict"),
        ({"backlog": "many"}, "backlog is 'many'; expected a number of at least 1"),
        ({"backlog": 1, "socket": {"backlog": 2}}, "given twice"),
        ({"so_reuseport": True, "reuse_port": True}, "given twice"),
        ({"tcp_nodelay": False}, "option 'tcp_nodelay' must be True; answers are always sent at once"),
        ({"SNI_enabled": False}, "must be True"),
        ({"ipv6_v6only": 1}, "option 'ipv6_v6only' is 1; expected True or False"),
        ({"ciphers": 7}, "option 'ciphers' is 7; expected a text"),
        ({"SNI_server_certs": ["a.pem"]}, "expected a dict of server names"),
        ({"SNI_server_certs": {"bücher.example": "a.pem"}}, "must be an ASCII text"),
        ({"SNI_server_certs": {"a.example": {"local_pk": "a.key"}}}, "expected a PEM file, or local_cert"),
        ({"SNI_server_certs": {"a.example": {"local_cert": "a", "cafile": "b"}}}, "expected a PEM file, or local_cert"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_words(options: dict[str, object], message: str) -> None:
    with pytest.raises(BadSetting, match=message):
        parse_options(options)
