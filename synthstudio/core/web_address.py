"""Addresses of a studio on the web, and which of them only this machine can reach."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_local(address: str | None) -> bool:
    """Whether only this machine can reach an address or host name."""
    if address == "localhost":
        return True
    try:
        return address is not None and ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


def studio_origin(url: str) -> str | None:
    """Return a studio's address without a slash at its end, None for what may not be one.

    With https, or with http on this machine; nothing but scheme, host and port.
    """
    try:
        parts = urlsplit(url)
        local = parts.scheme == "http" and is_local(parts.hostname)
    except ValueError:
        return None
    secure = parts.scheme == "https" or local
    if not secure or not parts.hostname or parts.username or parts.query or parts.path.strip("/"):
        return None
    return f"{parts.scheme}://{parts.netloc}"
