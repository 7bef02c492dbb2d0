"""Mutants of some modules, and whether their tests find them: what the tests of a module are worth.

    pip install 'mutmut>=3.8,<4'
    PYTHONPATH=tests python -m mutation            # all, which takes half an hour
    PYTHONPATH=tests python -m mutation gate relay

Each module is changed in one place at a time (by mutmut, in a copy), and the tests that come through that place run. A
mutant that all of them let pass is shown, and the status is 1, unless it is listed in `equivalent.txt`.
"""

from __future__ import annotations

import ast
import difflib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .subjects import SUBJECTS, Mutant, equivalent

ROOT = Path(__file__).parents[2]
CONFIG = """
[tool.mutmut]
source_paths = ["microsock"]
only_mutate = ["microsock/{module}.py"]
also_copy = ["tests", "docs", "examples", "benchmarks", "README.md", "CHANGELOG.md"]
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = ["-p", "no:cacheprovider", "-p", "no:randomly"]
"""
# Of mutmut's statuses: all tests have passed, or none comes through that place.
SURVIVED, NOT_TESTED = 0, {5, 33}


def main(modules: list[str]) -> int:
    known, alive = equivalent(), 0
    for module in modules:
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
            _copy(Path(folder))
            results = dict(_tried(Path(folder), module))
        same = [mutant for mutant, survived in results.items() if survived and mutant in known]
        survivors = [mutant for mutant, survived in results.items() if survived and mutant not in known]
        alive += len(survivors)
        for mutant in survivors:
            _say(f"\n{mutant.module} {mutant.function}\n- {mutant.before}\n+ {mutant.after}")
        for mutant in known:
            if mutant.module == module and mutant not in same:
                _say(f"\nlisted, and found or no more made: {mutant}")
        least = len(results) - len(same)
        found = least - len(survivors)
        _say(f"\n{module}: {found} of {least} found ({100 * found / least:.1f} %), and {len(same)} change nothing")
    return 1 if alive else 0


def _copy(folder: Path) -> None:
    # What is there, whether committed or not, but nothing that is ignored.
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def _tried(folder: Path, module: str) -> Iterator[tuple[Mutant, bool]]:
    """Each mutant, and whether it lives."""
    with (folder / "pyproject.toml").open("a") as config:
        config.write(CONFIG.format(module=module, tests=json.dumps(SUBJECTS[module])))
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", "2"]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    place = folder / "mutants" / "microsock" / f"{module}.py"
    codes = json.loads(Path(f"{place}.meta").read_text())["exit_code_by_key"] if place.exists() else {}
    if not codes or None in codes.values():
        raise SystemExit(done.stdout.decode(errors="replace")[-3000:])
    made = ast.walk(ast.parse(place.read_text()))
    texts = {node.name: _text(node) for node in made if isinstance(node, ast.FunctionDef)}
    for key, code in codes.items():
        name = key.rpartition(".")[2]
        function = name.partition("__mutmut_")[0]
        before, after = _difference(texts[f"{function}__mutmut_orig"], texts[name])
        mutant = Mutant(module, _function_name(function), before, after)
        yield mutant, code == SURVIVED or code in NOT_TESTED


def _function_name(mangled: str) -> str:
    # xǁClassǁmethod, or x_function
    return mangled.removeprefix("xǁ").replace("ǁ", ".") if "ǁ" in mangled else mangled.removeprefix("x_")


def _text(node: ast.AST) -> list[str]:
    # Without its name, which differs.
    return ast.unparse(node).partition("(")[2].splitlines()


def _difference(before: list[str], after: list[str]) -> tuple[str, str]:
    lines = list(difflib.ndiff(before, after))
    removed, added = (" ".join(line[2:].strip() for line in lines if line.startswith(f"{sign} ")) for sign in "-+")
    return removed, added


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(SUBJECTS)))
