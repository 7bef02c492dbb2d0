"""Run it by `python http_nginx.py PORT [--tls CERTIFICATE KEY]`: what a server in C needs for a fixed answer."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/{port}.pid;
error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{listen};
        default_type text/plain;
        {tls}
        location = / {{ return 200 "Hello, world!"; }}
    }}
}}
"""

if __name__ == "__main__":
    port = sys.argv[1]
    folder = Path(tempfile.gettempdir()) / f"benchmark-nginx-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    listen, tls = port, ""
    if sys.argv[3:]:
        listen += " ssl"
        tls = f"ssl_certificate {sys.argv[3]}; ssl_certificate_key {sys.argv[4]};"
    # A file in memory, which goes with the process.
    file = os.memfd_create("nginx.conf", 0)
    os.write(file, CONFIGURATION.format(folder=folder, port=port, listen=listen, tls=tls).encode())
    os.execvp("nginx", ["nginx", "-p", str(folder), "-c", f"/proc/self/fd/{file}"])
