"""``app.status``: who may see the figures, and in which form: JSON, Prometheus' text, or a page for people.

Without a guard they are for this machine only, and a proxy on it must not make visitors of the whole world local.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from .errors import HTTPError
from .loopback import why_not_local
from .prometheus import CONTENT_TYPE, exposition
from .request import Request
from .response import Response
from .signatures import check_call
from .status import Report
from .status_html import CONTENT_SECURITY_POLICY, PAGE

__all__ = ["Guard", "StatusPage"]

Guard = Callable[[Request], bool]

_FORMATS = ("json", "prometheus", "html")
_TYPES = {"json": "application/json", "prometheus": CONTENT_TYPE, "html": "text/html; charset=utf-8"}


class StatusPage:
    """The handler behind ``app.status``.

    Args:
        report: gives the figures.
        guard: says who may see them; None for this machine only.
    """

    def __init__(self, report: Callable[[], Report], guard: Guard | None = None) -> None:
        if guard is not None:
            check_call(guard, ("request",), (), "app.status(guard=)")
        self._report = report
        self._guard = guard
        self.__name__ = "status"

    def __call__(self, request: Request) -> Response:
        """Answer with the figures. Raises ``HTTPError`` 403 for who may not see them, 400 for a form there is not."""
        self._admit(request)
        form = _form(request)
        response = Response(self._body(form), content_type=_TYPES[form], headers=_HEADERS)
        if form == "html":
            response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response

    def _admit(self, request: Request) -> None:
        if self._guard is not None:
            if not self._guard(request):
                raise HTTPError(403)
        elif reason := why_not_local(request):
            raise HTTPError(403, f"this page is for its own machine only, and {reason}; see guard= of app.status")

    def _body(self, form: str) -> str:
        if form == "html":
            return PAGE
        report = self._report()
        return json.dumps(report) + "\n" if form == "json" else exposition(report)


_HEADERS = {"Cache-Control": "no-store", "Vary": "Accept", "X-Content-Type-Options": "nosniff"}


def _form(request: Request) -> str:
    given = request.args.get("format")
    if given is not None:
        if given not in _FORMATS:
            raise HTTPError(400, f"there is no format {given!r:.40}; there are {', '.join(_FORMATS)}")
        return given
    accept = request.headers.get("accept", "")
    if "text/html" in accept:
        return "html"
    return "prometheus" if "openmetrics-text" in accept or "text/plain" in accept else "json"
