"""Debian's nginx and HAProxy in front of a server, with the very configuration that docs/behind-a-proxy.md shows."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pages import page
from tools import needed

__all__ = ["PROXIES", "proxied"]

PATIENCE = 20.0
PROXIES = ("nginx", "haproxy")

# What a distribution's own file has around ours.
_NGINX = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/proxy.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{documented}
}}
"""


@contextmanager
def proxied(name: str, folder: Path, port: int) -> Iterator[str]:
    """Run a proxy in front of the server on this port; gives the proxy's address, as ``127.0.0.1:4711``."""
    program = needed(name)
    address = f"127.0.0.1:{free_port()}"
    config = folder / f"{name}.conf"
    config.write_text(_configuration(name, folder, address, port))
    command = [program, "-c", str(config)] if name == "nginx" else [program, "-db", "-f", str(config)]
    with (folder / "proxy.out").open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            _wait_for(address, process, folder)
            yield address
        finally:
            # By TERM, which ends the processes that nginx has started as well.
            process.terminate()
            try:
                process.wait(PATIENCE)
            finally:
                process.kill()


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def _configuration(name: str, folder: Path, address: str, port: int) -> str:
    text = page("behind-a-proxy.md").read_text()
    found = re.search(rf"<!-- tests: {name} -->\n```{name}\n(.*?)```", text, re.DOTALL)
    assert found, f"the page shows no configuration of {name}"
    documented = found[1]
    for theirs, ours in (("127.0.0.1:8080", f"127.0.0.1:{port}"), ("127.0.0.1:80\n", f"{address}\n")):
        assert theirs in documented or theirs.replace("\n", ";") in documented
        documented = documented.replace(theirs, ours).replace(theirs.replace("\n", ";"), ours.replace("\n", ";"))
    if name == "haproxy":
        return f"global\n    maxconn 200\n{documented}"
    user = "user root;" if os.geteuid() == 0 else ""
    return _NGINX.format(user=user, folder=folder, documented=documented)


def _wait_for(address: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    host, _, port = address.partition(":")
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection((host, int(port)), 1).close()
            return
        except OSError:
            said = "".join(path.read_text() for path in folder.glob("proxy.*") if path.is_file())
            assert process.poll() is None and time.monotonic() < deadline, said  # noqa: PT018
            time.sleep(0.02)
