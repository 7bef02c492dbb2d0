"""Run it by `python features_microsock.py PORT FEATURE`."""

from __future__ import annotations

import sys
import threading
import time
import urllib.request
from typing import Any

from microsock import App, Request, Response

_, PORT, FEATURE = sys.argv
_MOST = "100000000/minute"

SETTINGS: dict[str, dict[str, Any]] = {
    "rate_limit": {"rate_limit": _MOST},
    "proxy": {"behind_proxy": True},
    "access_log": {"access_log": True, "access_log_format": "json"},
}

app = App(**{"access_log": False, "keep_alive_timeout": 75} | SETTINGS.get(FEATURE, {}))
if FEATURE == "status":
    app.status("/_status")
elif FEATURE == "hook":

    @app.on_response
    def sign(request: Request, response: Response) -> None:
        """Add a line."""
        response.headers["X-Served-By"] = "microsock"


def hello(request: Request) -> Response:
    """Plain text."""
    return Response("Hello, world!", content_type="text/plain")


def again(request: Request) -> Any:
    """Read JSON, write JSON."""
    return request.json()


if FEATURE == "limit":
    hello, again = app.limit(_MOST)(hello), app.limit(_MOST)(again)
app.get("/")(hello)
app.post("/json")(again)


def look() -> None:
    """Ask for the figures once a second, as a monitor does."""
    while True:
        time.sleep(1)
        urllib.request.urlopen(f"http://127.0.0.1:{PORT}/_status").close()


if __name__ == "__main__":
    if FEATURE == "status":
        threading.Thread(target=look, daemon=True).start()
    sys.exit(app.run(port=int(PORT)))
