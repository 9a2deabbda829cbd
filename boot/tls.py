"""The one way in which the boot opens TLS: verified, by name, at least 1.2."""

import ssl
from pathlib import Path


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


def why(error: ssl.SSLError) -> str:
    """Returns the reason of a failed handshake in words, without the library's file names."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message or "the certificate does not verify"
    return (error.reason or "TLS failed").replace("_", " ").lower()
