"""The status page for people: one file, nothing loaded from elsewhere, that asks its own address for JSON.

What it shows may have been written by strangers (topics are), so all of it goes in as text, never as markup.
"""

from __future__ import annotations

import base64
import hashlib

__all__ = ["CONTENT_SECURITY_POLICY", "PAGE"]

_STYLE = """
:root { color-scheme: light dark;
  --back: #f6f7f9; --card: #fff; --ink: #1b2330; --soft: #5c6675; --line: #dfe3e9; --mark: #2563c9; --track: #e8edf5;
  --ok: #17803d; --warn: #9a5b00; --bad: #c0271e; }
@media (prefers-color-scheme: dark) { :root {
  --back: #12161c; --card: #1a2029; --ink: #e6eaf0; --soft: #9aa5b4; --line: #2a323e; --mark: #76a8f9; --track: #262f3c;
  --ok: #4cc47a; --warn: #e0a545; --bad: #ff7b72; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 20px 16px 40px; }
header { display: flex; flex-wrap: wrap; gap: 4px 12px; align-items: baseline; margin-bottom: 16px; }
h1 { font-size: 20px; margin: 0; } h2 { font-size: 14px; margin: 0 0 10px; }
#state { color: var(--ok); margin-left: auto; } #state.bad { color: var(--bad); font-weight: 600; }
.soft { color: var(--soft); } .tiles, .cards, .stack { display: grid; gap: 12px; min-width: 0; }
.tiles { grid-template-columns: repeat(auto-fit, minmax(128px, 1fr)); margin-bottom: 12px; }
@media (max-width: 450px) { .tile:last-child:nth-child(odd) { grid-column: 1 / -1; } }
.cards { grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr)); align-items: start; }
section, .tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 12px 14px; min-width: 0; }
.tile b { display: block; font-size: 24px; font-weight: 650; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; }
.tile.warn b { color: var(--warn); } .tile.bad b { color: var(--bad); }
.wide { grid-column: 1 / -1; } svg { display: block; width: 100%; height: 56px; overflow: visible; }
polyline { fill: none; stroke: var(--mark); stroke-width: 1.5; stroke-linejoin: round;
  vector-effect: non-scaling-stroke; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; color: var(--soft); font-size: 13px; }
th, td { padding: 3px 12px 3px 0; white-space: nowrap; }
td.n, th.n { text-align: right; } tr > :last-child { padding-right: 0; }
td.name { white-space: normal; overflow-wrap: anywhere; min-width: 7em; } td.bar { width: 100%; min-width: 60px; }
.track { background: var(--track); border-radius: 3px; height: 9px; }
.track i { display: block; height: 100%; background: var(--mark); border-radius: 3px; }
.track i.c4 { background: var(--warn); } .track i.c5 { background: var(--bad); }
"""

_BODY = """
<main>
<header><h1>Status</h1><span class="soft" id="about"></span><span id="state" role="status">asking …</span></header>
<div class="tiles" id="tiles"></div>
<div class="cards">
<section class="wide"><h2>Requests a second <span class="soft" id="peak"></span></h2>
<svg viewBox="0 0 119 56" preserveAspectRatio="none" role="img"
  aria-label="Requests a second over the last minutes">
<polyline id="rate" points=""/></svg></section>
<div class="stack"><section><h2>Answers by status</h2><div class="scroll" id="statuses"></div></section>
<section><h2>Limits and losses</h2><div class="scroll" id="losses"></div></section></div>
<section><h2>Answers by how long they took</h2><div class="scroll" id="latency"></div></section>
<section><h2>Topics <span class="soft" id="topics-about"></span></h2><div class="scroll" id="topics"></div></section>
<section class="wide"><h2>Workers</h2><div class="scroll" id="workers"></div></section>
</div>
<p class="soft">Counted since the server began. This page asks every two seconds, and is counted too.</p>
<noscript>This page needs JavaScript; add ?format=json to its address for the figures alone.</noscript>
</main>
"""

