"""Rules: what they match, what they read, and what is refused."""

from __future__ import annotations

import re
import time
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pace import quickest

from microsock.errors import BadRule
from microsock.request import ENCODED_SLASH, Request
from microsock.rules import RuleLike, compile_rule

ID = "0b5b8a5e-6f0c-4b56-9d3e-1f2a3b4c5d6e"


@pytest.mark.parametrize(
    ("rule", "path", "params"),
    [
        ("/", "/", {}),
        ("/users", "/users", {}),
        ("/café", "/café", {}),
        ("/a.b", "/a.b", {}),
        ("/users/{name}", "/users/ann", {"name": "ann"}),
        ("/users/<name>", "/users/ann", {"name": "ann"}),
        ("/users/{name:str}", "/users/ann", {"name": "ann"}),
        ("/users/<string:name>", "/users/ann", {"name": "ann"}),
        ("/users/{id:int}", "/users/7", {"id": 7}),
        ("/users/<int:id>", "/users/007", {"id": 7}),
        ("/at/{x:float}", "/at/1.5", {"x": 1.5}),
        ("/at/{x:float}", "/at/2", {"x": 2.0}),
        ("/at/{x:float}.json", "/at/1.5.json", {"x": 1.5}),
        ("/at/{x:float}.json", "/at/1.json", {"x": 1.0}),
        ("/notes/{id:uuid}", f"/notes/{ID}", {"id": UUID(ID)}),
        ("/notes/{id:uuid}", f"/notes/{ID.upper()}", {"id": UUID(ID)}),
        ("/files/{path:path}", "/files/a/b//c/", {"path": "a/b//c/"}),
        ("/files/{path:path}", "/files/a\nb", {"path": "a\nb"}),
        ("/files/{path:path}/edit", "/files/a/edit/edit", {"path": "a/edit"}),
        ("/{user}/{repo}", "/ann/microsock", {"user": "ann", "repo": "microsock"}),
        ("/{name}.{ext}", "/archive.tar.gz", {"name": "archive.tar", "ext": "gz"}),
        ("/{name}--{rest}", "/a--b", {"name": "a", "rest": "b"}),
        ("/v{major:int}.{minor:int}", "/v3.11", {"major": 3, "minor": 11}),
        ("/{a}-{b}-{c}/x", "/1-2-3-4/x", {"a": "1-2", "b": "3", "c": "4"}),
        ("/{name}-{id:int}", "/a-1-2", {"name": "a-1", "id": 2}),
        (re.compile(r"/ws(?:/.*)?"), "/ws/anything", {}),
        (re.compile(r"/v(?P<version>\d+)/(.*)"), "/v12/x", {"version": "12"}),
        (re.compile(r"/(?P<a>\d+)?(?P<b>\w+)"), "/x", {"a": None, "b": "x"}),
        (None, "/whatever/it/is", {}),
    ],
)
def test_a_rule_reads_its_parameters_from_a_path(rule: RuleLike, path: str, params: dict[str, Any]) -> None:
    assert compile_rule(rule).match(path) == params


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("/users", "/users/"),
        ("/users", "/Users"),
        ("/a.b", "/axb"),
        ("/users/{name}", "/users/"),
        ("/users/{name}", "/users/a/b"),
        ("/users/{id:int}", "/users/-7"),
        ("/users/{id:int}", "/users/seven"),
        ("/users/{id:int}", "/users/７"),
        ("/users/{id:int}", "/users/٣"),
        pytest.param("/users/{id:int}", "/users/" + "7" * 5000, id="more digits than int() takes"),
        ("/at/{x:float}", "/at/nan"),
        ("/at/{x:float}", "/at/1e5"),
        ("/at/{x:float}", "/at/.5"),
        ("/at/{x:float}", "/at/5."),
        pytest.param("/at/{x:float}", "/at/" + "9" * 400, id="infinite"),
        ("/notes/{id:uuid}", "/notes/7"),
        ("/notes/{id:uuid}", f"/notes/{{{ID}}}"),
        ("/files/{path:path}", "/files/"),
        ("/files/{path:path}", "/files"),
        ("/{name}.{ext}", "/name."),
        (re.compile("/ws"), "/ws/"),
    ],
)
def test_a_rule_does_not_match_another_path(rule: RuleLike, path: str) -> None:
    assert compile_rule(rule).match(path) is None


@pytest.mark.parametrize("path", ["/files//etc/passwd", "/files/%2Fetc/passwd"])
def test_a_path_parameter_never_begins_with_a_slash(path: str) -> None:
    assert compile_rule("/files/{path:path}").match(Request("GET", path).routing_path) is None


