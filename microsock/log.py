"""The logger that everything of the package writes to; where its lines go is the console's affair, or the program's."""

from __future__ import annotations

import logging

__all__ = ["logger"]

logger = logging.getLogger("microsock")
