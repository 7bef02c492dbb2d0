"""Hello, World. Run it with `python -m microsock examples/hello.py`.

Then open http://127.0.0.1:8080/ or http://127.0.0.1:8080/hello/Ada?times=3
"""

from __future__ import annotations

from html import escape

from microsock import App, Request

app = App()


@app.get("/")
def index(request: Request) -> str:
    """Answer with a page: a str is sent as HTML."""
    return "Hello, World!"


@app.get("/hello/{name}")
def hello(request: Request, name: str) -> str:
    """Greet whoever the path names, as often as the query says."""
    times = min(request.args.get("times", 1, type=int), 10)
    return f"<p>Hello, {escape(name)}!</p>\n" * times
