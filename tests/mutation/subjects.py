"""The modules that mutants are made of, the tests that are to find them, and the mutants that change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = ["EQUIVALENT", "SUBJECTS", "Mutant", "equivalent"]

_CTRL_C = "tests/test_failures.py::test_ctrl_c_on_the_main_thread_goes_through"
_LIMITS_ON_BOTH_WAYS = "tests/server/test_straight.py::test_limits_say_the_same_on_both_ways_until_and_when_they_refuse"
SUBJECTS: dict[str, list[str]] = {
    "gate": [
        "tests/test_gate.py",
        "tests/test_limits.py",
        "tests/test_limit_promises.py",
        "tests/test_app_clients.py",
        _CTRL_C,
    ],
    "relay": ["tests/test_relay.py", "tests/test_bus_and_relay.py"],
    "runners/roster": ["tests/runners/test_roster.py"],
    "runners/supervisor": ["tests/runners/test_supervising.py"],
    "server/patience": [
        "tests/server/test_patience.py",
        "tests/server/test_heartbeat.py",
        "tests/server/test_draining.py",
        "tests/server/test_leaving.py",
        "tests/server/test_lingering.py",
        "tests/server/test_buffered_bytes.py",
    ],
    "server/connection": [
        "tests/server/test_connection.py",
        "tests/server/test_queueing.py",
        "tests/server/test_draining.py",
        "tests/server/test_patience.py",
        "tests/server/test_heartbeat.py",
        "tests/server/test_departures.py",
        "tests/server/test_leaving.py",
        "tests/server/test_dump.py",
        "tests/server/test_buffered_bytes.py",
        "tests/server/test_straight.py",
        "tests/server/test_turns.py",
        "tests/test_conversation_pushes.py",
        "tests/test_slow_reader.py",
    ],
    "answer": [
        "tests/test_answer.py",
        "tests/test_answer_accounts.py",
        "tests/test_answer_streams.py",
        "tests/test_blocking.py",
        "tests/test_following.py",
        "tests/test_waiting_handlers.py",
        "tests/test_gate.py",
        "tests/test_limits.py",
        _CTRL_C,
        _LIMITS_ON_BOTH_WAYS,
    ],
    "exchange": [
        "tests/test_exchange.py",
        "tests/test_exchange_details.py",
        "tests/test_answer.py",
        "tests/test_answer_accounts.py",
        "tests/test_answer_streams.py",
        "tests/test_gate.py",
        "tests/test_limits.py",
        "tests/test_conversation.py",
        "tests/test_conversation_ends.py",
        "tests/test_conversation_generators.py",
        "tests/test_proxies.py",
        "tests/server/test_patience.py",
        "tests/server/test_draining.py",
        "tests/server/test_leaving.py",
        "tests/server/test_departures.py",
        "tests/server/test_dump.py",
        _CTRL_C,
        _LIMITS_ON_BOTH_WAYS,
    ],
}
EQUIVALENT = Path(__file__).parent / "equivalent.txt"


class Mutant(NamedTuple):
    """A change: which function of which module, and its lines before and after."""

    module: str
    function: str
    before: str
    after: str


def equivalent() -> dict[Mutant, str]:
    """Those that no test can find, and why.

    A paragraph each: module and function, the line before behind ``-``, after it behind ``+``, and the reason.
    """
    found = {}
    for paragraph in EQUIVALENT.read_text().strip().split("\n\n"):
        if paragraph.startswith("#"):
            continue
        where, *lines = paragraph.splitlines()
        module, function = where.split()
        before, after = (" ".join(line[2:] for line in lines if line[0] == sign) for sign in "-+")
        found[Mutant(module, function, before, after)] = " ".join(line for line in lines if line[0] not in "-+")
    return found
