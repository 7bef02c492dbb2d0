from __future__ import annotations

from microsock.protocol import events
from microsock.protocol.events import CloseReceived, Waiting


def test_events_are_plain_values() -> None:
    assert CloseReceived(1000, "bye", True) == CloseReceived(code=1000, reason="bye", by_peer=True)


def test_what_a_session_waits_for_says_so_in_words() -> None:
    assert Waiting.HEAD.value == "the rest of a request's head"
    assert len({waiting.value for waiting in Waiting}) == len(Waiting) == 7


def test_every_event_is_in_the_type_that_names_them_all() -> None:
    named = set(events.__all__) - {"Event", "Waiting"}
    assert named == {event.__name__ for event in events.Event.__args__}
