"""The table in docs/settings.md, made from the settings themselves. Run this file to write it anew."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

from microsock.settings import SETTINGS, Setting

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"
_PLACE = re.compile(r"(?<=<!-- table -->\n).*(?=<!-- end of table -->)", re.DOTALL)


def table() -> str:
    """One table for each group of settings."""
    groups = groupby(SETTINGS.items(), key=lambda item: item[1].group)
    parts = [f"\n## {group}\n\n| setting | default | |\n|---|---|---|\n" + rows(list(each)) for group, each in groups]
    return "".join(parts) + "\n"


def rows(settings: list[tuple[str, Setting]]) -> str:
    return "".join(f"| `{name}` | {shown_default(setting)} | {setting.help} |\n" for name, setting in settings)


def shown_default(setting: Setting) -> str:
    """A default with its unit, as people write it."""
    value = setting.default
    if value is None or value in ("", ()):
        return "none"
    if setting.kind == "switch":
        return "on" if value else "off"
    if setting.kind == "seconds":
        return f"{value:g} s"
    if setting.kind == "size":
        return next(
            (f"{value >> bits} {unit}" for bits, unit in ((20, "MiB"), (10, "KiB")) if value % (1 << bits) == 0),
            f"{value} B",
        )
    return f"`{value}`" if setting.kind in ("choice", "rate") else f"{value:g}"


def page_with_table(page: str) -> str:
    """The page with the table as it should be."""
    page, places = _PLACE.subn(lambda _: table(), page)
    assert places == 1, "docs/settings.md has lost the place for its table"
    return page


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text()))
