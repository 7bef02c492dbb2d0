"""What the mutants are made of is there: modules, tests, and the places of the mutants that change nothing."""

from __future__ import annotations

import ast

import pytest
from running import ROOT

from .subjects import SUBJECTS, Mutant, equivalent


@pytest.mark.parametrize("module", SUBJECTS)
def test_a_module_has_tests_of_its_own(module: str) -> None:
    assert (ROOT / "microsock" / f"{module}.py").is_file()
    assert [name for name in SUBJECTS[module] if not (ROOT / name.partition("::")[0]).is_file()] == []


@pytest.mark.parametrize("mutant", equivalent(), ids=lambda mutant: f"{mutant.module} {mutant.function}")
def test_a_mutant_that_changes_nothing_is_of_code_that_is_there_and_says_why(mutant: Mutant) -> None:
    assert equivalent()[mutant]
    assert mutant.before != mutant.after
    assert mutant.module in SUBJECTS
    tree = ast.parse((ROOT / "microsock" / f"{mutant.module}.py").read_text())
    owner, _, name = mutant.function.rpartition(".")
    functions = [node for each in ast.walk(tree) if getattr(each, "name", "") == owner or not owner
                 for node in ast.walk(each) if isinstance(node, ast.FunctionDef) and node.name == name]  # fmt: skip
    lines = [line.strip() for function in functions for line in ast.unparse(function).partition("(")[2].splitlines()]
    assert mutant.before in lines
