"""The logger that everything of the package writes to; where its lines go is the console's affair, or the program's.

And how text of a client is written there.
"""

from __future__ import annotations

import logging

__all__ = ["logger", "printable"]

logger = logging.getLogger("microsock")


def printable(text: str) -> str:
    """Text of a client, with an escape for each character that could end a line or colour a terminal.

    A backslash and a quote stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)
