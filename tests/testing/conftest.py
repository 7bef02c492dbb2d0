"""The app that the test client is tested with, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from microsock import App
from microsock.testing import TestClient

from .sample import make_app


@pytest.fixture
def app() -> App:
    return make_app()


@pytest.fixture
def client(app: App) -> Iterator[TestClient]:
    with app.test_client() as client:
        yield client
