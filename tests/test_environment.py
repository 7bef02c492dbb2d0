"""Environment variables that mean nothing are told, but for those that nobody has set for us."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from microsock import App
from microsock.cli import main
from microsock.environment import complaints, port_in
from microsock.settings import SETTINGS
from microsock.testing import TestClient

INJECTED = {
    "MICROSOCK_SERVICE_HOST": "10.0.0.7",
    "MICROSOCK_SERVICE_PORT": "80",
    "MICROSOCK_SERVICE_PORT_HTTP": "80",
    "MICROSOCK_PORT": "tcp://10.0.0.7:80",
    "MICROSOCK_PORT_80_TCP": "tcp://10.0.0.7:80",
    "MICROSOCK_PORT_80_TCP_PROTO": "tcp",
    "MICROSOCK_PORT_80_TCP_PORT": "80",
    "MICROSOCK_PORT_80_TCP_ADDR": "10.0.0.7",
    "MICROSOCK_WEB_SERVICE_HOST": "10.0.0.8",
    "MICROSOCK_WEB_SERVICE_PORT_HTTPS_ALT": "443",
    "MICROSOCK_WEB_PORT": "udp://10.0.0.8:53",
    "MICROSOCK_WEB_PORT_53_UDP": "udp://10.0.0.8:53",
    "MICROSOCK_WEB_PORT_9_SCTP_ADDR": "10.0.0.8",
}


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("WROKERS", "WORKERS"),
        ("PORTT", "PORT"),
        ("MAX_BODY", "MAX_BODY_SIZE"),
        ("KEEPALIVE_TIMEOUT", "KEEP_ALIVE_TIMEOUT"),
        ("RELOAD_DIRS", "RELOAD_DIR"),
        ("SSL_CERT_FILE", "SSL_CERTFILE"),
    ],
)
def test_a_misspelt_name_is_told_with_the_nearest(name: str, near: str) -> None:
    assert complaints({f"MICROSOCK_{name}": "1"}) == [
        f"the environment variable MICROSOCK_{name} means nothing; did you mean MICROSOCK_{near}?"
    ]


def test_one_that_is_near_to_nothing_is_told_too() -> None:
    assert complaints({"MICROSOCK_ZZZ": "1", "OTHER": "1", "microsock_port": "1", "MICROSOCK": ""}) == [
        "the environment variable MICROSOCK_ZZZ means nothing"
    ]


def test_what_counts_is_not_told() -> None:
    names = [*SETTINGS, "host", "port", "bind", "runner", "app_dir", "factory", "reload", "reload_dir"]
    assert complaints({f"MICROSOCK_{name.upper()}": "" for name in names}) == []


def test_what_kubernetes_injects_is_passed_over() -> None:
    assert complaints(INJECTED) == []
    assert port_in(INJECTED) is None
    assert port_in({"MICROSOCK_PORT": "80"}) == "80"
    assert port_in({"MICROSOCK_PORT": "http"}) == "http"


@pytest.mark.parametrize(
    "name", ["MICROSOCK_PORTS", "MICROSOCK_SERVICE", "MICROSOCK_PORT_X_TCP", "MICROSOCK_SERVICES_HOST"]
)
def test_what_only_looks_like_that_is_told(name: str) -> None:
    assert len(complaints({name: "80"})) == 1


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "shop_of_environment.py").write_text("from microsock import App\napp = App()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    return "shop_of_environment"


def test_the_command_warns_and_goes_on(
    shop: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MICROSOCK_WROKERS", "4")
    for name, value in INJECTED.items():
        monkeypatch.setenv(name, value)
    assert main(["--check", shop]) == 0
    assert capsys.readouterr().err == (
        "warning: the environment variable MICROSOCK_WROKERS means nothing; did you mean MICROSOCK_WORKERS?\n"
    )


def test_app_run_warns_in_the_log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("MICROSOCK_GRACEE", "4")
    app = App()
    with caplog.at_level(logging.WARNING):
        assert app.run(host="192.0.2.1", port=1) == 4
    assert "MICROSOCK_GRACEE means nothing; did you mean MICROSOCK_GRACE?" in caplog.text


def test_the_test_client_reads_no_environment(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MICROSOCK_WROKERS", "4")
    with TestClient(App()):
        pass
    assert caplog.text == ""
