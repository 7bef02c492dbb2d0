"""``options=`` of a server: a stream context's names for what has settings here, and the few things that have none.

Values in, values out: no file is read and no socket touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..errors import BadSetting
from ..settings import checked
from ..startup import NamedTuple

__all__ = ["NO_OPTIONS", "KeyPair", "Options", "parse_options"]


class KeyPair(NamedTuple):
    """Files (PEM) of a certificate chain and its key; without ``key`` that is in the same file."""

    certificate: str
    key: str | None = None
    password: str | None = None


class Options(NamedTuple):
    """What ``options=`` says.

    Attributes:
        settings: what is a setting, by the setting's own name.
        ipv6_only: whether an IPv6 socket leaves IPv4 to a socket of its own.
        ciphers: OpenSSL's list of ciphers for TLS 1.2; its own defaults if None.
        names: certificates by server name, beside the one of ``ssl_certfile`` (SNI, RFC 6066 section 3).
        verify_peer: whether clients must show a certificate; None: if ``ssl_ca_certs`` is set.
    """

    settings: Mapping[str, object] = MappingProxyType({})
    ipv6_only: bool = True
    ciphers: str | None = None
    names: Mapping[str, KeyPair] = MappingProxyType({})
    verify_peer: bool | None = None


NO_OPTIONS = Options()

# The stream context's name, and the setting's.
_SOCKET_SETTINGS = {"backlog": "backlog", "so_reuseport": "reuse_port"}
_SSL_SETTINGS = {
    "local_cert": "ssl_certfile",
    "local_pk": "ssl_keyfile",
    "passphrase": "ssl_keyfile_password",
    "cafile": "ssl_ca_certs",
}
_SOCKET_OWN = ("ipv6_v6only", "tcp_nodelay", *_SOCKET_SETTINGS.values())
_SSL_OWN = (
    "ciphers", "SNI_enabled", "SNI_server_certs", "verify_peer", "disable_compression", *_SSL_SETTINGS.values(),
)  # fmt: skip
_GROUPS = {
    "socket": {name: name for name in _SOCKET_OWN} | _SOCKET_SETTINGS,
    "ssl": {name: name for name in _SSL_OWN} | _SSL_SETTINGS,
}
_FLAT = _GROUPS["socket"] | _GROUPS["ssl"]
_SETTINGS = {*_SOCKET_SETTINGS.values(), *_SSL_SETTINGS.values()}
_ALWAYS = {
    "tcp_nodelay": "answers are always sent at once",
    "disable_compression": "TLS compression is always off (RFC 7525 section 3.3)",
    "SNI_enabled": "without SNI_server_certs there is only one certificate",
}


def parse_options(options: Mapping[str, object] | None) -> Options:
    """Read ``options=``: flat, or nested as ``{"socket": {…}, "ssl": {…}}``.

    Raises ``BadSetting`` for unknown names, values that do not fit, and one thing said twice.
    """
    values: dict[str, object] = {}
    for name, value in (options or {}).items():
        if name in _GROUPS:
            if not isinstance(value, Mapping):
                raise BadSetting(f"options[{name!r}] is {value!r}; expected a dict of options")
            for inner, its_value in value.items():
                _take(values, inner, its_value, _GROUPS[name], f"options[{name!r}]")
        else:
            _take(values, name, value, _FLAT, "options")
    return _options_of(values)


def _take(values: dict[str, object], name: str, value: object, known: Mapping[str, str], where: str) -> None:
    if name not in known:
        import difflib  # for a misspelt name only, which ends the start

        near = difflib.get_close_matches(str(name), known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known, key=str.lower))}"
        raise BadSetting(f"unknown option {name!r} in {where}; {hint}")
    own = known[name]
    if own in values:
        raise BadSetting(f"option {name!r} is given twice in options ({own})")
    values[own] = checked(own, value) if own in _SETTINGS else value


def _options_of(values: dict[str, object]) -> Options:
    for name, reason in _ALWAYS.items():
        if values.pop(name, True) is not True:
            raise BadSetting(f"option {name!r} must be True; {reason}")
    return Options(
        settings={name: value for name, value in values.items() if name in _SETTINGS},
        ipv6_only=_switch(values, "ipv6_v6only") is not False,
        ciphers=_text(values, "ciphers"),
        names=_names(values.get("SNI_server_certs", {})),
        verify_peer=_switch(values, "verify_peer"),
    )


def _names(value: object) -> Mapping[str, KeyPair]:
    if not isinstance(value, Mapping):
        raise BadSetting(f"option 'SNI_server_certs' is {value!r}; expected a dict of server names to PEM files")
    return {_server_name(name): _key_pair(name, files) for name, files in value.items()}


def _server_name(name: object) -> str:
    if not isinstance(name, str) or not name.isascii() or not name:
        raise BadSetting(f"server name {name!r} in 'SNI_server_certs' must be an ASCII text (an IDN as xn--…)")
    return name.lower().rstrip(".")


def _key_pair(name: object, files: object) -> KeyPair:
    if isinstance(files, str):
        return KeyPair(files)
    if isinstance(files, Mapping) and files.keys() <= {"local_cert", "local_pk", "passphrase"}:
        certificate = _text(files, "local_cert")
        if certificate is not None:
            return KeyPair(certificate, _text(files, "local_pk"), _text(files, "passphrase"))
    raise BadSetting(
        f"'SNI_server_certs' has {files!r} for {name!r}; expected a PEM file, or local_cert, local_pk and passphrase"
    )


def _switch(values: Mapping[str, object], name: str) -> bool | None:
    value = values.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadSetting(f"option {name!r} is {value!r}; expected True or False")
    return value


def _text(values: Mapping[str, object], name: str) -> str | None:
    value = values.get(name)
    if value is not None and not (isinstance(value, str) and value):
        raise BadSetting(f"option {name!r} is {value!r}; expected a text")
    return value
