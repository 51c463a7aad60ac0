"""Sends a message to an address on the web that somebody chose, and to no machine at home.

The address is looked up once, checked, and that very one is connected to, so that a name that
changes in between reaches nothing else. No redirect is followed; a message and its answer have a
time, and of the answer only the status is looked at.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from synthstudio.core.errors import Refused

MAX_URL = 500
TIMEOUT_S = 10.0
_PORTS = {"https": 443, "http": 80}
Resolve = Callable[[str, int], Sequence[str]]
"""(host, port) -> its addresses."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a message goes: `addresses` are those of `host` that were just looked up."""

    scheme: str
    host: str
    port: int
    path: str
    addresses: tuple[str, ...]


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host; OSError when it has none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def is_public(address: str) -> bool:
    """Whether an address is one of the web: of no machine here, at home, or in between."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:  # also one with a zone
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast and not ip.is_reserved
    if ip.sixtofour is not None or ip.teredo is not None or ip not in _UNICAST:
        return False  # also ::ffff:127.0.0.1 and 64:ff9b::7f00:1, which hold others
    return ip.is_global and not ip.is_multicast


_UNICAST = ipaddress.ip_network("2000::/3")


def checked_target(
    url: object, *, allowed: Collection[str] = (), resolve: Resolve = resolve
) -> Target:
    """Return where a URL leads; Refused ("invalid") for one that leads where nothing is sent.

    `allowed`: names of hosts that may be this machine or at home, and may go without https.
    """
    if not isinstance(url, str) or not 1 <= len(url) <= MAX_URL or not url.isascii():
        raise _refused("an address is a short text", f"at most {MAX_URL} ASCII characters", url)
    if any(ord(c) <= 32 or c in '\\"<>' for c in url):
        raise _refused("an address has no such characters", "https://HOST/PATH", url)
    parts, port = _split(url)
    host = (parts.hostname or "").rstrip(".")
    known = host in {name.lower().rstrip(".") for name in allowed}
    if parts.scheme != "https" and not (parts.scheme == "http" and known):
        raise _refused("decisions are sent by https", "https://HOST/PATH", parts.scheme)
    if parts.username is not None or parts.password is not None or parts.fragment or not host:
        raise _refused("an address is a host and a path", "https://HOST/PATH", url)
    try:
        found = tuple(dict.fromkeys(resolve(host, port)))
    except (OSError, UnicodeError) as error:
        raise _refused("this host is not known", "one that can be looked up", host) from error
    wrong = [address for address in found if not is_public(address)]
    if not found or (wrong and not known):
        raise _refused(
            "this is a machine here or at home",
            "an address of the web, or a host that --webhook-host allows",
            host,
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(scheme=parts.scheme, host=host, port=port, path=path, addresses=found)


def post(
    target: Target, body: bytes, headers: Mapping[str, str], *, timeout_s: float = TIMEOUT_S
) -> int:
    """Send a message to the first address of a target; return the status of the answer.

    OSError or http.client.HTTPException when there is none in time.
    """
    connection = _Connection(target, timeout_s)
    ending = threading.Timer(timeout_s, connection.end)
    ending.daemon = True
    ending.start()
    try:
        connection.request("POST", target.path, body=body, headers={**headers})
        return connection.getresponse().status
    finally:
        ending.cancel()
        connection.close()


class _Connection(http.client.HTTPConnection):
    """A connection to the address that was checked, whatever the name means by now."""

    def __init__(self, target: Target, timeout_s: float) -> None:
        super().__init__(target.host, target.port, timeout=timeout_s)
        self._target = target

    def connect(self) -> None:
        target = self._target
        plain = socket.create_connection((target.addresses[0], target.port), self.timeout)
        self.sock = plain
        if target.scheme == "https":
            try:
                secure = ssl.create_default_context()
                self.sock = secure.wrap_socket(plain, server_hostname=target.host)
            except BaseException:
                plain.close()
                raise

    def end(self) -> None:
        """Break it off: whoever answers a letter at a time would hold us for ever."""
        with suppress(OSError, AttributeError):
            self.sock.shutdown(socket.SHUT_RDWR)


def _split(url: str) -> tuple[SplitResult, int]:
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 443)
    except ValueError as error:
        raise _refused("this is no address", "https://HOST/PATH", url) from error
    return parts, port


def _refused(what: str, expected: str, got: object) -> Refused:
    return Refused(what, where="url", expected=expected, got=repr(got)[:80], reason="invalid")
