"""The one way in which the boot opens TLS: verified, by name, at least 1.2."""

import ssl
from pathlib import Path
from typing import Final

_REFUSALS: Final = frozenset(
    {
        "ACCESS_DENIED", "BAD_CERTIFICATE", "CERTIFICATE_EXPIRED", "CERTIFICATE_REQUIRED",
        "CERTIFICATE_REVOKED", "CERTIFICATE_UNKNOWN", "UNKNOWN_CA", "UNSUPPORTED_CERTIFICATE",
    }
)  # fmt: skip


def client_context(ca: Path) -> ssl.SSLContext:
    """Returns a context that trusts the factory's CA and nothing else.

    Raises:
        OSError: The CA file cannot be read, or holds no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = True
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.load_verify_locations(cafile=str(ca))
    return context


def handshake_round_trips(connection: ssl.SSLSocket | ssl.SSLObject) -> int:
    """Returns what the handshake cost: 1 with TLS 1.3 or a resumed session, else 2."""
    return 1 if connection.version() == "TLSv1.3" or connection.session_reused else 2


def refuses_certificate(error: ssl.SSLError) -> bool:
    """Whether the other side has refused the certificate that was shown to it (RFC 8446 6.2)."""
    return (error.reason or "").rpartition("_ALERT_")[2] in _REFUSALS


def why(error: ssl.SSLError) -> str:
    """Returns the reason of a failed handshake in words, without the library's file names."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message or "the certificate does not verify"
    return (error.reason or "TLS failed").replace("_", " ").lower()
