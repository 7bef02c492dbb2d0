"""The public conformance suite of WebSockets, Autobahn|Testsuite, against a real microsock server.

    python tests/conformance/autobahn.py                            all 517 cases, about 17 minutes
    python tests/conformance/autobahn.py --cases '1.*,7.9.*,10.1.1'

Needs Python 2.7, for which alone the suite is written; what else it needs is fetched from PyPI, once. Exits 0 if every
case is OK or INFORMATIONAL, 1 if any is not, 2 if the suite cannot run here.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    # As pytest has it: the folder of the tests is where they find each other.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    runpy.run_module("conformance.fuzzing", run_name="__main__")
