"""The locked ccxt, unchanged, under the venue's real host names: local TLS, and a resolver that leads here."""

from __future__ import annotations

import datetime
import socket
import ssl
from pathlib import Path

import ccxt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from quantlab.simulator.engine.rules import VenueRules
from quantlab.simulator.server.opening import Settings, running_exchange

HOST, UNIFIED = "fapi.binance.com", "SYN00/USDT:USDT"


def write_certificate(folder: Path) -> Path:
    """A certificate for the venue's name that signs itself, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path = folder / "venue.pem"
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(certificate.public_bytes(pem) + private)
    return path


def test_an_unchanged_ccxt_trades_and_its_error_classes_are_the_venue_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_market, exchange_costs
) -> None:
    certificate = write_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    settings = Settings(VenueRules("lockstep"), history_bars=100)
    with running_exchange(small_market, exchange_costs, settings, tls=context) as running:
        here = ("127.0.0.1", int(running.url.rpartition(":")[2]))
        asked: list[str] = []

        def resolve(host: str, *_args: object, **_more: object) -> list[tuple]:
            asked.append(host)
            assert host == HOST, "nothing else may be looked up"
            return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", here)]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        client = ccxt.binanceusdm({"apiKey": "demo-key", "secret": "demo-secret", "enableRateLimit": False})
        client.options["fetchCurrencies"] = False
        client.session.trust_env = True
        assert client.create_order(UNIFIED, "market", "buy", 1)["status"] == "closed"
        with pytest.raises(ccxt.InvalidOrder, match="-2022"):
            client.create_order(UNIFIED, "market", "buy", 1, None, {"reduceOnly": True})
        with pytest.raises(ccxt.InsufficientFunds, match="-2019"):
            client.create_order(UNIFIED, "limit", "buy", 100_000, 960.0)
        client.close()
    assert set(asked) == {HOST}
    assert [entry.kind for entry in running.exchange.venue.ledger].count("trade") == 1
