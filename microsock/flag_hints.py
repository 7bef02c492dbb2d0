"""What to write in place of a flag that the command does not have: the nearest one, or ours for another server's.

Loaded for a command line that is wrong.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

__all__ = ["OTHERS", "hint_for"]

_NONE = "there is nothing of the kind"
_NO_CLASSES = "handlers are plain functions, so there are no worker classes; --workers N starts several processes"
_PRELOAD = "with app.run(workers=N) the app is imported before the workers are forked; see the page on workers"
_NO_FILE = "settings are given by flags, by MICROSOCK_ variables and in App(…)"

OTHERS: dict[str, str] = {
    # gunicorn
    "-c": _NO_FILE,
    "--config": _NO_FILE,
    "-k": _NO_CLASSES,
    "--worker-class": _NO_CLASSES,
    "-t": "write --worker-timeout",
    "--timeout": "write --worker-timeout",
    "--graceful-timeout": "write --grace",
    "--keep-alive": "write --keep-alive-timeout",
    "--worker-connections": "write --max-connections",
    "--limit-request-line": "write --max-line-bytes",
    "--limit-request-field_size": "write --max-line-bytes",
    "--limit-request-fields": "write --max-headers",
    "--pid": "write --pid-file",
    "--chdir": "write --app-dir",
    "--pythonpath": "write --app-dir, or set PYTHONPATH",
    "--check-config": "write --check",
    "--reload-engine": "write --reload; microsock[reload] makes it watch by events",
    "--reload-extra-file": "write --reload-dir",
    "--preload": _PRELOAD,
    "--preload-app": _PRELOAD,
    "--certfile": "write --ssl-certfile",
    "--keyfile": "write --ssl-keyfile",
    "--ca-certs": "write --ssl-ca-certs",
    "--cert-reqs": "write --ssl-ca-certs, with which clients must have certificates",
    "--forwarded-allow-ips": "write --trusted-proxies, or --behind-proxy for one on this machine",
    "--access-logfile": "write --access-log: its lines go to standard output; a file is named in --log-config",
    "--access-logformat": "write --access-log-format",
    "--error-logfile": "the log goes to standard error; a file is named in --log-config",
    "--log-file": "the log goes to standard error; a file is named in --log-config",
    "--log-config-dict": "write --log-config with a JSON file",
    "--log-config-json": "write --log-config",
    "--log-syslog": "name a handler for syslog in --log-config",
    "--logger-class": "write --log-config",
    "--capture-output": "what an app prints goes where standard output goes",
    "--statsd-host": "figures are served by app.status(), for Prometheus too",
    "-D": "it stays in the foreground: let systemd, or whatever supervises it, run it",
    "--daemon": "it stays in the foreground: let systemd, or whatever supervises it, run it",
    "-u": "start it as the user that it is to run as",
    "--user": "start it as the user that it is to run as",
    "-g": "start it as the group that it is to run as",
    "--group": "start it as the group that it is to run as",
    "-m": "start it with the umask that it is to have; for a Unix socket see the page on listening",
    "--umask": "start it with the umask that it is to have; for a Unix socket see the page on listening",
    "-e": "set the variable in the environment",
    "--env": "set the variable in the environment",
    "--env-file": "set the variables in the environment",
    "-n": _NONE,
    "--name": _NONE,
    "--paste": _NONE,
    "--spew": "USR1 has it write down what it is doing",
    "--worker-tmp-dir": "workers tell that they live over sockets; nothing of the kind is needed",
    "--no-sendfile": _NONE,
    "--proxy-protocol": "the PROXY protocol is not read; --trusted-proxies believes forwarded headers",
    # uvicorn
    "--uds": "write --bind unix:/path",
    "--fd": "write --bind fd://N",
    "--reload-include": "write --reload-dir",
    "--reload-exclude": "write --reload-dir with the directories to watch",
    "--reload-delay": "write --reload: it waits until nothing changes",
    "--loop": "there is one event loop, and nothing to choose",
    "--http": "there is one HTTP implementation, and nothing to choose",
    "--ws": "there is one WebSocket implementation; --no-websocket serves none",
    "--ws-max-size": "write --max-message-size",
    "--ws-max-queue": "write --max-queued-bytes",
    "--ws-ping-interval": "write --ping-interval",
    "--ws-ping-timeout": "write --ping-timeout",
    "--ws-per-message-deflate": "write --compression",
    "--lifespan": "functions under @app.on_start and @app.on_stop are always called",
    "--interface": "apps are microsock.App objects; ASGI and WSGI are not served",
    "--proxy-headers": "write --behind-proxy for a proxy on this machine, or --trusted-proxies with addresses",
    "--no-proxy-headers": "forwarded headers are believed only with --behind-proxy or --trusted-proxies",
    "--use-colors": "colours follow the terminal, and NO_COLOR in the environment",
    "--no-use-colors": "set NO_COLOR=1 in the environment",
    "--server-header": "there is no Server header; an @app.on_response function can add one",
    "--no-server-header": "there is no Server header to leave out",
    "--date-header": "the Date header is always sent",
    "--no-date-header": "the Date header is always sent",
    "--header": "an @app.on_response function adds headers",
    "--limit-concurrency": "write --max-connections",
    "--limit-max-requests": "write --max-requests",
    "--limit-max-requests-jitter": "write --max-requests-jitter",
    "--timeout-keep-alive": "write --keep-alive-timeout",
    "--timeout-graceful-shutdown": "write --grace",
    "--timeout-worker-healthcheck": "write --worker-timeout",
    "--ssl-cert-reqs": "write --ssl-ca-certs, with which clients must have certificates",
    "--ssl-version": "TLS 1.2 and later are spoken; see the page on listening",
    "--ssl-ciphers": "OpenSSL's default is used; see the page on listening",
    "--ciphers": "OpenSSL's default is used; see the page on listening",
    "--h11-max-incomplete-event-size": "write --max-head-bytes",
    # Flask
    "-A": "the app comes last, without a flag: microsock films:app",
    "--app": "the app comes last, without a flag: microsock films:app",
    "--cert": "write --ssl-certfile",
    "--key": "write --ssl-keyfile",
    "--debugger": "--reload shows an error of the app as a page; there is no debugger in the browser",
    "--no-debugger": "there is no debugger in the browser to leave out",
    "--with-threads": "write --threads N, and blocking=True on the routes that are to run in one",
    "--without-threads": "handlers run in no thread unless a route has blocking=True",
    "--extra-files": "write --reload-dir",
    "--exclude-patterns": "write --reload-dir with the directories to watch",
}
"""Flags of gunicorn, uvicorn and Flask, and what there is in their place."""

_STARTS = ("dev", "run", "serve", "start")


def hint_for(words: Sequence[str], known: Collection[str]) -> str:
    """What to write in place of the first flag among these words that there is not; empty if there is no such."""
    for word in words:
        if word == "--":
            break
        flag = word.partition("=")[0]
        if _is_flag(flag) and flag not in known and flag[:2] not in known:
            return _hint(flag, known)
    first = words[0] if len(words) > 1 else ""
    return f"there is no subcommand {first}: write microsock {words[1]}" if first in _STARTS else ""


def _is_flag(word: str) -> bool:
    # A number may be negative, and a dash alone is a word.
    return len(word) > 1 and word[0] == "-" and not word[1].isdecimal()


def _hint(flag: str, known: Collection[str]) -> str:
    short = flag if flag[1] == "-" else flag[:2]  # -kgevent
    if short in OTHERS:
        return f"{short}: {OTHERS[short]}"
    near = difflib.get_close_matches(flag.replace("_", "-"), [*known, *OTHERS], 1, cutoff=0.7)
    if not near:
        return ""
    return f"did you mean {near[0]}?" if near[0] in known else f"{near[0]}: {OTHERS[near[0]]}"
