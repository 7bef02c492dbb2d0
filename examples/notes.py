"""A JSON API with errors and hooks. Run it with `python -m microsock examples/notes.py`.

Then, from a second terminal:

    curl http://127.0.0.1:8080/notes --json '{"text": "Buy milk", "tags": ["home"]}'
    curl http://127.0.0.1:8080/notes?tag=home
    curl http://127.0.0.1:8080/notes/1 -X PATCH --json '{"text": "Buy oat milk"}'
    curl http://127.0.0.1:8080/notes/1 -X DELETE

The notes live in memory and are gone when the server stops.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any

from microsock import App, HTTPError, Request, Response, abort

app = App(max_body_size=64 * 1024)


@dataclass
class Note:
    """A few words and the tags to find them by."""

    number: int
    text: str
    tags: list[str] = field(default_factory=list)


notes: dict[int, Note] = {}
numbers = count(1)


class InvalidNote(ValueError):
    """What the client sent is JSON, but not a note."""


@app.get("/notes")
def list_notes(request: Request) -> list[dict[str, Any]]:
    """All notes, or those with the tag that the query asks for."""
    tag = request.args.get("tag")
    return [asdict(note) for note in notes.values() if tag is None or tag in note.tags]


@app.post("/notes")
def create_note(request: Request) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Keep a note and say where it is."""
    note = Note(next(numbers), **note_fields(request.json(), required=["text"]))
    notes[note.number] = note
    return asdict(note), 201, {"Location": f"/notes/{note.number}"}


@app.get("/notes/{number:int}")
def show_note(request: Request, number: int) -> dict[str, Any]:
    """One note."""
    return asdict(find(number))


@app.patch("/notes/{number:int}")
def change_note(request: Request, number: int) -> dict[str, Any]:
    """Change what the body names and leave the rest."""
    note = find(number)
    for name, value in note_fields(request.json()).items():
        setattr(note, name, value)
    return asdict(note)


@app.delete("/notes/{number:int}")
def delete_note(request: Request, number: int) -> tuple[str, int]:
    """Forget a note."""
    find(number)
    del notes[number]
    return "", 204


@app.error
def any_error(request: Request, error: HTTPError) -> tuple[dict[str, Any], int]:
    """Every error as JSON: a missing note, an unknown path, a body too large, a bug."""
    return {"error": error.message, "path": request.path}, error.status


@app.error(InvalidNote)
def invalid_note(request: Request, error: InvalidNote) -> tuple[dict[str, Any], int]:
    """Our own exception becomes an answer: handlers just raise it."""
    return {"error": str(error)}, 422


@app.on_response
def no_store(request: Request, response: Response) -> None:
    """The last word on every response, errors included."""
    response.headers.setdefault("Cache-Control", "no-store")


def find(number: int) -> Note:
    """The note with this number, or a 404."""
    if number not in notes:
        abort(404, f"there is no note {number}")
    return notes[number]


def note_fields(body: Any, required: Collection[str] = ()) -> dict[str, Any]:
    """The checked fields of a note that the client sent."""
    if not isinstance(body, dict):
        raise InvalidNote("a note is a JSON object")
    if missing := set(required) - body.keys():
        raise InvalidNote(f"missing: {', '.join(sorted(missing))}")
    for name, value in body.items():
        check_field(name, value)
    return body


def check_field(name: str, value: Any) -> None:
    """Refuse a field that a note does not have, or a value that does not fit it."""
    match name, value:
        case "text", str() if value.strip():
            pass
        case "tags", list() if all(isinstance(tag, str) for tag in value):
            pass
        case "text" | "tags", _:
            raise InvalidNote(f"{name!r} must be {'a text' if name == 'text' else 'a list of texts'}, not {value!r}")
        case _:
            raise InvalidNote(f"a note has 'text' and 'tags', not {name!r}")
