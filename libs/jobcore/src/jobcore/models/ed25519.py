"""Ed25519 (RFC 8032), with private keys as their 32 bytes."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def public_key(private_key: bytes) -> bytes:
    """The 32 bytes of the public key."""
    return Ed25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()


def sign(private_key: bytes, message: bytes) -> bytes:
    """The signature of a message: 64 bytes."""
    return Ed25519PrivateKey.from_private_bytes(private_key).sign(message)
