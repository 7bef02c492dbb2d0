"""The harness around the public suite: it must not call good what is not, and must say plainly what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .fuzzing.__main__ import main
from .fuzzing.environment import Missing, NoPython, find_python, home, prepared
from .fuzzing.report import Result, read, written
from .fuzzing.suite import NoSuchCase, chosen

CASES = ["1.1.1", "1.1.2", "2.10", "7.1.6", "10.1.1", "12.1.10"]


@pytest.fixture
def no_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Neither PATH nor pyenv has a Python 2.7; gives the only folder of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    return tmp_path


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def result(behavior: str, closing: str = "OK") -> Result:
    return Result("1.1.1", behavior, closing, 0.0)


@pytest.mark.parametrize("word", ["OK", "INFORMATIONAL"])
def test_a_case_passes_that_is_ok_or_informational(word: str) -> None:
    assert result(word).passed
    assert result("OK", word).passed


@pytest.mark.parametrize(
    "word",
    [
        "NON-STRICT",
        "FAILED",
        "WRONG CODE",
        "UNCLEAN",
        "FAILED BY CLIENT",
        "UNIMPLEMENTED",
        "NO RESULT",
        "something new",
    ],
)
def test_a_case_fails_that_is_anything_else(word: str) -> None:
    assert not result(word).passed
    assert not result("OK", word).passed


def test_the_worse_of_behaviour_and_close_counts() -> None:
    assert result("NON-STRICT", "INFORMATIONAL").outcome.value == "NON-STRICT"
    assert result("NON-STRICT", "WRONG CODE").outcome.value == "FAILED"


def test_a_pattern_chooses_the_cases_of_a_section() -> None:
    assert chosen(CASES, ["1.*"]) == ["1.1.1", "1.1.2"]
    assert chosen(CASES, ["12.1.10", "7.*", "2.10"]) == ["2.10", "7.1.6", "12.1.10"]
    assert chosen(CASES, ["*"]) == CASES


def test_a_pattern_without_a_case_is_refused() -> None:
    with pytest.raises(NoSuchCase, match=r"no case of the suite matches '8\.\*'"):
        chosen(CASES, ["1.*", "8.*"])


def test_the_report_is_read_with_what_is_said_of_a_bad_case(tmp_path: Path) -> None:
    good = {"behavior": "OK", "behaviorClose": "INFORMATIONAL", "duration": 1500, "reportfile": "good.json"}
    bad = {"behavior": "NON-STRICT", "behaviorClose": "OK", "duration": 2, "reportfile": "bad.json"}
    (tmp_path / "index.json").write_text(json.dumps({"me": {"1.1.1": good, "2.10": bad}}))
    (tmp_path / "bad.json").write_text(
        json.dumps({"result": "Too late.", "resultClose": "Ok", "remoteCloseCode": 1002})
    )
    assert read(tmp_path, "me", ["2.10", "1.1.1"]) == [
        Result("2.10", "NON-STRICT", "OK", 0.002, "Too late. Ok. Closed with 1002."),
        Result("1.1.1", "OK", "INFORMATIONAL", 1.5),
    ]


def test_a_case_that_the_report_does_not_have_has_failed(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text("{}")
    assert [result.passed for result in read(tmp_path, "me", ["1.1.1", "1.1.2"])] == [False, False]


def test_the_table_counts_each_section_and_names_each_bad_case() -> None:
    results = [
        Result("1.1.1", "OK", "OK", 0.1),
        Result("1.1.2", "OK", "UNCLEAN", 0.1, "It just ended."),
        Result("12.1.1", "INFORMATIONAL", "OK", 0.1),
    ]
    lines = [line.split() for line in written(results)]
    assert ["1", "framing", "2", "1", "0", "0", "1"] in lines
    assert ["12", "compression,", "payloads", "1", "0", "1", "0", "0"] in lines
    assert ["all", "3", "1", "1", "0", "1"] in lines
    assert lines[-1] == ["1.1.2", "OK", "/", "UNCLEAN", "It", "just", "ended."]


@pytest.mark.usefixtures("no_python")
def test_a_missing_python_is_named() -> None:
    with pytest.raises(NoPython, match=r"Python 2\.7 is not installed"):
        find_python()


@pytest.mark.usefixtures("no_python")
def test_the_command_says_what_is_missing_and_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("error: Python 2.7 is not installed")


def test_a_python_that_only_has_the_name_is_not_taken(no_python: Path) -> None:
    program(no_python / "python2.7", "exit 127")
    with pytest.raises(NoPython):
        find_python()


def test_a_python_that_is_given_must_be_one(no_python: Path) -> None:
    program(no_python / "python3", "exit 1")
    with pytest.raises(NoPython, match=r"python3 is not a Python 2\.7"):
        find_python(str(no_python / "python3"))


def test_a_python_of_pyenv_is_found(no_python: Path) -> None:
    path = no_python / "pyenv" / "versions" / "2.7.18" / "bin" / "python2.7"
    program(path, "exit 0")
    assert find_python() == str(path)


def test_a_folder_that_cannot_be_written_to_is_named(no_python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (no_python / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(no_python / "file"))
    program(no_python / "python2.7", "exit 0")
    with pytest.raises(Missing, match=r"cannot write to .*XDG_CACHE_HOME"):
        prepared()


def test_an_environment_is_kept_among_the_users_caches(no_python: Path) -> None:
    python = home() / "python2.7" / "bin" / "python"
    program(python, "exit 0")
    assert home().parent.parent == no_python / "caches"
    # No Python 2.7 is needed any more than what is in the environment.
    assert prepared() == str(python)
