"""Which route answers a path and a method."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest

from microsock.errors import BadRule, BadSetting, DuplicateRoute, SetupError
from microsock.request import Request
from microsock.routing import KNOWN_METHODS, Kind, Match, Route, Router
from microsock.rules import RuleLike
from microsock.websocket_route import WebSocketRoute

Added = tuple[str, RuleLike] | tuple[str, RuleLike, Iterable[str] | str]


def handler(name: str) -> Any:
    def function(*args: object, **params: object) -> str:
        return name

    function.__name__ = name
    return function


def router_of(*routes: Added) -> Router:
    router = Router()
    for name, rule, *methods in routes:
        router.add(Route(rule, handler(name), methods[0] if methods else "GET"))
    return router


def look_up(router: Router, method: str, target: str) -> Match:
    request = Request(method, target)
    return router.match(method, request.routing_path, request.raw_path, request.query_string)


def found(router: Router, method: str, target: str) -> str:
    match = look_up(router, method, target)
    return match.route.name if match.route is not None else match.kind.name


def test_a_fixed_path_is_found_with_no_parameters() -> None:
    match = look_up(router_of(("users", "/users")), "GET", "/users?page=2")
    assert match.kind is Kind.FOUND
    assert match.route is not None
    assert (match.route.name, match.params) == ("users", {})


def test_parameters_come_with_the_match() -> None:
    router = router_of(("user", "/users/{id:int}"))
    assert look_up(router, "GET", "/users/7").params == {"id": 7}


def test_a_fixed_path_comes_before_a_rule_with_parameters_whatever_came_first() -> None:
    router = router_of(("any", "/users/{name}"), ("me", "/users/me"), ("all", "/{path:path}"))
    assert [found(router, "GET", path) for path in ("/users/me", "/users/ann", "/x")] == ["me", "any", "all"]


def test_a_fixed_path_for_any_method_comes_before_a_rule_with_parameters() -> None:
    router = router_of(("user", "/users/{name}"), ("me", "/users/me", "*"))
    assert found(router, "GET", "/users/me") == "me"


def test_a_fixed_path_without_the_method_leaves_it_to_rules_with_parameters() -> None:
    router = router_of(("me", "/users/me"), ("change", "/users/{name}", ["POST"]))
    assert found(router, "POST", "/users/me") == "change"


def test_a_route_for_just_this_method_comes_before_one_for_any() -> None:
    router = router_of(("any", "/{a}", "*"), ("get", "/{b}", "GET"), ("put", "/{a}", "PUT"))
    assert [found(router, method, "/x") for method in ("GET", "HEAD", "PUT", "POST")] == ["get", "get", "put", "any"]


def test_of_two_rules_that_match_the_first_registered_is_taken() -> None:
    router = router_of(("word", "/{a}"), ("number", "/{a:int}"))
    assert found(router, "GET", "/7") == "word"


def test_rules_with_and_without_a_fixed_head_keep_their_order() -> None:
    router = router_of(
        ("first", "/{a}/{b:int}"),
        ("users", "/users/{name}"),
        ("second", "/{a}/{b}"),
        ("posts", "/posts/{name}"),
        ("late", "/{a}/{b:path}"),
    )
    assert found(router, "GET", "/users/7") == "first"
    assert found(router, "GET", "/users/ann") == "users"
    assert found(router, "GET", "/posts/ann") == "second"
    assert found(router, "GET", "/posts/a/b") == "late"
    assert found(router, "GET", "/x/y/z") == "late"


def test_the_rule_none_is_tried_last() -> None:
    router = router_of(("every", None), ("users", "/users/{id:int}"))
    assert found(router, "GET", "/users/7") == "users"
    assert found(router, "GET", "/users/ann") == "every"
    assert found(router, "POST", "/users/7") == "WRONG_METHOD"


def test_the_rule_none_answers_methods_that_the_path_itself_does_not() -> None:
    router = router_of(("every", None, "*"), ("users", "/users"))
    assert found(router, "POST", "/users") == "every"
    assert found(router, "BREW", "/users") == "every"


def test_the_redirect_comes_before_the_rule_none() -> None:
    router = router_of(("every", None), ("users", "/users"))
    assert found(router, "GET", "/users/") == "REDIRECT"


def test_a_pattern_is_matched_whole() -> None:
    router = router_of(("version", re.compile(r"/v(?P<number>\d+)")))
    assert look_up(router, "GET", "/v12").params == {"number": "12"}
    assert found(router, "GET", "/v12x") == "MISSING"


def test_head_is_answered_by_get() -> None:
    router = router_of(("static", "/a"), ("dynamic", "/{x}"))
    assert (found(router, "HEAD", "/a"), found(router, "HEAD", "/b")) == ("static", "dynamic")


@pytest.mark.parametrize("rule", ["/a", "/{x}"])
def test_head_may_have_its_own_handler_before_or_after_get(rule: str) -> None:
    before = router_of(("head", rule, "HEAD"), ("get", rule))
    after = router_of(("get", rule), ("head", rule, "HEAD"))
    assert found(before, "HEAD", "/a") == found(after, "HEAD", "/a") == "head"
    assert found(before, "GET", "/a") == found(after, "GET", "/a") == "get"


def test_head_is_answered_by_a_route_for_any_method_where_there_is_no_get() -> None:
    assert found(router_of(("post", "/a", "POST"), ("any", "/a", "*")), "HEAD", "/a") == "any"


def test_a_wrong_method_comes_with_those_that_are_right() -> None:
    router = router_of(("get", "/a/{x}"), ("put", "/a/{y:int}", "PUT"), ("other", "/b/{x}", "DELETE"))
    match = look_up(router, "POST", "/a/7")
    assert match.kind is Kind.WRONG_METHOD
    assert match.allow == ("GET", "HEAD", "OPTIONS", "PUT")
    assert look_up(router, "POST", "/a/x").allow == ("GET", "HEAD", "OPTIONS")


def test_options_without_a_handler_is_a_wrong_method_that_the_app_answers() -> None:
    match = look_up(router_of(("post", "/a", "POST")), "OPTIONS", "/a")
    assert (match.kind, match.allow) == (Kind.WRONG_METHOD, ("OPTIONS", "POST"))


def test_options_may_have_its_own_handler() -> None:
    assert found(router_of(("options", "/a", "OPTIONS")), "OPTIONS", "/a") == "options"


def test_options_of_the_whole_server_allows_what_any_route_does() -> None:
    router = router_of(("get", "/a"), ("purge", "/b/{x}", "PURGE"), ("every", None, "POST"))
    match = look_up(router, "OPTIONS", "*")
    assert (match.kind, match.allow) == (Kind.WRONG_METHOD, ("GET", "HEAD", "OPTIONS", "POST", "PURGE"))


def test_a_route_for_any_method_allows_all_that_are_known() -> None:
    assert look_up(router_of(("any", "/a", "*")), "OPTIONS", "*").allow == tuple(sorted(KNOWN_METHODS))


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("POST", Kind.WRONG_METHOD),
        ("TRACE", Kind.WRONG_METHOD),
        ("PURGE", Kind.WRONG_METHOD),
        ("BREW", Kind.UNKNOWN_METHOD),
        ("CONNECT", Kind.UNKNOWN_METHOD),
        ("get", Kind.UNKNOWN_METHOD),
    ],
)
def test_a_method_that_no_route_has_and_no_standard_names_is_unknown(method: str, kind: Kind) -> None:
    assert look_up(router_of(("get", "/a"), ("purge", "/b", "PURGE")), method, "/a").kind is kind


def test_an_unknown_method_is_unknown_on_a_missing_path_too() -> None:
    router = router_of(("get", "/a"))
    assert look_up(router, "BREW", "/b").kind is Kind.UNKNOWN_METHOD
    assert look_up(router, "POST", "/b").kind is Kind.MISSING


@pytest.mark.parametrize(
    ("rule", "target", "location"),
    [
        ("/users", "/users/", "/users"),
        ("/users/", "/users", "/users/"),
        ("/users", "/users/?page=2&x=%20", "/users?page=2&x=%20"),
        ("/users/{id:int}", "/users/7/", "/users/7"),
        ("/{name}/", "/a%2Fb", "/a%2Fb/"),
        ("/caf\u00e9", "/caf%C3%A9/", "/caf%C3%A9"),
        (re.compile("/ws"), "/ws/", "/ws"),
    ],
)
def test_a_slash_too_many_or_too_few_redirects_to_the_path_that_is_there(
    rule: RuleLike, target: str, location: str
) -> None:
    match = look_up(router_of(("it", rule, "POST")), "POST", target)
    assert (match.kind, match.location) == (Kind.REDIRECT, location)


@pytest.mark.parametrize("target", ["//evil.example/", "/\\evil.example/", "//evil.example", "///", "/", ""])
def test_a_redirect_never_leads_to_another_host(target: str) -> None:
    router = router_of(("page", re.compile(r"/*\\?[a-z.]+")), ("slash", re.compile(r"/*\\?[a-z.]+/")), ("a", "/a"))
    assert not look_up(router, "GET", target).location


def test_a_path_that_is_there_with_another_method_is_not_redirected() -> None:
    router = router_of(("get", "/a"), ("post", "/a/", "POST"))
    assert look_up(router, "POST", "/a").kind is Kind.WRONG_METHOD


@pytest.mark.parametrize("rules", [("/users", "/users"), ("/u/{id}", "/u/{name}"), ("/u/{id:int}", "/u/<int:x>")])
def test_two_routes_for_the_same_rule_and_method_are_refused(rules: tuple[str, str]) -> None:
    router = router_of(("list_users", rules[0]))
    with pytest.raises(DuplicateRoute) as caught:
        router.add(Route(rules[1], handler("all_users"), ["POST", "GET"]))
    assert str(caught.value) == f"two routes for GET {rules[1]}: 'list_users' and 'all_users'"
    # Nothing of the refused route stays.
    assert found(router, "POST", "/users") != "all_users"
    router.add(Route(rules[1], handler("add_user"), ["POST"]))


def test_two_routes_for_every_path_are_refused() -> None:
    with pytest.raises(DuplicateRoute, match=r"^two routes for \* \(every path\): 'a' and 'b'$"):
        router_of(("a", None, "*"), ("b", None, "*"))


def test_the_same_rule_may_be_spelt_differently_for_another_method() -> None:
    router = router_of(("get", "/u/{id}"), ("post", "/u/{name}", "POST"))
    assert look_up(router, "GET", "/u/7").params == {"id": "7"}
    assert look_up(router, "POST", "/u/7").params == {"name": "7"}
    assert look_up(router, "PUT", "/u/7").allow == ("GET", "HEAD", "OPTIONS", "POST")


@pytest.mark.parametrize(
    ("methods", "expected"),
    [
        ("GET", ("GET",)),
        ("GET|POST", ("GET", "POST")),
        ("get | post", ("GET", "POST")),
        (["GET", "POST", "GET"], ("GET", "POST")),
        ({"M-SEARCH"}, ("M-SEARCH",)),
        ("*", ("*",)),
    ],
)
def test_methods_are_a_list_or_a_text(methods: Iterable[str] | str, expected: tuple[str, ...]) -> None:
    assert Route("/", handler("index"), methods).methods == expected


@pytest.mark.parametrize(
    ("methods", "got"),
    [
        ([], "methods is empty"),
        ("", "'' is no method"),
        ("GET POST", "'GET POST' is no method"),
        ("GET|", "'' is no method"),
        ([5], "5 is no method"),
    ],
)
def test_what_is_no_method_is_refused(methods: Any, got: str) -> None:
    with pytest.raises(SetupError) as caught:
        Route("/", handler("index"), methods)
    assert str(caught.value) == f"{got}; expected a list like ['GET', 'POST'], 'GET|POST' or '*' for any"


def test_a_handler_that_does_not_fit_its_rule_is_refused() -> None:
    def show(request: Request) -> str:
        return ""

    with pytest.raises(BadRule) as caught:
        Route("/users/{id}", show)
    assert str(caught.value) == ("handler 'show' takes (request), but rule '/users/{id}' calls it with (request, id)")


def test_a_routes_own_body_size_is_checked_like_the_setting() -> None:
    assert Route("/", handler("index"), max_body_size=10).max_body_size == 10
    with pytest.raises(BadSetting, match="max_body_size is -1; expected a number of bytes"):
        Route("/", handler("index"), max_body_size=-1)


def test_a_route_shows_what_it_answers() -> None:
    assert repr(Route("/users", handler("users"), "GET|POST")) == "<Route GET|POST /users users>"


def socket_router(*routes: tuple[str, RuleLike]) -> Router:
    router = Router()
    for name, rule in routes:
        router.add_websocket(WebSocketRoute(rule, handler(name)))
    return router


def test_websockets_have_rules_of_their_own() -> None:
    router = socket_router(("every", None), ("room", "/chat/{room}"), ("lobby", "/chat/lobby"))
    names = {path: match.route and match.route.name for path in ("/chat/lobby", "/chat/a", "/x")
             if (match := router.websocket(path))}  # fmt: skip
    assert names == {"/chat/lobby": "lobby", "/chat/a": "room", "/x": "every"}
    assert router.websocket("/chat/a").params == {"room": "a"}
    assert router.match("GET", "/chat/a").kind is Kind.MISSING


def test_a_path_without_a_websocket_is_missing() -> None:
    match = socket_router(("room", "/chat/{room}")).websocket("/chat")
    assert (match.kind, match.route) == (Kind.MISSING, None)


def test_a_path_may_have_a_websocket_and_a_page() -> None:
    router = socket_router(("socket", "/chat"))
    router.add(Route("/chat", handler("page")))
    assert found(router, "GET", "/chat") == "page"
    assert router.websocket("/chat").kind is Kind.FOUND


def test_two_websockets_for_the_same_rule_are_refused() -> None:
    with pytest.raises(DuplicateRoute, match=r"^two WebSocket routes for /chat: 'a' and 'b'$"):
        socket_router(("a", "/chat"), ("b", "/chat"))


def test_routes_are_listed_in_order_of_registration() -> None:
    router = router_of(("b", "/b"), ("a", "/a"))
    assert [route.name for route in router.routes] == ["b", "a"]
    assert [route.name for route in socket_router(("b", "/b"), ("a", "/a")).websockets] == ["b", "a"]
