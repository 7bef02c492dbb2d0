"""The WebSocket benchmark: who takes part, and what microsock wants to reach."""

from __future__ import annotations

from ..peers import Peer
from ..suite import Goal, Suite
from .cases import CASES

__all__ = ["SUITE"]

_OURS = ("microsock", "wsproto", "h11")
_PEERS = (
    Peer("microsock", "microsock", "websocket_microsock.py", packages=_OURS, extras=""),
    Peer("microsock-speed", "microsock[speed]", "websocket_microsock.py", packages=_OURS, extras="[speed]"),
    Peer(
        "websockets-uvloop",
        "websockets on uvloop",
        "websocket_websockets.py",
        ("--uvloop",),
        packages=("websockets", "uvloop"),
    ),
    Peer("websockets", "websockets on asyncio", "websocket_websockets.py", packages=("websockets",)),
    Peer("aiohttp", "aiohttp on asyncio", "websocket_aiohttp.py", packages=("aiohttp",)),
    Peer("picows", "picows on uvloop", "websocket_picows.py", packages=("picows", "aiofastnet", "uvloop")),
)

_GOALS = (
    Goal(
        "32 bytes: the CPU of websockets on uvloop is at least 1.5 times ours",
        "echo32",
        "cpu",
        1.5,
        peer="websockets-uvloop",
        at_least=True,
    ),
    Goal(
        "64 KiB: our CPU is at most 2.5 times that of websockets on uvloop",
        "echo64k",
        "cpu",
        2.5,
        peer="websockets-uvloop",
    ),
    Goal(
        "publish: our time is at most 1.15 times that of websockets on uvloop",
        "publish",
        "time",
        1.15,
        peer="websockets-uvloop",
    ),
    Goal("idle: at most 3 KiB a connection", "idle", "memory", 3.0),
)

SUITE = Suite("websocket", "WebSockets", _PEERS, CASES, _GOALS, "Compression is off for all; masks and payloads vary.")
