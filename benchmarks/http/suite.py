"""The HTTP benchmark: who takes part, and what microsock wants to reach."""

from __future__ import annotations

from ..peers import Peer
from ..suite import Goal, Suite
from .cases import CASES

__all__ = ["SUITE"]

_FIXED_ONLY = ("json", "path", "post", "body64k", "body1m", "start")
_REF = "uvicorn"

_PEERS = (
    Peer("microsock", "microsock", "http_microsock.py", packages=("microsock", "h11"), extras=""),
    Peer(
        "uvicorn",
        "Starlette on uvicorn[standard]",
        "http_starlette.py",
        ("uvicorn",),
        packages=("starlette", "uvicorn", "httptools", "uvloop"),
    ),
    # It has not answered thousands of connections, one after the other, within two minutes.
    Peer(
        "granian",
        "Starlette on granian",
        "http_starlette.py",
        ("granian",),
        packages=("starlette", "granian"),
        cannot=("idle",),
    ),
    Peer("aiohttp", "aiohttp", "http_aiohttp.py", packages=("aiohttp",)),
    Peer("sanic", "sanic", "http_sanic.py", packages=("sanic", "uvloop")),
    Peer("bjoern", "falcon on bjoern", "http_falcon.py", packages=("falcon", "bjoern"), cannot=("pipelined", "tls")),
    # Under the load of these cases it stops answering for more than thirty seconds.
    Peer("gunicorn", "Flask on gunicorn", "http_flask.py", packages=("flask", "gunicorn"), cannot=("connect",)),
    # It polls all connections one by one each time, so that thousands of them take minutes to ask.
    Peer("waitress", "bottle on waitress", "http_bottle.py", packages=("bottle", "waitress"), cannot=("tls", "idle")),
    Peer("microdot", "microdot", "http_microdot.py", packages=("microdot",), cannot=("pipelined", "idle")),
    Peer("tornado", "tornado", "http_tornado.py", packages=("tornado",)),
    Peer("nginx", "nginx, a fixed answer", "http_nginx.py", program="nginx", cannot=_FIXED_ONLY),
)


def _cheaper(case: str, title: str, times: float) -> Goal:
    text = f"{title}: the CPU of Starlette on uvicorn[standard] is at least {times:.1f} times ours"
    return Goal(text, case, "cpu", times, peer=_REF, at_least=True)


_GOALS = (
    _cheaper("browser", "a browser's header lines", 2.3),
    _cheaper("unique", "a header that never comes twice", 2.0),
    _cheaper("json", "JSON", 1.8),
    _cheaper("path", "a path parameter", 1.8),
    _cheaper("post", "1 KiB of JSON there and back", 1.5),
    _cheaper("body64k", "64 KiB there and back", 1.0),
    _cheaper("body1m", "1 MiB there and back", 1.0),
    Goal("32 connections: our p99 is no worse than theirs", "browser", "p99", 1.0, peer=_REF),
    Goal("1,000 connections: our p99 is no worse than theirs", "many", "p99", 1.0, peer=_REF),
    Goal("idle: at most 1.5 KiB a connection", "idle", "memory", 1.5),
    Goal("start-up: no longer than microdot's", "start", "time", 1.0, peer="microdot"),
    Goal("at rest: at most 22 MB", "start", "rest", 22.0),
)

_NOTE = (
    "A connection that the server ends after an answer is opened again, within the next answer's time. Where nginx is "
    "compared it gives bytes that stand in its configuration."
)

SUITE = Suite("http", "HTTP", _PEERS, CASES, _GOALS, _NOTE)
