"""A chat with rooms. Run it with `python -m microsock examples/chat.py`.

Then open http://127.0.0.1:8080/ in two browser tabs, or on two machines with `--host 0.0.0.0`.

The page lies in `examples/chat/`. Over its WebSocket it sends one of

    {"type": "say", "text": …}    {"type": "typing"}    {"type": "rename", "name": …}

and is sent `welcome` once, then `message`, `typing`, `people` and `rooms` as they happen. Rooms, people and
the last messages live in memory: they are gone when the server stops.

It is for one process. Who is in a room, and what was said last, stands in globals of this module, and every worker has
its own: with `--workers 4` a visitor would see a quarter of the people. Messages would reach everybody all the same.
"""

from __future__ import annotations

import re
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from microsock import App, Request, Response, WebSocket, abort, redirect

MAX_NAME = 24
MAX_TEXT = 2000
MAX_ROOMS = 200
KEPT_MESSAGES = 100
ROOM_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")

PAGE = Path(__file__).parent / "chat"
TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}
FILES = {path.name: path.read_bytes() for path in PAGE.iterdir() if path.suffix in TYPES}


@dataclass
class Room:
    """Who is here, by the id of their WebSocket, and what was said last."""

    people: dict[str, str] = field(default_factory=dict)
    messages: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT_MESSAGES))


app = App()
always_open = ("lobby", "music", "random")
rooms: dict[str, Room] = {name: Room() for name in always_open}


# The page -----------------------------------------------------------------------------------------------------------


@app.get("/")
def index(request: Request) -> Response:
    """Everybody starts in the lobby."""
    return redirect("/rooms/lobby")


@app.get("/rooms/{room}")
def page(request: Request, room: str) -> Response:
    """The page of a room; the same for all, since the script reads the room from the address."""
    check_room_name(room)
    return asset(request, "page.html")


@app.get("/assets/{name}")
def asset(request: Request, name: str) -> Response:
    """One of the page's files, all of which were read when the server started."""
    if name not in FILES:
        abort(404)
    return Response(FILES[name], content_type=f"{TYPES[Path(name).suffix]}; charset=utf-8")


@app.on_response
def guard(request: Request, response: Response) -> None:
    """Let the page load what this server sends, and nothing else."""
    response.headers["Content-Security-Policy"] = (
        "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-cache"


# The conversation ---------------------------------------------------------------------------------------------------


@app.websocket("/rooms/{room}/live", max_message_size=16 * 1024)
def chat(ws: WebSocket, message: dict[str, Any], room: str) -> None:
    """One message from somebody's page."""
    match message:
        case {"type": "say", "text": str(text)}:
            say(ws, room, tidy(text)[:MAX_TEXT])
        case {"type": "typing"}:
            app.publish(room, {"type": "typing", "from": ws.id}, exclude=ws)
        case {"type": "rename", "name": str(name)}:
            rename(ws, room, name)
        case _:
            ws.close(1008, "expected say, typing or rename")


@chat.on_upgrade
def admit(request: Request, room: str) -> None:
    """Runs before the WebSocket opens and may refuse it."""
    check_room_name(room)
    if room not in rooms and len(rooms) >= MAX_ROOMS:
        abort(503, "there are too many rooms")


@chat.on_open
def joined(ws: WebSocket, room: str) -> None:
    """Greet the new one with all there is to know, then tell the others."""
    here = rooms.setdefault(room, Room())
    here.people[ws.id] = person_name(ws.request.args.get("name", ""))
    ws.subscribe(room)
    ws.subscribe("all rooms")
    ws.send({"type": "welcome", "you": ws.id, "messages": list(here.messages), "people": people(here)})
    tell_people(room, "joined", here.people[ws.id], exclude=ws)


@chat.on_close
def left(ws: WebSocket, code: int, reason: str) -> None:
    """Tell the others. A room without people is forgotten, unless it is always open."""
    room = ws.params["room"]
    here = rooms[room]
    name = here.people.pop(ws.id)
    if not here.people and room not in always_open:
        del rooms[room]
    tell_people(room, "left", name)


def say(ws: WebSocket, room: str, text: str) -> None:
    """Publish a message to everybody in the room, and keep it for those who come later."""
    if not text:
        return
    here = rooms[room]
    message = {
        "id": uuid.uuid4().hex,
        "from": ws.id,
        "name": here.people[ws.id],
        "text": text,
        "at": round(time.time() * 1000),
    }
    here.messages.append(message)
    app.publish(room, {"type": "message"} | message)


def rename(ws: WebSocket, room: str, name: str) -> None:
    """Give somebody another name."""
    here = rooms[room]
    old, new = here.people[ws.id], person_name(name)
    here.people[ws.id] = new
    if old != new:
        tell_people(room, "renamed", new, old)


def tell_people(room: str, event: str, name: str, old: str = "", exclude: WebSocket | None = None) -> None:
    """Publish who is in the room now and what changed; and to all rooms, how full each is."""
    here = rooms.get(room, Room())
    news = {"type": "people", "people": people(here), "event": event, "name": name, "old": old}
    app.publish(room, news, exclude=exclude)
    app.publish("all rooms", {"type": "rooms", "rooms": {name: len(room.people) for name, room in rooms.items()}})


def people(room: Room) -> list[dict[str, str]]:
    """The people of a room in the order they came."""
    return [{"id": socket, "name": name} for socket, name in room.people.items()]


def check_room_name(room: str) -> None:
    """Refuse what is not a room's name."""
    if len(room) > MAX_NAME or not ROOM_NAME.fullmatch(room):
        abort(404, f"a room's name has 1 to {MAX_NAME} letters a-z, digits and single hyphens")


def person_name(text: str) -> str:
    """A name that fits the page: one line, short, never empty."""
    return " ".join(tidy(text).split())[:MAX_NAME].strip() or "Somebody"


def tidy(text: str) -> str:
    """A visitor's text without what cannot be shown: control characters, half surrogate pairs, direction marks."""
    return "".join(char for char in text if char.isprintable() or char in "\n\u200d").strip()
