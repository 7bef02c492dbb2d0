"""The examples as modules of their own for each test, so that no test finds what another one left."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from running import ROOT


def fresh(name: str) -> ModuleType:
    """A new copy of `examples/<name>.py`."""
    spec = importlib.util.spec_from_file_location(f"fresh_{name}", ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses and annotations look for it
    spec.loader.exec_module(module)
    return module
