"""Certificates for tests, made by OpenSSL's own program when they are first needed."""

from __future__ import annotations

import ssl
import subprocess
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

from tools import needed

__all__ = ["Pem", "authority", "client_context", "encrypted", "issued", "reissued"]

_PASSWORD = "open sesame"


class Pem(NamedTuple):
    """Files of a certificate and its key."""

    certificate: str
    key: str


def authority(name: str = "Test authority") -> Pem:
    """Who signs the others."""
    return _authority(name)


@cache
def _authority(name: str) -> Pem:
    folder = _folder()
    pem = Pem(str(folder / "ca.pem"), str(folder / "ca.key"))
    extensions = "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"
    _openssl(
        "req", "-x509", *_new_key(pem.key), "-subj", f"/CN={name}", "-days", "2", "-out", pem.certificate,
        *(word for extension in extensions for word in ("-addext", extension)),
    )  # fmt: skip
    return pem


@cache
def issued(*names: str, by: str = "Test authority") -> Pem:
    """A certificate for these host names (and for 127.0.0.1, where the first is localhost), signed by an authority."""
    return reissued(*names, by=by)


def reissued(*names: str, by: str = "Test authority") -> Pem:
    """Another one for the same names, with a serial number and key of its own."""
    folder, ca = _folder(), authority(by)
    pem = Pem(str(folder / "site.pem"), str(folder / "site.key"))
    alternatives = [f"DNS:{name}" for name in names] + (["IP:127.0.0.1"] if names[0] == "localhost" else [])
    (folder / "extensions").write_text(f"subjectAltName={','.join(alternatives)}\nbasicConstraints=CA:FALSE\n")
    request = str(folder / "request")
    _openssl("req", *_new_key(pem.key), "-subj", f"/CN={names[0]}", "-out", request)
    _openssl(
        "x509", "-req", "-in", request, "-CA", ca.certificate, "-CAkey", ca.key, "-days", "2",
        "-extfile", str(folder / "extensions"), "-out", pem.certificate,
    )  # fmt: skip
    return pem


@cache
def encrypted() -> tuple[Pem, str]:
    """A certificate for localhost whose key has a password, and that."""
    plain, key = issued("localhost"), str(_folder() / "encrypted.key")
    _openssl("pkcs8", "-topk8", "-in", plain.key, "-out", key, "-passout", f"pass:{_PASSWORD}")
    return Pem(plain.certificate, key), _PASSWORD


def client_context(pem: Pem | None = None) -> ssl.SSLContext:
    """A client that trusts the authority, and shows a certificate of its own if it has one."""
    context = ssl.create_default_context(cafile=authority().certificate)
    if pem is not None:
        context.load_cert_chain(pem.certificate, pem.key)
    return context


def _folder() -> Path:
    return Path(mkdtemp(prefix="microsock-certificates-"))


def _new_key(path: str) -> list[str]:
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path]


def _openssl(*words: str) -> None:
    subprocess.run([needed("openssl"), *words], check=True, capture_output=True)
