"""Run it by `python http_falcon.py PORT`: falcon on bjoern, which is written in C and knows no TLS."""

from __future__ import annotations

import sys

import bjoern
import falcon


class Hello:
    """Plain text."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer."""
        response.content_type = falcon.MEDIA_TEXT
        response.text = "Hello, world!"


class Document:
    """A small document, and JSON there and back."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer."""
        response.media = {"message": "Hello, world!"}

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Read JSON, write JSON."""
        response.media = request.get_media()


class User:
    """A path parameter."""

    def on_get(self, request: falcon.Request, response: falcon.Response, number: int) -> None:
        """Answer."""
        response.media = {"id": number, "name": f"user {number}"}


class Echo:
    """Send back the body."""

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer."""
        response.content_type = "application/octet-stream"
        response.data = request.bounded_stream.read()


if __name__ == "__main__":
    app = falcon.App()
    app.add_route("/", Hello())
    app.add_route("/json", Document())
    app.add_route("/users/{number:int}", User())
    app.add_route("/echo", Echo())
    bjoern.run(app, "127.0.0.1", int(sys.argv[1]))
