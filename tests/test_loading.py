from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from microsock import App, AppNotFound
from microsock.loading import load_app, own_traceback

APP = "from microsock import App\napp = App()\n"


@pytest.fixture(autouse=True)
def imports_undone() -> Iterator[None]:
    """What a test has imported is forgotten again."""
    modules, path = set(sys.modules), sys.path.copy()
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory with two apps."""
    (tmp_path / "shop.py").write_text(APP + "admin = App()\nnumber = 7\n\ndef create():\n    return app\n")
    (tmp_path / "pack" / "inner").mkdir(parents=True)
    for folder in ("pack", "pack/inner"):
        (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "pack" / "inner" / "deep.py").write_text("from .. import __name__ as parent\n" + APP)
    return tmp_path


def loaded(target: str, site: Path, factory: bool = False) -> App:
    return load_app(target, site, factory)


def refusal(target: str, site: Path, factory: bool = False) -> str:
    with pytest.raises(AppNotFound) as refused:
        load_app(target, site, factory)
    return str(refused.value)


@pytest.mark.parametrize(
    "target",
    [
        "shop", "shop:app", "shop:admin", "shop.py", "shop.py:admin", "pack.inner.deep", "pack.inner.deep:app",
        "pack/inner/deep.py", "pack/inner/deep.py:app",
    ],
)  # fmt: skip
def test_every_form_of_a_target_finds_its_app(target: str, site: Path) -> None:
    assert isinstance(loaded(target, site), App)


def test_a_file_can_be_named_by_its_whole_path(site: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert isinstance(loaded(f"{site}/shop.py:admin", elsewhere), App)


def test_a_file_in_a_package_is_imported_as_its_module(site: Path) -> None:
    loaded("pack/inner/deep.py", site)
    assert sys.modules["pack.inner.deep"].parent == "pack"


def test_a_packages_own_file_is_the_package(site: Path) -> None:
    (site / "pack" / "__init__.py").write_text(APP)
    loaded("pack/__init__.py", site)
    assert "pack" in sys.modules


def test_without_a_name_application_will_do(site: Path) -> None:
    (site / "usual.py").write_text("from microsock import App\napplication = App()\n")
    assert loaded("usual", site) is sys.modules["usual"].application


def test_an_attribute_of_an_attribute_is_found(site: Path) -> None:
    (site / "nested.py").write_text(APP + "class Config:\n    app = app\n")
    assert isinstance(loaded("nested:Config.app", site), App)


def test_a_factory_makes_the_app(site: Path) -> None:
    assert loaded("shop:create", site, factory=True) is sys.modules["shop"].app


@pytest.mark.parametrize("target", ["shop:", ":app", ":"])
def test_a_target_without_module_or_name_is_not_understood(target: str, site: Path) -> None:
    assert refusal(target, site) == (
        f'"{target}" is not understood; expected module:attr, module or path/to/file.py:attr'
    )


def test_a_module_that_is_not_there_is_named_with_one_that_is(site: Path) -> None:
    assert refusal("shp", site) == (
        f'cannot import module "shp" (no shp.py or package in {site}; did you mean "shop"?)'
    )
    assert refusal("pak.inner", site).endswith(f'(no pak/inner.py or package in {site}; did you mean "pack"?)')


@pytest.mark.parametrize("name", ["zzzz", "shop.part", "pack.other", ".shop"])
def test_a_module_like_no_other_is_just_not_there(name: str, site: Path) -> None:
    path = name.replace(".", "/")
    hint = '; did you mean "shop"?' if name == "shop.part" else '; did you mean "pack"?' if name == "pack.other" else ""
    assert refusal(name, site) == f'cannot import module "{name}" (no {path}.py or package in {site}{hint})'


def test_a_file_that_is_not_there_is_named_with_one_that_is(site: Path) -> None:
    assert refusal("shpo.py:app", site) == 'cannot import "shpo.py" (no such file; did you mean "shop.py"?)'
    assert refusal("zzzz.py", site) == 'cannot import "zzzz.py" (no such file)'


def test_a_file_hidden_by_another_module_says_so(site: Path) -> None:
    (site / "json.py").write_text(APP)
    assert refusal("json.py", site).startswith('"json.py" is hidden by another module named "json" (')
    (site / "sys.py").write_text(APP)
    assert refusal("sys.py", site) == '"sys.py" is hidden by another module named "sys" (built-in); rename it'


def test_a_missing_name_lists_the_apps_that_are_there(site: Path) -> None:
    assert refusal("shop:ap", site) == 'module "shop" has no attribute "ap"; App objects found there: app, admin'
    (site / "empty.py").touch()
    assert refusal("empty", site) == 'module "empty" has no attribute "app"; there is no App object in it'


def test_a_function_asks_for_factory(site: Path) -> None:
    assert refusal("shop:create", site) == '"shop:create" is a function; did you mean --factory?'


def test_what_is_no_app_is_refused_by_its_type(site: Path) -> None:
    assert refusal("shop:number", site) == '"shop:number" is an object of type int; expected an App'
    assert refusal("shop:number", site, factory=True) == (
        '"shop:number" is an object of type int; with --factory a function is expected'
    )


def test_a_factory_that_makes_no_app_is_refused(site: Path) -> None:
    (site / "lazy.py").write_text("def create():\n    pass\n")
    assert refusal("lazy:create", site, factory=True) == '"lazy:create" returned None; expected an App'


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import requestz", "ModuleNotFoundError: No module named 'requestz'"),
        ("1/0", "ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        ("import asyncio\nraise asyncio.CancelledError('no')", "CancelledError: no"),
        ("from microsock import App\nApp(grase=1)", "BadSetting: unknown setting 'grase'; did you mean 'grace'?"),
        ("import site_helper", "TypeError: no"),
        ("def (:", "SyntaxError: invalid syntax (bad.py, line 1)"),
    ],
)
def test_an_app_whose_import_raises_is_told_from_one_that_is_not_there(source: str, message: str, site: Path) -> None:
    (site / "bad.py").write_text(source + "\n")
    (site / "site_helper.py").write_text("raise TypeError('no')\n")
    with pytest.raises(AppNotFound) as refused:
        load_app("bad:app", site)
    assert str(refused.value) == f"while importing bad.py: {message}"
    assert refused.value.__cause__ is not None
    text = own_traceback(refused.value.__cause__)
    assert "importlib" not in text
    assert "loading.py" not in text
    # A syntax error has no frames at all, and so no headline above its place.
    first, second = text.splitlines()[:2]
    assert f'  File "{site}/bad.py", line ' in (second if first.startswith("Traceback") else first)


def test_a_factory_that_raises_shows_its_own_lines(site: Path) -> None:
    (site / "lazy.py").write_text("def create():\n    1/0\n")
    with pytest.raises(AppNotFound, match='while calling "lazy:create": ZeroDivisionError') as refused:
        load_app("lazy:create", site, factory=True)
    assert refused.value.__cause__ is not None
    assert "in create" in own_traceback(refused.value.__cause__).splitlines()[1]