_SCRIPT = """
"use strict";
const EVERY = 2000, KEPT = 120, at = id => document.getElementById(id), samples = [];
const count = n => n.toLocaleString("en");
const time = s => s === null ? "–" : s < 0.001 ? (s * 1e6).toFixed(0) + " µs"
  : s < 1 ? (s * 1e3).toPrecision(3) / 1 + " ms" : s.toPrecision(3) / 1 + " s";
const age = s => s < 60 ? Math.floor(s) + " s" : s < 3600 ? Math.floor(s / 60) + " min"
  : s < 86400 ? Math.floor(s / 3600) + " h " + Math.floor(s % 3600 / 60) + " min"
  : Math.floor(s / 86400) + " d " + Math.floor(s % 86400 / 3600) + " h";
const node = (name, kind, ...inside) => {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  made.append(...inside.map(each => each instanceof Node ? each : String(each)));
  return made;
};
const bar = (share, kind) => {
  const fill = node("i", kind);
  fill.style.width = 100 * share + "%";
  return node("td", "bar", node("div", "track", fill));
};
const table = (place, heads, rows, none) => {
  if (!rows.length) { at(place).replaceChildren(node("span", "soft", none)); return; }
  const made = node("table", "", ...rows.map(cells => node("tr", "", ...cells)));
  if (heads.length) made.prepend(node("tr", "", ...heads.map((head, n) => node("th", n ? "n" : "", head))));
  at(place).replaceChildren(made);
};
const tile = (value, text, kind = "") => node("div", "tile " + kind, node("b", "", value), node("span", "", text));
const quantile = (buckets, share) => {
  const all = buckets.reduce((sum, each) => sum + each.count, 0);
  let seen = 0, lower = 0;
  for (const each of buckets) {
    if (each.to_seconds === null) break;
    if (each.count && seen + each.count >= all * share)
      return lower + (each.to_seconds - lower) * (all * share - seen) / each.count;
    seen += each.count; lower = each.to_seconds;
  }
  return all ? lower : null;
};
const between = (now, then) => now.map((each, n) => ({...each, count: Math.max(0, each.count - then[n].count)}));
const rates = () => samples.slice(1).map((each, n) => {
  const seconds = each.when - samples[n].when, more = each.data.requests.total - samples[n].data.requests.total;
  return Math.max(0, more) / seconds;
});
function show(data) {
  at("about").textContent = `microsock ${data.version} · up ${age(data.uptime_seconds)} · ${data.workers.length}`
    + (data.workers.length === 1 ? " worker" : " workers")
    + (data.restarts ? ` · ${count(data.restarts)} restarted` : "");
  const line = rates(), last = line.at(-1), lag = data.loop.lag_seconds;
  const minute = samples.at(-31) || samples[0];
  const recent = samples.length > 1 ? between(data.latency.buckets, minute.data.latency.buckets) : data.latency.buckets;
  at("tiles").replaceChildren(
    tile(last === undefined ? "–" : last < 10 ? last.toFixed(1) : count(Math.round(last)), "requests a second"),
    tile(count(data.connections.open), "connections"), tile(count(data.websockets.open), "WebSockets"),
    tile(count(data.event_streams.open), "event streams"),
    tile(time(quantile(recent, 0.5)), "half answered within"),
    tile(time(quantile(recent, 0.99)), "99 of 100 within"),
    tile(time(lag), "longest loop turn", lag >= 1 ? "bad" : lag >= 0.1 ? "warn" : ""));
  const most = Math.max(...line, 1);
  at("rate").setAttribute("points", line.map((each, n) =>
    `${119 - (line.length - 1 - n) * 119 / Math.max(29, line.length - 1)},${55 - 54 * each / most}`).join(" "));
  at("peak").textContent = line.length ? "up to " + (most < 10 ? most.toFixed(1) : count(Math.round(most))) : "";
  const statuses = Object.entries(data.requests.by_status), top = Math.max(...statuses.map(each => each[1]), 1);
  table("statuses", [], statuses.map(([status, n]) =>
    [node("td", "", status), bar(n / top, "c" + status[0]), node("td", "n", count(n))]), "none yet");
  const buckets = data.latency.buckets, high = Math.max(...buckets.map(each => each.count), 1);
  const used = buckets.map(each => each.count > 0), first = used.indexOf(true), end = used.lastIndexOf(true);
  table("latency", [], first < 0 ? [] : buckets.slice(first, end + 1).map(each => [
    node("td", "", each.to_seconds === null ? "longer" : "≤ " + time(each.to_seconds)), bar(each.count / high),
    node("td", "n", count(each.count))]), "none yet");
  at("topics-about").textContent = `${count(data.topics.count)} with ${count(data.topics.followers)} followers`;
  table("topics", ["topic", "followers"], data.topics.most_followed.slice(0, 20).map(each =>
    [node("td", "name", each.topic), node("td", "n", count(each.followers))]), "nobody follows one");
  table("losses", [], [["refused by a rate limit", data.rate_limited],
    ["connections refused, too many of one address", data.connections.refused],
    ["bodies refused for want of room", data.requests.bodies_refused],
    ["pushed messages dropped", data.dropped_messages],
    ["connected clients dropped", data.dropped_clients],
    ["clients that left before the answer", data.requests.given_up],
    ["blocking calls that wait for a thread", data.blocking_calls_waiting],
    ["workers restarted", data.restarts]].map(([text, n]) =>
    [node("td", "name", text), node("td", "n", count(n))]), "");
  const before = samples.at(-2);
  table("workers", ["worker", "pid", "up", "connections", "WebSockets", "streams", "requests", "busy", "longest turn"],
    data.workers.map(each => {
      const then = before && before.data.workers.find(other => other.pid === each.pid);
      const busy = then && (each.loop_busy_seconds - then.loop_busy_seconds) / (samples.at(-1).when - before.when);
      return [each.worker || "1", each.pid, age(each.uptime_seconds), count(each.connections), count(each.websockets),
        count(each.event_streams), count(each.requests),
        then ? Math.min(100, 100 * busy).toFixed(0) + " %" : "–",
        time(each.loop_lag_seconds)].map((cell, n) => node("td", n ? "n" : "", cell));
    }), "none");
}
async function ask() {
  const address = new URL(location.href);
  address.searchParams.set("format", "json");
  const answer = await fetch(address, {cache: "no-store", signal: AbortSignal.timeout(5000)});
  if (!answer.ok) throw new Error("the server answers " + answer.status);
  samples.push({when: performance.now() / 1000, data: await answer.json()});
  if (samples.length > KEPT) samples.shift();
  show(samples.at(-1).data);
}
let answered = null;
async function turn() {
  if (!document.hidden) {
    try {
      await ask();
      answered = new Date().toLocaleTimeString();
      at("state").textContent = "● live"; at("state").className = "";
    } catch (error) {
      at("state").textContent = (answered ? `no answer since ${answered}` : "no answer") + ` (${error.message})`;
      at("state").className = "bad";
    }
  }
  setTimeout(turn, EVERY);
}
turn();
"""


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


PAGE = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
    f'<title>Status · microsock</title><link rel="icon" href="data:,"><style>{_STYLE}</style></head>\n'
    f"<body>{_BODY}<script>{_SCRIPT}</script></body></html>\n"
)

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src {_hash(_STYLE)}; script-src {_hash(_SCRIPT)}; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
