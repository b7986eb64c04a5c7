from __future__ import annotations

import ssl
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import ClientSession, TCPConnector, web
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from voicertc import tls
from voicertc.addresses import machine_addresses, machine_names
from voicertc.errors import SettingsError

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


async def test_a_browser_that_trusts_the_certificate_gets_the_page(tmp_path: Path) -> None:
    context = tls.self_signed(directory=tmp_path)
    app = web.Application()

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    trusting = ssl.create_default_context(cafile=str(tmp_path / "self-signed.pem"))
    try:
        async with ClientSession(connector=TCPConnector(ssl=trusting)) as client:
            port = runner.addresses[0][1]
            async with client.get(f"https://127.0.0.1:{port}/") as response:
                assert await response.text() == "hello"
    finally:
        await runner.cleanup()


def test_the_certificate_names_all_this_machine_goes_by(tmp_path: Path) -> None:
    tls.self_signed(directory=tmp_path, now=NOW)
    made = certificate(tmp_path / "self-signed.pem")
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == set(machine_names())
    assert set(names.get_values_for_type(x509.IPAddress)) >= set(machine_addresses())
    assert made.not_valid_after_utc == NOW + timedelta(days=365)


def test_the_key_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    tls.self_signed(directory=tmp_path / "new" / "voicertc", now=NOW)
    mode = (tmp_path / "new" / "voicertc" / "self-signed.pem").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_the_certificate_is_kept_until_a_month_before_its_end(tmp_path: Path) -> None:
    path = tmp_path / "self-signed.pem"
    serials = []
    for days in (0, 1, 334, 336):
        tls.self_signed(directory=tmp_path, now=NOW + timedelta(days=days))
        serials.append(certificate(path).serial_number)
    assert [serials.index(serial) for serial in serials] == [0, 0, 0, 3]


def test_a_new_address_makes_a_new_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "machine_names", lambda: ("localhost",))
    tls.self_signed(directory=tmp_path, now=NOW)
    first = certificate(tmp_path / "self-signed.pem").serial_number
    monkeypatch.setattr(tls, "machine_names", lambda: ("localhost", "moved"))
    tls.self_signed(directory=tmp_path, now=NOW)
    second = certificate(tmp_path / "self-signed.pem").serial_number
    monkeypatch.setattr(tls, "machine_names", lambda: ("localhost",))
    tls.self_signed(directory=tmp_path, now=NOW)
    assert [first == second, second == certificate(tmp_path / "self-signed.pem").serial_number] == [
        False,
        True,
    ]


def test_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "self-signed.pem").write_text("-----BEGIN nonsense")
    tls.self_signed(directory=tmp_path, now=NOW)
    assert certificate(tmp_path / "self-signed.pem").not_valid_before_utc < NOW


def test_without_a_place_to_keep_it_the_certificate_lives_for_this_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    context = tls.self_signed(directory=tmp_path / "file" / "voicertc", now=NOW)
    assert isinstance(context, ssl.SSLContext)
    assert [record.message for record in caplog.records] == ["certificate_not_kept"]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_STATE_HOME": "/s", "HOME": "/h"}, "/s/voicertc"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/voicertc"),
        ({"HOME": "/h"}, "/h/.local/state/voicertc"),
        ({}, "/.local/state/voicertc"),
    ],
)
def test_the_state_directory_is_the_users(environ: dict[str, str], expected: str) -> None:
    assert tls.state_directory(environ) == Path(expected)


class TestFilesOfTheOperator:
    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        tls.self_signed(directory=tmp_path, now=NOW)
        return tmp_path / "self-signed.pem"

    def mistake(self, cert: Path, key: Path) -> str:
        with pytest.raises(SettingsError) as caught:
            tls.from_files(cert, key)
        return str(caught.value)

    def test_good_ones_make_a_context(self, good: Path) -> None:
        assert tls.from_files(good, good).verify_mode is ssl.CERT_NONE

    def test_a_missing_one_is_named(self, good: Path, tmp_path: Path) -> None:
        absent = tmp_path / "absent.pem"
        assert (
            self.mistake(good, absent) == f"server.tls_key: cannot read {absent}: No such file or directory"
        )

    def test_a_binary_one_is_no_pem(self, good: Path, tmp_path: Path) -> None:
        binary = tmp_path / "cert.der"
        binary.write_bytes(certificate(good).public_bytes(serialization.Encoding.DER))
        assert self.mistake(binary, good) == (
            f"server.tls_cert: {binary} is not a PEM file (it has no '-----BEGIN' line)"
        )

    def test_the_key_of_another_certificate_does_not_belong(self, good: Path, tmp_path: Path) -> None:
        tls.self_signed(directory=tmp_path / "other", now=NOW)
        other = tmp_path / "other" / "self-signed.pem"
        assert self.mistake(good, other) == (
            f"server.tls_cert, server.tls_key: the key {other} does not belong to the certificate {good}"
        )

    def test_a_key_with_a_passphrase_cannot_be_used(self, good: Path, tmp_path: Path) -> None:
        locked = tmp_path / "locked.pem"
        key = serialization.load_pem_private_key(good.read_bytes(), None)
        locked.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"secret"),
            )
        )
        assert self.mistake(good, locked) == (
            f"server.tls_cert, server.tls_key: the key {locked} is protected by a passphrase; "
            "store it without one, readable by this user only"
        )

    def test_a_key_is_no_certificate_and_the_other_way_round(self, good: Path, tmp_path: Path) -> None:
        key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
        secret, begin, public = good.read_text().partition("-----BEGIN CERTIFICATE")
        key.write_text(secret)
        cert.write_text(begin + public)
        assert self.mistake(key, key) == f"server.tls_cert, server.tls_key: {key} holds no certificate"
        assert "holds no private key that can be used" in self.mistake(cert, cert)


def test_the_certificate_passes_openssls_own_check(tmp_path: Path) -> None:
    """A second opinion, of the library that browsers' cousins use: the handshake over a memory socket."""
    tls.self_signed(directory=tmp_path, now=datetime.now(UTC))
    code = (
        "import ssl,sys; c=ssl.create_default_context(cafile=sys.argv[1]);"
        "s=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); s.load_cert_chain(sys.argv[1]);"
        "a,b,x,y=(ssl.MemoryBIO() for _ in range(4));"
        "client=c.wrap_bio(a,b,server_hostname='localhost'); server=s.wrap_bio(b,a,server_side=True)\n"
        "for _ in range(6):\n"
        "  for end in (client, server):\n"
        "    try: end.do_handshake()\n"
        "    except ssl.SSLWantReadError: pass\n"
        "print(client.version())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "self-signed.pem")],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert ran.stdout.startswith("TLSv1.")
