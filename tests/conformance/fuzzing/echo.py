"""The server that the fuzzing client talks to: text and binary come back as they came.

Served as ``python -m microsock tests/conformance/fuzzing/echo.py``.
"""

from __future__ import annotations

from microsock import App, WebSocket

app = App(
    # The largest message of the suite has 16 MiB (9.1.6), the one in most pieces 65,536 of them (9.3.1).
    max_message_size=16 << 20,
    max_fragments=100_000,
    # The suite takes a Ping that it did not ask for as the end of a case; on a busy machine one may last 20 seconds.
    ping_interval=None,
    # Sections 12 and 13.
    compression=True,
)


@app.websocket("/")
def echo(ws: WebSocket, message: str | bytes) -> str | bytes:
    """Send it back."""
    return message
