"""Run it by `python http_tornado.py PORT [--tls CERTIFICATE KEY]`."""

from __future__ import annotations

import asyncio
import json
import logging
import sys

from tornado.web import Application, RequestHandler


class Hello(RequestHandler):
    """Plain text."""

    def get(self) -> None:
        """Answer."""
        self.set_header("Content-Type", "text/plain")
        self.write("Hello, world!")


class Document(RequestHandler):
    """A small document, and JSON there and back."""

    def get(self) -> None:
        """Answer."""
        self.write({"message": "Hello, world!"})

    def post(self) -> None:
        """Read JSON, write JSON."""
        self.write(json.loads(self.request.body))


class User(RequestHandler):
    """A path parameter."""

    def get(self, number: str) -> None:
        """Answer."""
        self.write({"id": int(number), "name": f"user {number}"})


class Echo(RequestHandler):
    """Send back the body."""

    def post(self) -> None:
        """Answer."""
        self.set_header("Content-Type", "application/octet-stream")
        self.write(self.request.body)


async def main() -> None:
    """Serve until terminated."""
    app = Application([(r"/", Hello), (r"/json", Document), (r"/users/(\d+)", User), (r"/echo", Echo)])
    tls = {"certfile": sys.argv[3], "keyfile": sys.argv[4]} if sys.argv[3:] else None
    app.listen(int(sys.argv[1]), "127.0.0.1", ssl_options=tls)
    await asyncio.Event().wait()


if __name__ == "__main__":
    logging.getLogger("tornado.access").disabled = True
    asyncio.run(main())
