"""Whether a request was made on this machine: by its peer, Host, Origin and what proxies add."""

from __future__ import annotations

import pytest

from microsock.loopback import why_not_local
from microsock.request import Address, Request

HERE = Address("127.0.0.1", 4711)


def request(*lines: tuple[str, str], host: str = "localhost", client: Address = HERE) -> Request:
    pairs = [("host", host), *lines]
    return Request("GET", "/", [(name.encode(), value.encode()) for name, value in pairs], client=client, host=host)


def test_a_request_of_this_machine_for_this_machine_is_local() -> None:
    assert why_not_local(request(("user-agent", "curl"), ("accept", "*/*"), ("x-request-id", "7"))) == ""
    assert why_not_local(request(("origin", "http://localhost:3000"))) == ""
    assert why_not_local(request(("origin", "http://[::1]:3000"))) == ""


@pytest.mark.parametrize(
    "name",
    [
        "forwarded", "x-forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port",
        "x-forwarded-server", "x-original-forwarded-for", "x_forwarded_for", "fly-forwarded-port", "via", "cdn-loop",
        "x-real-ip", "x_real_ip", "cf-connecting-ip", "cf-connecting-ipv6", "do-connecting-ip", "true-client-ip",
        "fastly-client-ip", "fly-client-ip", "x-azure-clientip", "x-azure-socketip", "x-client-ip",
        "x-cluster-client-ip", "client-ip", "x-nf-client-connection-ip", "x-envoy-external-address",
        "x-appengine-user-ip", "x-remote-ip", "x-remote-addr", "wl-proxy-client-ip", "proxy-client-ip", "cf-ray",
        "x-amzn-trace-id", "x-amz-cf-id",
    ],
)  # fmt: skip
def test_whoever_sends_a_header_of_a_proxy_or_of_a_delivery_network_speaks_for_somebody_else(name: str) -> None:
    assert name in why_not_local(request((name, "127.0.0.1")))


def test_each_of_several_lines_counts() -> None:
    assert why_not_local(request(("host", "rebound.example")))
    assert why_not_local(request(("origin", "http://localhost"), ("origin", "http://rebound.example")))


@pytest.mark.parametrize(
    "origin",
    ["null", "", "file://", "http://rebound.example:8080", "http://localhost.rebound.example", "http://localhost@x.example",
     "http://[::1", "http://127.0.0.1.nip.io"],
)  # fmt: skip
def test_a_page_of_another_origin_is_not_local(origin: str) -> None:
    assert why_not_local(request(("origin", origin))) == "a page of another site asks"


@pytest.mark.parametrize("client", ["10.0.0.1", "2001:db8::1", "unix", "/run/app.sock", "", "localhost"])
def test_a_peer_that_is_not_on_the_loopback_is_not_local(client: str) -> None:
    assert why_not_local(request(client=Address(client, 1)))
