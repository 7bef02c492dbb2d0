"""What a peer can bring about at any time, and most never do: loaded before that, in a quiet moment.

h11 and wsproto stand behind the short ways, so that a server can begin without them. But to load a module is to read a
file: in the middle of an attack, with no descriptor left, it would fail.
"""

from __future__ import annotations

import codecs

__all__ = ["load"]

# By which a text body may be read; Python loads each with its first use.
_CODECS = ("utf-8-sig", "utf-16", "iso-8859-15", "windows-1252")


def load(websockets: bool) -> None:
    """Load what the sessions of a server may come to need. May be called again.

    Args:
        websockets: whether it serves WebSockets; without them no handshake gets so far.
    """
    import ipaddress  # noqa: F401 - for hosts and peers of IPv6

    import h11  # noqa: F401 - for all requests that are not ordinary

    for name in _CODECS:
        codecs.lookup(name)
    if websockets:
        import urllib.parse  # noqa: F401 - for origins

        import wsproto.utilities  # noqa: F401 - for the handshake

        from . import strict  # noqa: F401 - for frames that are not plain
