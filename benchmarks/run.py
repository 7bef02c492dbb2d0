"""The one command: `python benchmarks/run.py SUITE [OPTIONS]`, with any Python from 3.11 on and nothing installed.

Makes the benchmarks' own environment, once, and goes on in it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Become `python -m benchmarks` of the environment, with the same arguments; paths are seen from the repository."""
    sys.path.insert(0, str(ROOT))
    from benchmarks.environment import interpreter

    python = str(interpreter())
    os.chdir(ROOT)
    os.execv(python, [python, "-m", "benchmarks", *sys.argv[1:]])


if __name__ == "__main__":
    main()
