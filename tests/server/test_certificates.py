from __future__ import annotations

import shutil
import ssl
from pathlib import Path
from typing import Any

import pytest
from certs import Pem, authority, client_context, encrypted, issued, reissued

from microsock.errors import BadSetting
from microsock.server.certificates import Certificates
from microsock.server.options import NO_OPTIONS, Options, parse_options
from microsock.settings import Settings

pytestmark = pytest.mark.server


def settings(pem: Pem, **more: str) -> Settings:
    return Settings(ssl_certfile=pem.certificate, ssl_keyfile=pem.key, **more)  # type: ignore[arg-type]


def shaken(
    certificates: Certificates, name: str = "localhost", client: ssl.SSLContext | None = None
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """The two ends of a connection in memory, after the handshake: the client's and the server's."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = certificates.context.wrap_bio(to_server, to_client, server_side=True)
    theirs = (client or client_context()).wrap_bio(to_client, to_server, server_hostname=name)
    waiting = [theirs, ours]
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                pass
    assert not waiting
    return theirs, ours


def serial(certificates: Certificates, name: str = "localhost") -> object:
    shown = shaken(certificates, name)[0].getpeercert()
    assert shown is not None
    return shown["serialNumber"]


def names(certificates: Certificates, name: str) -> list[object]:
    shown: Any = shaken(certificates, name)[0].getpeercert()
    return [value for kind, value in shown["subjectAltName"] if kind == "DNS"]


def refused(settings: Settings, options: Options = NO_OPTIONS) -> str:
    with pytest.raises(BadSetting) as error:
        Certificates(settings, options)
    return str(error.value)


def test_a_client_that_trusts_the_authority_is_served() -> None:
    theirs, ours = shaken(Certificates(settings(issued("localhost"))))
    assert theirs.version() == ours.version() == "TLSv1.3"


def test_http_1_1_is_the_protocol_whatever_else_a_client_offers() -> None:
    client = client_context()
    client.set_alpn_protocols(["h2", "http/1.1"])
    theirs, _ = shaken(Certificates(settings(issued("localhost"))), client=client)
    assert theirs.selected_alpn_protocol() == "http/1.1"
    client.set_alpn_protocols(["h2"])
    theirs, _ = shaken(Certificates(settings(issued("localhost"))), client=client)
    assert theirs.selected_alpn_protocol() is None


def test_a_certificate_and_its_key_may_share_a_file(tmp_path: Path) -> None:
    pem = issued("localhost")
    both = tmp_path / "both.pem"
    both.write_text(Path(pem.certificate).read_text() + Path(pem.key).read_text())
    shaken(Certificates(Settings(ssl_certfile=str(both))))


def test_a_key_with_a_password() -> None:
    pem, password = encrypted()
    shaken(Certificates(settings(pem, ssl_keyfile_password=password)))


def test_a_password_that_is_wrong_or_missing_is_said_and_nobody_is_asked_at_the_terminal() -> None:
    pem, _ = encrypted()
    assert refused(settings(pem)) == f"the key {pem.key} is encrypted; set ssl_keyfile_password"
    wrong = refused(settings(pem, ssl_keyfile_password="sesame"))
    assert wrong == f"ssl_keyfile_password does not open the key {pem.key}"
    assert refused(settings(pem, ssl_keyfile_password="x" * 2000)).startswith("ssl_keyfile_password: ")


def test_a_file_that_is_not_there_is_named() -> None:
    pem = issued("localhost")
    assert refused(Settings(ssl_certfile="/nosuch.pem")) == (
        "ssl_certfile: cannot read /nosuch.pem: No such file or directory"
    )
    assert refused(settings(Pem(pem.certificate, "/nosuch.key"))).startswith("ssl_keyfile: cannot read /nosuch.key")
    assert refused(settings(pem, ssl_ca_certs="/nosuch")).startswith("ssl_ca_certs: cannot read /nosuch")


def test_a_key_of_another_certificate_is_refused() -> None:
    one, other = issued("localhost"), issued("a.example")
    message = refused(settings(Pem(one.certificate, other.key)))
    assert message == f"the key {other.key} does not belong to the certificate {one.certificate}"


def test_a_certificate_file_without_a_key_is_refused() -> None:
    pem = issued("localhost")
    assert pem.certificate in refused(Settings(ssl_certfile=pem.certificate))


def test_what_is_no_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text("hello")
    junk = str(tmp_path / "a.pem")
    assert junk in refused(settings(Pem(junk, junk)))
    assert refused(settings(issued("localhost"), ssl_ca_certs=junk)).startswith(f"ssl_ca_certs: {junk} holds no")


def test_without_a_certificate_there_is_no_tls() -> None:
    assert refused(Settings()).startswith("TLS needs a certificate; set ssl_certfile")


def test_each_name_has_its_certificate_and_all_others_the_first() -> None:
    shop = issued("shop.example", "*.shop.example")
    pair = {"local_cert": shop.certificate, "local_pk": shop.key}
    options = parse_options({"SNI_server_certs": {"shop.example": pair, "*.Shop.example": pair}})
    certificates = Certificates(settings(issued("localhost")), options)
    assert names(certificates, "shop.example") == ["shop.example", "*.shop.example"]
    assert names(certificates, "eu.shop.example") == ["shop.example", "*.shop.example"]
    assert names(certificates, "localhost") == ["localhost"]
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(certificates, "a.b.shop.example")


def test_clients_must_show_a_certificate_of_the_authority_if_there_is_one() -> None:
    certificates = Certificates(settings(issued("localhost"), ssl_ca_certs=authority().certificate))
    _, ours = shaken(certificates, client=client_context(issued("ada")))
    shown: Any = ours.getpeercert()
    assert shown["subject"] == ((("commonName", "ada"),),)
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        shaken(certificates)
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(certificates, client=client_context(issued("eve", by="Somebody else")))


def test_verify_peer_needs_an_authority() -> None:
    assert "needs cafile (ssl_ca_certs)" in refused(settings(issued("localhost")), parse_options({"verify_peer": True}))
    open_to_all = settings(issued("localhost"), ssl_ca_certs=authority().certificate)
    shaken(Certificates(open_to_all, parse_options({"verify_peer": False})))


def test_ciphers_for_tls_1_2() -> None:
    certificates = Certificates(
        settings(issued("localhost")), parse_options({"ciphers": "ECDHE-ECDSA-AES256-GCM-SHA384"})
    )
    client = client_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    theirs, _ = shaken(certificates, client=client)
    assert theirs.cipher() == ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLSv1.2", 256)
    assert "OpenSSL knows none of them" in refused(settings(issued("localhost")), parse_options({"ciphers": "rot13"}))


def test_older_protocols_are_refused() -> None:
    client = client_context()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        client.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        shaken(Certificates(settings(issued("localhost"))), client=client)


def test_read_again_the_new_files_count(tmp_path: Path) -> None:
    pem = Pem(str(tmp_path / "a.pem"), str(tmp_path / "a.key"))
    for old, new in zip(pem, issued("localhost"), strict=True):
        shutil.copy(new, old)
    certificates = Certificates(settings(pem))
    before = serial(certificates)
    assert serial(certificates) == before
    for old, new in zip(pem, reissued("localhost"), strict=True):
        shutil.copy(new, old)
    certificates.reload()
    assert serial(certificates) != before


def test_read_again_and_broken_the_old_ones_stay(tmp_path: Path) -> None:
    pem = Pem(str(tmp_path / "a.pem"), str(tmp_path / "a.key"))
    for old, new in zip(pem, issued("localhost"), strict=True):
        shutil.copy(new, old)
    certificates = Certificates(settings(pem))
    before = serial(certificates)
    Path(pem.key).write_text("not yet written")
    with pytest.raises(BadSetting):
        certificates.reload()
    assert serial(certificates) == before
