"""What the test client raises: the test asks for something that cannot happen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import MicrosockError

if TYPE_CHECKING:
    import httpx

__all__ = [
    "EventStreamEnded",
    "EventStreamRefused",
    "NeverWaitedFor",
    "RestlessApp",
    "StillWaiting",
    "WebSocketRefused",
]


class StillWaiting(MicrosockError, TimeoutError):
    """Nothing has come, and nothing will come before the clock is moved or the test sends more."""


class NeverWaitedFor(MicrosockError, RuntimeWarning):
    """The app has called a verb such as ``sleep(1)`` without ``yield from``.

    Raised at the client's next call, or when it is closed.
    """


class RestlessApp(MicrosockError):
    """The app goes on and on at one instant of the virtual clock."""


class WebSocketRefused(MicrosockError):
    """A handshake was answered, but not by 101; ``response`` is the answer, read to its end."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(f"the handshake was refused: {response.status_code} {response.reason_phrase}")
        self.response = response


class EventStreamRefused(MicrosockError):
    """What was asked for is no event stream; ``response`` is the answer, read as far as it came."""

    def __init__(self, response: httpx.Response) -> None:
        kind = response.headers.get("Content-Type", "nothing")
        super().__init__(f"no event stream: {response.status_code} {response.reason_phrase}, {kind}")
        self.response = response


class EventStreamEnded(MicrosockError, EOFError):
    """No event comes any more: the server has ended the stream."""
