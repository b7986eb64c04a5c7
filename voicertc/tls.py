"""TLS for ``voicertc serve``: the operator's own certificate, or one made here for the local network.

Browsers give the microphone to ``https`` pages and to localhost only, so a phone on the LAN needs TLS before
it can talk. ``--tls self-signed`` makes a certificate for every name and address of this machine.

It is kept in the user's state directory (``$XDG_STATE_HOME/voicertc``), not made anew at each start: the
exception a person confirms on the phone belongs to this very certificate, and confirming it after every
restart would teach them to confirm anything. It is renewed when it is about to expire or when the machine got
an address it does not name. If the directory cannot be written, it lives for this run only.
"""

from __future__ import annotations

import logging
import os
import ssl
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .addresses import machine_addresses, machine_names
from .errors import SettingsError
from .logs import event

_log = logging.getLogger(__name__)

_LIFE = timedelta(days=365)
"""Safari refuses a leaf certificate that is valid for more than 825 days; a year leaves room."""
_RENEW_BEFORE = timedelta(days=30)

_Name = x509.DNSName | x509.IPAddress


def from_files(cert: Path, key: Path) -> ssl.SSLContext:
    """Return a server context for a PEM certificate (chain) and its key.

    Raises ``SettingsError`` with a sentence that says which of the two is wrong, and how.
    """
    for setting, path in (("server.tls_cert", cert), ("server.tls_key", key)):
        try:
            text = path.read_bytes()
        except OSError as error:
            raise SettingsError([f"{setting}: cannot read {path}: {error.strerror}"]) from error
        if b"-----BEGIN" not in text:
            raise SettingsError([f"{setting}: {path} is not a PEM file (it has no '-----BEGIN' line)"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # The callback keeps OpenSSL from asking the terminal for a passphrase nobody would type.
        context.load_cert_chain(cert, key, password=_no_passphrase)
    except (ssl.SSLError, ValueError) as error:
        raise SettingsError([f"server.tls_cert, server.tls_key: {_reason(error, cert, key)}"]) from error
    return context


def self_signed(*, directory: Path | None = None, now: datetime | None = None) -> ssl.SSLContext:
    """Return a server context for a certificate made here, the kept one as long as it will do.

    ``directory`` is where it is kept (``state_directory()``); ``now`` is the wall time, for its validity.
    """
    directory = state_directory(os.environ) if directory is None else directory
    now = datetime.now(UTC) if now is None else now
    path = directory / "self-signed.pem"
    if not _will_do(path, now):
        pem = _make(now)
        try:
            _write_private(path, pem)
        except OSError as error:
            event(_log, logging.WARNING, "certificate_not_kept", path=path, reason=error.strerror)
            return _from_memory(pem)
    return from_files(path, path)


def state_directory(environ: Mapping[str, str]) -> Path:
    """Return where this user's voicertc keeps what should outlive a restart (XDG Base Directory 0.8)."""
    given = environ.get("XDG_STATE_HOME", "")
    base = Path(given) if given.startswith("/") else Path(environ.get("HOME") or "/") / ".local" / "state"
    return base / "voicertc"


def _will_do(path: Path, now: datetime) -> bool:
    """Whether the kept certificate is readable, valid for a while, and names all this machine goes by."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, x509.ExtensionNotFound):
        return False  # absent, damaged or not ours: a new one is made
    is_fresh = certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - _RENEW_BEFORE
    return is_fresh and set(_names()) <= set(names)


def _names() -> list[_Name]:
    addresses: list[_Name] = [x509.IPAddress(address) for address in machine_addresses()]
    addresses.append(x509.IPAddress(ip_address("::1")))
    names: list[_Name] = [x509.DNSName(name) for name in machine_names()]
    return names + list(dict.fromkeys(addresses))


def _make(now: datetime) -> bytes:
    """Return a new key and certificate as one PEM text (RFC 5280; ECDSA P-256, which every browser takes)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "voicertc (self-signed)")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))  # a phone's clock may be a little behind
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectAlternativeName(_names()), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return secret + certificate.public_bytes(serialization.Encoding.PEM)


def _write_private(path: Path, pem: bytes) -> None:
    """Write ``pem`` for this user alone, whole or not at all: another server may read it meanwhile."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".self-signed-")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _from_memory(pem: bytes) -> ssl.SSLContext:
    # OpenSSL's binding reads files only, hence the detour; the file is gone when this returns.
    with tempfile.NamedTemporaryFile(prefix="voicertc-", suffix=".pem") as file:
        file.write(pem)
        file.flush()
        return from_files(Path(file.name), Path(file.name))


class _PassphraseError(ValueError):
    """The key file is encrypted."""


def _no_passphrase() -> str:
    raise _PassphraseError


def _reason(error: Exception, cert: Path, key: Path) -> str:
    """Say in plain words what OpenSSL has against two files that exist and are PEM."""
    if isinstance(error, _PassphraseError):
        return f"the key {key} is protected by a passphrase; store it without one, readable by this user only"
    text = str(error)
    if "KEY_VALUES_MISMATCH" in text:
        return f"the key {key} does not belong to the certificate {cert}"
    if _holds_no_certificate(cert):
        return f"{cert} holds no certificate"
    return f"{key} holds no private key that can be used ({text})"


def _holds_no_certificate(path: Path) -> bool:
    try:
        return not x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError:
        return True
