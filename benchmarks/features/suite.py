"""The benchmark of what each feature costs where it is on: microsock beside itself with one of them."""

from __future__ import annotations

from ..http.cases import CASES
from ..peers import Peer
from ..suite import Suite

__all__ = ["SUITE"]

# What a feature is called on the command line of the server, and in the report.
_FEATURES = {
    "plain": "nothing but a handler",
    "rate_limit": "`rate_limit` by address",
    "limit": "`@app.limit` on the route",
    "access_log": "access log, JSON, into a file",
    "hook": "`@app.on_response` that sets a header",
    "status": "`app.status()`, looked at once a second",
    "proxy": "`behind_proxy`, no forwarded header",
}

_NOTE = (
    "The counters of `app.status()` count in every row: they cannot be turned off. A feature that is off is not looked "
    "for at each request; what each row takes more than the first is what it adds."
)

SUITE = Suite(
    "features",
    "What each feature adds",
    tuple(
        Peer(key, name, "features_microsock.py", (key,), packages=("microsock",), extras="")
        for key, name in _FEATURES.items()
    ),
    tuple(case for case in CASES if case.key in ("browser", "post")),
    (),
    _NOTE,
)
