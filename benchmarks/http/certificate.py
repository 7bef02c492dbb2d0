"""A certificate for the servers of the TLS case: self-signed, made once by `openssl`, kept beside the environments."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ..environment import cache
from ..processes import HOST

__all__ = ["certificate"]

_YEARS = 10


def certificate() -> tuple[str, str]:
    """The files of the certificate and of its key."""
    folder = cache() / "certificate"
    made = folder / "cert.pem", folder / "key.pem"
    if not all(file.exists() for file in made):
        folder.mkdir(parents=True, exist_ok=True)
        _make(*made)
    return str(made[0]), str(made[1])


def _make(cert: Path, key: Path) -> None:
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]
    about = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=IP:{HOST}", "-days", str(365 * _YEARS)]
    command = ["openssl", "req", "-x509", *kind, *about, "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
