"""The settings: one name each, checked wherever it comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from microsock.errors import BadSetting
from microsock.settings import SETTINGS, Settings, checked, from_environment, from_text, resolve


def test_the_defaults_are_those_of_the_table() -> None:
    defaults = resolve()._asdict()
    assert defaults == {name: setting.default for name, setting in SETTINGS.items()}
    assert defaults["max_body_size"] == 16 << 20
    assert defaults["max_connections"] is None


def test_every_default_is_a_value_that_would_be_accepted() -> None:
    for name, setting in SETTINGS.items():
        assert checked(name, setting.default) == setting.default


def test_every_setting_has_a_help_and_a_group() -> None:
    for name, setting in SETTINGS.items():
        assert setting.help, name
        assert setting.group, name
        assert not setting.help.endswith("."), name


def test_the_stronger_layer_counts() -> None:
    settings = resolve({"grace": 1}, {"grace": 2, "backlog": 3}, {"backlog": 4, "max_headers": 5})
    assert (settings.grace, settings.backlog, settings.max_headers) == (1.0, 3, 5)
    assert settings.head_timeout == Settings().head_timeout


def test_a_weaker_layer_is_checked_though_it_does_not_count() -> None:
    with pytest.raises(BadSetting):
        resolve({"grace": 1}, {"grace": "soon"})


REFUSERS: list[Callable[[str], object]] = [
    lambda name: checked(name, 1),
    lambda name: from_text(name, "1"),
    lambda name: resolve({name: 1}),
]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("max_body", "; did you mean 'max_body_size'?"),
        ("max-body-size", "; did you mean 'max_body_size'?"),
        ("colour", f"; known are {', '.join(sorted(SETTINGS))}"),
    ],
)
def test_an_unknown_setting_is_refused_with_what_is_near(name: str, hint: str) -> None:
    for refuse in REFUSERS:
        with pytest.raises(BadSetting) as caught:
            refuse(name)
        assert str(caught.value) == f"unknown setting {name!r}{hint}"


@pytest.mark.parametrize(
    ("name", "value", "result"),
    [
        ("max_body_size", 0, "0"),
        ("max_body_size", 1 << 40, str(1 << 40)),
        ("grace", 3, "3.0"),
        ("grace", 0.25, "0.25"),
        ("min_rate", 100, "100.0"),
        ("max_connections", None, "None"),
        ("ping_interval", None, "None"),
        ("debug", True, "True"),
        ("slow_reader", "drop", "'drop'"),
    ],
)
def test_a_value_that_fits_is_accepted(name: str, value: object, result: str) -> None:
    assert repr(checked(name, value)) == result


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("max_body_size", -1, "a number of bytes (16384, or as text 16k, 1m)"),
        ("max_body_size", 1.5, "a number of bytes (16384, or as text 16k, 1m)"),
        ("max_body_size", "16k", "a number of bytes (16384, or as text 16k, 1m)"),
        ("max_body_size", None, "a number of bytes (16384, or as text 16k, 1m)"),
        ("max_line_bytes", 63, "a number of bytes of at least 64 (16384, or as text 16k, 1m)"),
        ("max_headers", True, "a number of at least 1"),
        ("max_connections", 0, "a number of at least 1 or None"),
        ("grace", float("nan"), "a number of seconds (10, 0.5, or as text 500ms, 2m)"),
        ("grace", float("inf"), "a number of seconds (10, 0.5, or as text 500ms, 2m)"),
        ("grace", -0.1, "a number of seconds (10, 0.5, or as text 500ms, 2m)"),
        ("ping_interval", "20", "a number of seconds (10, 0.5, or as text 500ms, 2m) or None"),
        ("debug", 1, "True or False"),
        ("debug", "yes", "True or False"),
        ("slow_reader", "wait", "'close' or 'drop'"),
        ("slow_reader", None, "'close' or 'drop'"),
        ("slow_reader", [], "'close' or 'drop'"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_what_is_expected(name: str, value: Any, expected: str) -> None:
    with pytest.raises(BadSetting) as caught:
        checked(name, value)
    assert str(caught.value) == f"{name} is {value!r}; expected {expected}"


@pytest.mark.parametrize(
    ("name", "text", "result"),
    [
        ("max_body_size", "16384", "16384"),
        ("max_body_size", "16k", "16384"),
        ("max_body_size", "1.5k", "1536"),
        ("max_body_size", " 1 M ", str(1 << 20)),
        ("max_body_size", "1g", str(1 << 30)),
        ("max_body_size", "7b", "7"),
        ("grace", "10", "10.0"),
        ("grace", "1.5s", "1.5"),
        ("grace", "500ms", "0.5"),
        ("grace", "2m", "120.0"),
        ("grace", "1h", "3600.0"),
        ("max_headers", "50", "50"),
        ("min_rate", "0.5", "0.5"),
        ("max_connections", "none", "None"),
        ("max_connections", "", "None"),
        ("ping_interval", "None", "None"),
        ("debug", "1", "True"),
        ("debug", "TRUE", "True"),
        ("debug", "yes", "True"),
        ("debug", "on", "True"),
        ("debug", "0", "False"),
        ("debug", "off", "False"),
        ("slow_reader", "DROP", "'drop'"),
    ],
)
def test_a_text_is_read_with_its_unit(name: str, text: str, result: str) -> None:
    assert repr(from_text(name, text)) == result


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("max_body_size", "-1"),
        ("max_body_size", "16q"),
        ("max_body_size", "ms"),
        ("max_body_size", ""),
        ("max_body_size", "0.5"),
        ("max_body_size", "9" * 400),
        ("grace", "1e3"),
        ("grace", "inf"),
        ("grace", "none"),
        ("max_headers", "5k"),
        ("max_headers", "1.5"),
        ("debug", "maybe"),
        ("slow_reader", ""),
    ],
)
def test_a_text_that_does_not_fit_is_refused(name: str, text: str) -> None:
    with pytest.raises(BadSetting, match=rf"^{name} is .*; expected "):
        from_text(name, text)


def test_the_environment_names_settings_in_capitals() -> None:
    environ = {"MICROSOCK_GRACE": "2m", "MICROSOCK_DEBUG": "on", "GRACE": "1", "MICROSOCK_APP": "app:app"}
    assert from_environment(environ) == {"grace": 120.0, "debug": True}


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Settings().grace = 1  # type: ignore[misc]
