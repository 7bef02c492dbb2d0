"""What ``--reload`` serves while the app does not: the error, as a page that goes away when the error does.

An app like any other. Knows no process and no file.
"""

from __future__ import annotations

from html import escape
from secrets import token_hex

from ..app import App
from ..eventstream import EventStream
from ..loopback import why_not_local
from ..request import Request
from ..response import Response

__all__ = ["error_app"]

_EVENTS = "/_microsock/reload/"

_ELSEWHERE = "The app does not start; the terminal of the server says why"

# The stream ends with the process that serves this page. The next one has the same listening socket, so the page is
# asked for again at once and answered as soon as there is an app to answer. A form is not sent twice. Each process
# has a stream of its own: a page of an earlier one, which comes too late for that, is refused and asked for again.
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<noscript><meta http-equiv="refresh" content="2"></noscript>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
h1 {{ font-size: 1.25rem; overflow-wrap: anywhere }}
pre {{ overflow-x: auto; padding: 1rem; border: 1px solid; border-radius: .5rem }}
footer {{ opacity: .7 }}
</style>
</head>
<body>
<h1>{title}</h1>
<pre>{details}</pre>
<footer>This page reloads by itself when a file has changed.</footer>
<script>
new EventSource("{events}").onerror = function () {{
  this.close();
  if ({again}) location.reload(); else location.replace(location.href.split("#")[0]);
}};
</script>
</body>
</html>
"""


def error_app(title: str, details: str) -> App:
    """An app that answers everything with status 500 and this error, as a page to a browser and as text to others.

    Source lines and messages of errors hold passwords and keys. So the error is for this machine alone, as
    ``why_not_local`` says; others are told where to read it.

    Args:
        title: one line.
        details: the traceback, where there is one.
    """
    app = App()
    own_events = _EVENTS + token_hex(8)

    @app.get(own_events)
    def events(request: Request) -> EventStream:
        return EventStream("reload")

    @app.route(None, "*")
    def failed(request: Request) -> Response:
        reason = why_not_local(request)
        shown = (_ELSEWHERE, f"It is not shown here: {reason}.") if reason else (title, details)
        if "text/html" not in request.headers.get("Accept", ""):
            body, kind = "".join(f"{text}\n" for text in shown), "text/plain; charset=utf-8"
        else:
            again = "true" if request.method == "GET" else "false"
            top, rest = map(escape, shown)
            body = _PAGE.format(title=top, details=rest, events=own_events, again=again)
            kind = "text/html; charset=utf-8"
        return Response(body, 500, {"Cache-Control": "no-store"}, content_type=kind)

    return app
