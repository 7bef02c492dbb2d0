"""What people write who come from other frameworks, or in haste, and what to write instead.

Loaded when such a mistake is made, which ends the start.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from .errors import BadRule, BadSetting, SetupError

__all__ = [
    "MissingAttribute",
    "bare_decorator",
    "called_decorator",
    "missing_attribute",
    "positional_setting",
    "setting_elsewhere",
    "two_shapes",
    "unknown_keyword",
]


class MissingAttribute(SetupError, AttributeError):
    """An app has no such decorator or method; the message names ours."""


# What other frameworks call it, and what to write here.
_ELSEWHERE = {
    "add_event_handler": "@app.on_start and @app.on_stop",
    "add_url_rule": "app.add_route('/path', handler, methods=['GET'])",
    "add_websocket_route": "@app.websocket('/path')",
    "after_request": "@app.on_response, called with (request, response)",
    "after_serving": "@app.on_stop",
    "api_route": "@app.route('/path', methods=['GET', 'POST'])",
    "before_first_request": "@app.on_start",
    "before_request": "a decorator of your own under the route's, or a call at the handler's beginning",
    "before_serving": "@app.on_start",
    "config": "settings by name: App(max_body_size=…), and app.run(…) or flags; they are listed in docs/settings.md",
    "errorhandler": "@app.error(404), @app.error(ValueError) or @app.error, called with (request, error)",
    "exception_handler": "@app.error(404), @app.error(ValueError) or @app.error, called with (request, error)",
    "listen": "app.run(port=8080)",
    "logger": "logging.getLogger('microsock'), or a logger of your own",
    "middleware": "@app.on_response, or a decorator of your own under the route's",
    "on_event": "@app.on_start and @app.on_stop",
    "register_error_handler": "app.error(404)(handler)",
    "serve": "app.run(port=8080)",
    "teardown_request": "@app.on_response, or try … finally in the handler",
    "websocket_route": "@app.websocket('/path')",
    "ws": "@app.websocket('/path')",
}

# What is no setting of an app, and where it goes.
_PLACES = {
    "address": "app.run(host=…, port=…), Server(app, address) or the flag --bind",
    "bind": "app.run(host=…, port=…), Server(app, address) or the flag --bind",
    "host": "app.run(host=…), Server(app, address) or the flag --host",
    "import_name": "App(), without a name",
    "name": "App(), without a name",
    "port": "app.run(port=…), Server(app, address, port) or the flag --port",
    "reload": "the flag --reload",
    "runner": "app.run(runner=…) or the flag --runner",
}

_KEYWORDS = {
    ("route", "method"): "methods=[{value!r}]",
    ("add_route", "method"): "methods=[{value!r}]",
    ("websocket", "origin"): "origins=[{value!r}]",
    ("websocket", "protocols"): "subprotocols={value!r}",
    ("websocket", "subprotocol"): "subprotocols=[{value!r}]",
    ("every", "hours"): "@app.every(seconds)",
    ("every", "minutes"): "@app.every(seconds)",
}


def bare_decorator(verb: str, name: str) -> SetupError:
    """``@app.get`` without parentheses above the function ``name``, or that where the rule or seconds belong."""
    argument = {"every": "60", "limit": "'5/minute'"}.get(verb, f"'/{name}'")
    if verb == "add_route":
        return SetupError(f"app.add_route takes the rule first; write app.add_route({argument}, {name})")
    return SetupError(f"@app.{verb} has no parentheses and stands above {name!r}; write @app.{verb}({argument})")


def called_decorator(decorator: str) -> SetupError:
    """``@app.on_start()``."""
    return SetupError(f"@{decorator} takes no parentheses; write @{decorator} above the function")


def unknown_keyword(verb: str, wrong: Mapping[str, object], known: Iterable[str]) -> SetupError:
    """``@app.route("/", method="POST")``."""
    name, value = next(iter(wrong.items()))
    if (verb, name) in _KEYWORDS:
        advice = f"write {_KEYWORDS[verb, name].format(value=value)}"
    elif name in ("method", "methods"):
        methods = [value] if name == "method" else value
        advice = f"@app.{verb} is for one method; write @app.route(rule, methods={methods!r})"
    else:
        near = difflib.get_close_matches(name, known, 1)
        advice = f"did you mean {near[0]}=?" if near else f"it takes {', '.join(f'{each}=' for each in known)}"
    return SetupError(f"app.{verb} takes no {name}=; {advice}")


def positional_setting(given: tuple[object, ...]) -> SetupError:
    """``App(__name__)``."""
    shown = ", ".join(f"{value!r:.60}" for value in given)
    return SetupError(f"App({shown}): an app has no name, and its settings are keywords; write App()")


def setting_elsewhere(name: str, value: object) -> BadSetting | None:
    """``App(port=8080)``; None for a name of which nothing is known."""
    if name not in _PLACES:
        return None
    return BadSetting(f"App({name}={value!r:.60}): that is no setting of an app; write {_PLACES[name]}")


def missing_attribute(app: object, name: str) -> AttributeError:
    """``@app.errorhandler(404)``."""
    if name in _ELSEWHERE:
        return MissingAttribute(f"an App has no {name!r}; write {_ELSEWHERE[name]}")
    return AttributeError(f"{type(app).__name__!r} object has no attribute {name!r}", name=name, obj=app)


def two_shapes(misfit: BadRule, name: str, rule: str, params: tuple[str, ...], is_generator: bool) -> BadRule:
    """A function with the parameters of a generator (as in flask-sock), or the reverse; ``misfit`` says so already."""
    more = "".join(f", {param}" for param in params)
    if is_generator:
        why = "it has a 'yield', so it runs once for each connection"
    else:
        why = "it has no 'yield', so it is called once for each message"
    return BadRule(
        f"""{misfit}: {why}. Write one of these two:

    @app.websocket({rule!r})
    def {name}(ws, message{more}):
        # called for each message; what is returned is sent back
        return message

    @app.websocket({rule!r})
    def {name}(ws{more}):
        # run once for each connection; it waits by 'yield from'
        while True:
            message = yield from ws.receive()
            ws.send(message)
"""
    )
