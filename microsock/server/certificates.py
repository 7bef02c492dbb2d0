"""Certificates and keys from files to the TLS contexts that handshakes use; read again when asked to.

Made before workers are forked, so that a session ticket from one is good in all. Knows no connection.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from pathlib import Path

from ..errors import BadSetting
from ..log import logger
from ..settings import Settings
from .options import NO_OPTIONS, KeyPair, Options

__all__ = ["Certificates"]

_REASONS = {
    "KEY_VALUES_MISMATCH": "the key {key} does not belong to the certificate {certificate}",
    "NO_START_LINE": "{certificate} or {key} holds no PEM data of the kind that is needed",
    "EE_KEY_TOO_SMALL": "the key of {certificate} is too small for OpenSSL's security level",
    "CA_MD_TOO_WEAK": "{certificate} is signed with a digest that OpenSSL calls too weak",
}


class Certificates:
    """The contexts of one server's TLS sockets: ``context``, which hands over to those of other server names.

    Args:
        settings: ``ssl_certfile`` must be set.
        options: ciphers and further certificates.

    Raises ``BadSetting`` saying which file is missing, which key does not fit and whether a password is wrong.
    """

    def __init__(self, settings: Settings, options: Options = NO_OPTIONS) -> None:
        self._settings = settings
        self._options = options
        self.context = self._read()

    def reload(self) -> None:
        """Read the files again: handshakes from now on use what they hold. If that fails the old ones stay.

        Raises ``BadSetting`` as the first time.
        """
        self.context = self._read()
        logger.info("certificates are read again")

    def _read(self) -> ssl.SSLContext:
        settings = self._settings
        if settings.ssl_certfile is None:
            raise BadSetting("TLS needs a certificate; set ssl_certfile (and ssl_keyfile if the key has its own file)")
        default = KeyPair(settings.ssl_certfile, settings.ssl_keyfile, settings.ssl_keyfile_password)
        by_name = {name: self._context(pair) for name, pair in self._options.names.items()}
        context = self._context(default)
        if by_name:
            context.sni_callback = _chooser(by_name)
        return context

    def _context(self, pair: KeyPair) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # A renegotiation costs us much and the peer nothing.
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.set_alpn_protocols(["http/1.1"])
        _load(context, pair)
        self._ask_clients(context)
        if self._options.ciphers is not None:
            try:
                context.set_ciphers(self._options.ciphers)
            except ssl.SSLError:
                raise BadSetting(f"option 'ciphers' is {self._options.ciphers!r}; OpenSSL knows none of them") from None
        return context

    def _ask_clients(self, context: ssl.SSLContext) -> None:
        authorities, wanted = self._settings.ssl_ca_certs, self._options.verify_peer
        if wanted is True and authorities is None:
            raise BadSetting("option 'verify_peer' needs cafile (ssl_ca_certs): who signs the clients' certificates?")
        if authorities is None or wanted is False:
            return
        _readable("ssl_ca_certs", authorities)
        try:
            context.load_verify_locations(authorities)
        except ssl.SSLError as error:
            raise BadSetting(f"ssl_ca_certs: {authorities} holds no certificate (PEM): {error.reason}") from None
        context.verify_mode = ssl.CERT_REQUIRED


def _chooser(by_name: Mapping[str, ssl.SSLContext]) -> Callable[[ssl.SSLObject, str, ssl.SSLContext], None]:
    def choose(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        wanted = (name or "").lower().rstrip(".")
        # A wildcard stands for one label (RFC 6125 section 6.4.3).
        chosen = by_name.get(wanted) or by_name.get(f"*.{wanted.partition('.')[2]}")
        if chosen is not None:
            connection.context = chosen

    return choose


def _load(context: ssl.SSLContext, pair: KeyPair) -> None:
    key = pair.key or pair.certificate
    _readable("ssl_certfile", pair.certificate)
    _readable("ssl_keyfile", key)

    def password() -> str:
        # Called for an encrypted key only; without it OpenSSL would ask at the terminal and wait.
        if pair.password is None:
            raise BadSetting(f"the key {key} is encrypted; set ssl_keyfile_password")
        return pair.password

    try:
        context.load_cert_chain(pair.certificate, pair.key, password)
    except ssl.SSLError as error:
        reason = _REASONS.get(error.reason or "")
        if reason is None:
            encrypted = "ENCRYPTED" in Path(key).read_text(errors="replace")
            reason = "ssl_keyfile_password does not open the key {key}" if encrypted else f"{{certificate}}: {error}"
        raise BadSetting(reason.format(certificate=pair.certificate, key=key)) from None
    except ValueError as error:
        raise BadSetting(f"ssl_keyfile_password: {error}") from None


def _readable(setting: str, path: str) -> None:
    # OpenSSL's own error does not say which file it is about.
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise BadSetting(f"{setting}: cannot read {path}: {error.strerror}") from None
