"""A server in a thread of the test's own process."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from certs import issued

from microsock import Server

__all__ = ["served", "tls_settings"]


@contextlib.contextmanager
def served(server: Server) -> Iterator[Server]:
    """The server in a thread of its own."""
    with server:
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def tls_settings() -> dict[str, Any]:
    """A certificate for localhost, as settings."""
    pem = issued("localhost")
    return {"ssl_certfile": pem.certificate, "ssl_keyfile": pem.key}