@pytest.mark.parametrize("rule", ["/files/{name}", re.compile("/files/(?P<name>[^/]+)")])
def test_an_encoded_slash_stays_in_its_segment_and_is_a_slash_in_the_parameter(rule: RuleLike) -> None:
    path = Request("GET", "/files/a%2Fb").routing_path
    assert ENCODED_SLASH in path
    assert compile_rule(rule).match(path) == {"name": "a/b"}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("users", "rule 'users' must start with '/'"),
        ("", "rule '' must start with '/'"),
        (5, "a rule is a str, a compiled re.Pattern or None, not 5"),
        (b"/users", "a rule is a str, a compiled re.Pattern or None, not b'/users'"),
        (re.compile(b"/users"), "rule b'/users' is a pattern of bytes; compile it from a str"),
        ("/a?b=1", "rule '/a?b=1' has a '?' or '#'; a rule is a path only, the query is in request.args"),
        ("/a#b", "rule '/a#b' has a '?' or '#'; a rule is a path only, the query is in request.args"),
        ("/{id", "rule '/{id' has a '{' without its partner; write {name} or {name:int}"),
        ("/id}", "rule '/id}' has a '}' without its partner; write {name} or {name:int}"),
        ("/<id", "rule '/<id' has a '<' without its partner; write {name} or {name:int}"),
        ("/{a/b}", "rule '/{a/b}' has a '{' without its partner; write {name} or {name:int}"),
        ("/{}", "rule '/{}': '' cannot be the name of a parameter"),
        ("/{1st}", "rule '/{1st}': '1st' cannot be the name of a parameter"),
        ("/{class}", "rule '/{class}': 'class' cannot be the name of a parameter"),
        ("/<int:>", "rule '/<int:>': '' cannot be the name of a parameter"),
        ("/{id:num}", "rule '/{id:num}' has the type 'num'; known are str, int, float, path and uuid"),
        ("/{a}/{a}", "rule '/{a}/{a}' has two parameters named 'a'"),
        ("/{a}{b}", "rule '/{a}{b}': two placeholders of a segment must be parted by text that is no digit"),
        ("/{a}1{b}", "rule '/{a}1{b}': two placeholders of a segment must be parted by text that is no digit"),
        (
            "/{a:path}/{b:path}",
            "rule '/{a:path}/{b:path}' has two placeholders of type path; where one ends would be anyone's guess",
        ),
        ("/{a}-{b:path}", "rule '/{a}-{b:path}': a placeholder of type path must be the only one in its segment"),
    ],
)
def test_a_bad_rule_is_refused_with_what_is_wrong(rule: Any, message: str) -> None:
    with pytest.raises(BadRule) as caught:
        compile_rule(rule)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/users/{id}", "/users/{name}"),
        ("/users/{id:int}", "/users/<int:id>"),
        ("/{a}.{b}", "/{name}.{ext}"),
        (None, None),
    ],
)
def test_rules_that_match_the_same_paths_have_one_shape(one: RuleLike, other: RuleLike) -> None:
    assert compile_rule(one).shape == compile_rule(other).shape


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/users/{id}", "/users/{id:int}"),
        ("/users", "/users/"),
        (re.compile("/a"), re.compile("/a", re.IGNORECASE)),
        (None, re.compile("")),
    ],
)
def test_rules_that_match_other_paths_have_another_shape(one: RuleLike, other: RuleLike) -> None:
    assert compile_rule(one).shape != compile_rule(other).shape


def test_a_rule_shows_as_it_was_written() -> None:
    assert str(compile_rule("/users/<int:id>")) == "/users/<int:id>"
    assert str(compile_rule(re.compile("/v(?P<n>.)"))) == "/v(?P<n>.)"
    assert str(compile_rule(None)) == "(every path)"


def test_a_fixed_first_segment_is_the_head() -> None:
    assert compile_rule("/users/{id}").head == "users"
    assert compile_rule("/{id}/users").head is None
    assert compile_rule("/u{id}").head is None


WORST = 8190
RULES = [
    "/{a}.{b}/x",
    "/{a}.{b}.{c}.{d}/x",
    "/{a}--{b}--{c}/x",
    "/{a:int}-{b:int}-{c:int}/x",
    "/{a:float}.{b:float}/x",
    "/{a}-{b:int}/{c}-{d:int}/x",
    "/{p:path}/{a}/{b}/x",
    "/{p:path}/{a}.{b}/x",
    "/{a}/{p:path}/{c}-{d}/x",
    "/{a}-{b:uuid}/x",
]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("piece", [".", "-", "--", "/", "1", "1.", "1-", "a", "a/", "-/", "./", ".-", "0a-", "/x"])
def test_no_path_costs_more_than_linear_time(rule: str, piece: str) -> None:
    compiled = compile_rule(rule)
    path = "/" + piece * (WORST // len(piece))

    def seconds() -> float:
        began = time.process_time()
        compiled.match(path)
        compiled.match(path + "/x!")
        return time.process_time() - began

    # Linear is some 100 µs; trying all ways to split it in two would be a second.
    assert quickest(seconds, 0.05) < 0.05


SEGMENT = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1)


@given(SEGMENT, SEGMENT)
def test_every_segment_is_read_as_it_is(one: str, other: str) -> None:
    assert compile_rule("/{one}/{other}").match(f"/{one}/{other}") == {"one": one, "other": other}


@given(st.text(st.sampled_from("ab.-/{}<>:int1"), max_size=20))
def test_any_text_is_a_rule_or_refused(text: str) -> None:
    try:
        rule = compile_rule(text)
    except BadRule as error:
        assert repr(text) in str(error)  # noqa: PT017 - either may be
    else:
        assert rule.names or rule.match(text) == {}
