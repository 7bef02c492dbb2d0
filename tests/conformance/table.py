"""All cases in one table, and the SHOULDs that microsock does not meet, each with its reason."""

from __future__ import annotations

from . import (
    cases_answers,
    cases_chunked,
    cases_connection,
    cases_fields,
    cases_length,
    cases_limits,
    cases_request_line,
    cases_smuggling,
    cases_target,
    cases_websocket,
)
from .case import Case

__all__ = ["CASES", "UNMET"]

CASES: list[Case] = [
    case
    for module in (
        cases_request_line,
        cases_target,
        cases_fields,
        cases_length,
        cases_chunked,
        cases_smuggling,
        cases_connection,
        cases_answers,
        cases_limits,
        cases_websocket,
    )
    for case in module.CASES
]

UNMET: dict[str, str] = {
    "HTTP/1.0 stays with keep-alive": (
        "h11 ends every connection of HTTP/1.0, which is always right; clients that still speak it open a new one"
    ),
}
