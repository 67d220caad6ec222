"""Orgs to test the client against."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sf_assets.salesforce import bulk, session
from sf_assets.salesforce.client import Client
from sf_assets_tests.salesforce.scripted import ScriptedServer
from sf_assets_tests.salesforce.scripted_org import ScriptedOrg, connected


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting times that tests have."""
    monkeypatch.setattr(session, "_FIRST_PAUSE", 0.002)
    monkeypatch.setattr(session, "_LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(session, "READ_SECONDS", 5)
    monkeypatch.setattr(bulk, "_FIRST_POLL", 0.002)
    monkeypatch.setattr(bulk, "_LONGEST_POLL", 0.02)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server that knows nothing but what the test says."""
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def org() -> Iterator[ScriptedOrg]:
    """An org that does what the test says."""
    with ScriptedOrg() as running:
        yield running


@pytest.fixture
def client(org: ScriptedOrg) -> Iterator[Client]:
    """A client of it."""
    with connected(org) as open_client:
        yield open_client


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    path = tmp_path_factory.mktemp("tls") / "loopback.pem"
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(signed.public_bytes(pem) + private)
    return path


@pytest.fixture(scope="session")
def tls(certificate: Path) -> ssl.SSLContext:
    """What makes a scripted server speak https."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
