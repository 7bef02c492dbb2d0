"""The pytest plugin: a fixture, and the transcript in the report of a failing test."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

APP = """
    import pytest
    from microsock import App

    @pytest.fixture
    def app():
        app = App()

        @app.get("/hello")
        def hello(request):
            return "hi"

        return app

    @pytest.fixture(scope="module")
    def shared():
        with App().test_client() as client:
            client.get("/before")
            yield client
"""


def run(pytester: pytest.Pytester, tests: str) -> pytest.RunResult:
    pytester.makeconftest(APP)
    pytester.makepyfile(tests)
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:randomly")


def test_the_fixture_is_a_client_of_the_users_app(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        def test_hello(microsock_client):
            assert microsock_client.get("/hello").text == "hi"
        """,
    )
    result.assert_outcomes(passed=1)
    assert "microsock wire" not in result.stdout.str()


def test_a_failing_test_shows_what_went_over_the_wire(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        def test_hello(microsock_client):
            microsock_client.advance(1.5)
            assert microsock_client.get("/hello").text == "ho"
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*microsock wire, virtual time*", "*1.500s  #1 client > GET /hello HTTP/1.1", "*server < HTTP/1.1 200 OK"]
    )


def test_only_what_this_test_sent_is_shown(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        def test_one(shared):
            shared.get("/one")

        def test_two(shared):
            shared.get("/two")
            assert False

        def test_three():
            assert False
        """,
    )
    result.assert_outcomes(passed=1, failed=2)
    text = result.stdout.str()
    assert text.count("microsock wire") == 1
    assert "GET /two" in text
    assert "GET /one" not in text
    assert "GET /before" not in text
