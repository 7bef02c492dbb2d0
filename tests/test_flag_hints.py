"""A flag that there is not: the nearest one is named, or ours for another server's."""

from __future__ import annotations

import re

import pytest

from microsock.cli import _parser, main
from microsock.flag_hints import OTHERS, hint_for

KNOWN = _parser()._option_string_actions


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (["--prot", "80", "shop"], "--port"),
        (["shop", "--grase", "1"], "--grace"),
        (["shop", "--max_body_size=5"], "--max-body-size"),
        (["--wokers", "4", "shop"], "--workers"),
        (["--no-acces-log", "shop"], "--no-access-log"),
        (["--relaod", "shop"], "--reload"),
        (["-w4", "-p", "0", "--ssl-cert-file", "a.pem", "shop"], "--ssl-certfile"),
        (["--prot"], "--port"),
    ],
)
def test_a_misspelt_flag_names_the_nearest(arguments: list[str], near: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert complaint(capsys, *arguments).endswith(f"; did you mean {near}? (see microsock --help)\n")


@pytest.mark.parametrize(
    ("arguments", "ours"),
    [
        (["--uds", "/run/a.sock", "shop"], "--bind unix:/path"),
        (["-k", "gevent", "shop"], "--workers"),
        (["-kgevent", "shop"], "--workers"),
        (["--worker-class=uvicorn.workers.UvicornWorker", "shop"], "--workers"),
        (["-t", "30", "shop"], "--worker-timeout"),
        (["--timeout", "30", "shop"], "--worker-timeout"),
        (["--proxy-headers", "shop"], "--trusted-proxies"),
        (["--forwarded-allow-ips=*", "shop"], "--trusted-proxies"),
        (["--certfile", "a", "--keyfile", "b", "shop"], "--ssl-certfile"),
        (["shop", "--keyfile", "b"], "--ssl-keyfile"),
        (["--access-logfile", "-", "shop"], "--access-log"),
        (["--timeout-keep-alive", "5", "shop"], "--keep-alive-timeout"),
        (["--limit-concurrency", "5", "shop"], "--max-connections"),
        (["--cert", "adhoc", "shop"], "--ssl-certfile"),
        (["--debugger", "shop"], "--reload"),
        (["--app", "shop"], "the app comes last"),
        (["-D", "shop"], "systemd"),
    ],
)
def test_a_flag_of_another_server_names_ours(
    arguments: list[str], ours: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = complaint(capsys, *arguments)
    assert ours in told
    assert told.count("\n") == 1


def test_one_that_is_near_to_that_of_another_server_names_ours_too() -> None:
    assert hint_for(["--forwarded-allow-ip", "x"], KNOWN).startswith("--forwarded-allow-ips: write --trusted-proxies")


def test_what_is_no_flag_gives_no_hint() -> None:
    for words in (["shop", "-"], ["shop", "-1"], ["shop", "--", "--prot"], ["-p8080", "shop"], ["--zzzzzz"], []):
        assert hint_for(words, KNOWN) == ""


def test_a_verb_of_another_command_is_told_to_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no subcommand run: write microsock films:app" in complaint(capsys, "run", "films:app")


def test_a_port_that_is_a_path_may_have_been_a_pid_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--pid-file" in complaint(capsys, "-p", "/run/shop.pid", "shop")


@pytest.mark.parametrize(("level", "near"), [("warn", "warning"), ("WARNIN", "warning"), ("crit", "critical")])
def test_a_misspelt_value_names_the_nearest(level: str, near: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"did you mean '{near}'?" in complaint(capsys, "--log-level", level, "shop")


def test_the_table_names_only_flags_that_there_are_and_none_of_our_own() -> None:
    for theirs, hint in OTHERS.items():
        assert theirs not in KNOWN
        assert set(re.findall(r"(?<!\w)--?[a-z][a-z-]*", hint)) <= KNOWN.keys(), hint
