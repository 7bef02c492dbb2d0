"""What serving may come to need but a start does not: loaded in a quiet moment soon after it.

Where a module is imported in a function of the serving half, it is named here: for why, see docs/design.md.
"""

from __future__ import annotations

__all__ = ["CONNECTIONS", "SECONDS", "load"]

SECONDS, CONNECTIONS = 0.25, 16
"""So long after its start a server does so, or when so many clients are there, long before descriptors are scarce."""


def load(websockets: bool) -> None:
    """Load it, which takes some hundredths of a second. May be called again, and then takes nothing.

    Args:
        websockets: whether WebSockets are served.
    """
    import base64  # noqa: F401 - for handshakes and commands
    import json  # noqa: F401 - for answers, bodies and commands
    import opcode  # noqa: F401 - for generators that have forgotten to return something

    from .. import cleanup, following, status  # noqa: F401 - for clients that leave, event streams, the figures
    from ..adapters import ending, logfiles, peers, untrusted  # noqa: F401 - for forks, signals and commands
    from ..protocol import spare
    from . import dump, leaving  # noqa: F401 - for SIGUSR1, and for workers

    spare.load(websockets)
    if websockets:
        from .. import conversation, origin  # noqa: F401
        from ..protocol import deflate, frames  # noqa: F401
