"""A live board of prices over server-sent events. Run it with `python -m microsock examples/ticker.py`.

Then open http://127.0.0.1:8080/. Stop the server and start it again: the page comes back by itself and goes on.

One job moves the prices each second and publishes them on the topic `prices`. The page lies in `examples/ticker/`. Its
`EventSource` follows `/prices/live`; when the connection breaks, it comes back with the id of the last event that it
saw and gets what it missed. `curl -N http://127.0.0.1:8080/prices/live` shows the same.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from microsock import App, Event, EventStream, Request, Response, abort, sleep

PAGE = Path(__file__).parent / "ticker"
TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript"}
FILES = {path.name: path.read_bytes() for path in PAGE.iterdir() if path.suffix in TYPES}

app = App()
prices = {"Apples": 3.2, "Bread": 4.5, "Coffee": 11.8, "Dates": 7.4, "Eggs": 3.9, "Flour": 1.6}
chance = random.Random()


@app.get("/")
def index(request: Request) -> Response:
    """The board."""
    return asset(request, "page.html")


@app.get("/assets/{name}")
def asset(request: Request, name: str) -> Response:
    """One of the page's files, all of which were read when the server started."""
    if name not in FILES:
        abort(404)
    return Response(FILES[name], content_type=f"{TYPES[Path(name).suffix]}; charset=utf-8")


@app.get("/prices")
def list_prices(request: Request) -> dict[str, float]:
    """The prices as they are now."""
    return prices


@app.get("/prices/live")
def live(request: Request) -> EventStream:
    """The prices as they are, then as they change; for who comes back, how they changed meanwhile."""
    return EventStream("prices", history=60)


@app.get("/countdown")
def countdown(request: Request) -> Iterator[Any]:
    """A stream of its own for each client, as a generator: `curl -N http://127.0.0.1:8080/countdown`."""
    for left in range(5, 0, -1):
        yield Event({"left": left}, id=str(left))
        yield from sleep(1)
    yield Event("lift off", event="end")


@app.every(1)
def trade() -> None:
    """Move a few prices. They are retained, so that whoever comes later gets the last ones at once."""
    for name in chance.sample(list(prices), 2):
        prices[name] = round(max(0.1, prices[name] * chance.uniform(0.96, 1.04)), 2)
    app.publish("prices", {"prices": prices, "at": round(time.time() * 1000)}, retain=True)
