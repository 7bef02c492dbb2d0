"""A report in the text format that Prometheus scrapes, version 0.0.4.

Names follow its conventions: a base unit and ``_total`` in the name. Topics are counted, not named: one metric for each
user's topic would fill the scraper's memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .status import Report

__all__ = ["CONTENT_TYPE", "exposition"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[str, float]


def exposition(report: Report) -> str:
    """The whole text."""
    return "".join(f"{line}\n" for line in (*_server(report), *_traffic(report), *_latency(report), *_workers(report)))


def _server(report: Report) -> Iterator[str]:
    yield from _metric("info", "gauge", "The server's version.", [(f'{{version="{report["version"]}"}}', 1)])
    yield from _one("uptime_seconds", "gauge", "Since the server began.", report["uptime_seconds"])
    yield from _one("workers", "gauge", "Processes that serve.", len(report["workers"]))
    yield from _one("worker_restarts_total", "counter", "Workers replaced because they had died.", report["restarts"])


def _traffic(report: Report) -> Iterator[str]:
    for name, text in (
        ("connections", "Connections"),
        ("websockets", "WebSockets"),
        ("event_streams", "Event streams"),
    ):
        yield from _one(f"{name}_open", "gauge", f"{text} that are open.", report[name]["open"])
        yield from _one(f"{name}_total", "counter", f"{text} that were opened.", report[name]["total"])
    refused = report["connections"]["refused"]
    yield from _one("connections_refused_total", "counter", "Connections past those of one address.", refused)
    buffered = report["connections"]["buffered_bytes"]
    yield from _one("buffered_bytes", "gauge", "Bytes of bodies and queues in memory.", buffered)
    messages = [(_label("direction", way), report["websockets"][f"messages_{way}"]) for way in ("received", "sent")]
    yield from _metric("websocket_messages_total", "counter", "Messages of WebSockets that have closed.", messages)
    requests = [(_label("status", status), count) for status, count in report["requests"]["by_status"].items()]
    yield from _metric("requests_total", "counter", "Requests that were answered, by status.", requests)
    given_up = report["requests"]["given_up"]
    yield from _one("requests_given_up_total", "counter", "Requests whose client left before the answer.", given_up)
    bodies = report["requests"]["bodies_refused"]
    yield from _one("bodies_refused_total", "counter", "Bodies for which there was no room.", bodies)
    limited = report["rate_limited"]
    yield from _one("rate_limited_total", "counter", "Requests and messages past a rate limit.", limited)
    dropped = report["dropped_messages"]
    yield from _one("dropped_messages_total", "counter", "Pushed messages that slow readers did not get.", dropped)
    clients = report["dropped_clients"]
    yield from _one("dropped_clients_total", "counter", "Connected clients that had to make room for others.", clients)
    waiting = report["blocking_calls_waiting"]
    yield from _one("blocking_calls_waiting", "gauge", "Blocking calls that wait for a thread.", waiting)
    yield from _one("topics", "gauge", "Topics that somebody follows.", report["topics"]["count"])
    yield from _one("topic_followers", "gauge", "Followers of all topics.", report["topics"]["followers"])


def _latency(report: Report) -> Iterator[str]:
    latency, seen = report["latency"], 0
    samples: list[Sample] = []
    for bucket in latency["buckets"]:
        seen += bucket["count"]
        bound = "+Inf" if bucket["to_seconds"] is None else f"{bucket['to_seconds']:g}"
        samples.append((f"_bucket{_label('le', bound)}", seen))
    samples += [("_sum", latency["sum_seconds"]), ("_count", latency["count"])]
    text = "From a request to the end of its answer; endless answers left out."
    yield from _metric("request_seconds", "histogram", text, samples)


def _workers(report: Report) -> Iterator[str]:
    lags = [(_label("worker", worker["worker"]), worker["loop_lag_seconds"]) for worker in report["workers"]]
    yield from _metric("loop_lag_seconds", "gauge", "The longest turn of the loop in about ten seconds.", lags)
    busy = report["loop"]["busy_seconds"]
    yield from _one("loop_busy_seconds_total", "counter", "How long the loops did anything but wait.", busy)


def _one(name: str, kind: str, text: str, value: float) -> Iterator[str]:
    return _metric(name, kind, text, [("", value)])


def _metric(name: str, kind: str, text: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP microsock_{name} {text}"
    yield f"# TYPE microsock_{name} {kind}"
    for rest, value in samples:
        yield f"microsock_{name}{rest} {value}"


def _label(name: str, value: object) -> str:
    return f'{{{name}="{value}"}}'
