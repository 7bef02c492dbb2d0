"""The pages of the documentation, and the Python in them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from running import ROOT

__all__ = ["PAGES", "page", "snippets"]

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_PYTHON = re.compile(r"(?:<!-- replaces (\w+) -->\n)?```python\n(.*?)```", re.DOTALL)


def page(name: str) -> Path:
    """The page with this file name."""
    return next(path for path in PAGES if path.name == name)


def snippets(page: Path) -> str:
    """All Python of a page as one module, each line where it stands in the page, so that errors point there."""
    text = page.read_text()
    lines = [""] * (text.count("\n") + 1)
    for found in _PYTHON.finditer(text):
        if found[1]:
            _forget(found[1], lines)
        start = text.count("\n", 0, found.start(2))
        lines[start : start + found[2].count("\n")] = found[2].splitlines()
    return "\n".join(lines)


def _forget(function: str, lines: list[str]) -> None:
    # Blank out a function that a later snippet replaces.
    for node in ast.parse("\n".join(lines)).body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1
            assert node.end_lineno is not None
            lines[start : node.end_lineno] = [""] * (node.end_lineno - start)
