"""Where a server can be reached: this machine's addresses and names."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress

LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
ANY_ADDRESS = "0.0.0.0"

_NOWHERE = ("192.0.2.1", 9)
"""An address kept for documentation: to ask the way there sends nothing."""


def lan_address() -> str | None:
    """Return this machine's IPv4 address on the local network, or ``None`` if it has none.

    Of several (cable, Wi-Fi, virtual networks) it is the one that faces the rest of the world;
    without a way out, as in a room whose router has no internet, the first that there is.
    """
    addresses = _addresses()
    facing = _facing_address()
    if facing in addresses:
        return facing
    return addresses[0] if addresses else None


def own_names(address: str) -> frozenset[str]:
    """Return the names, in lower case, by which this machine's own ``address`` may be called.

    Args:
        address: An IPv4 address to listen at; ``0.0.0.0`` stands for all of this machine's.
    """
    addresses = _addresses() if address == ANY_ADDRESS else [address]
    name = socket.gethostname().lower()
    return LOCAL_NAMES | set(addresses) | {name, name.partition(".")[0] + ".local"}


def _facing_address() -> str | None:
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(_NOWHERE)
        return str(probe.getsockname()[0])
    return None


def _addresses() -> list[str]:
    """Return this machine's IPv4 addresses that others can reach, of interfaces that are up."""
    import psutil

    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    found = [
        entry.address
        for name, entries in psutil.net_if_addrs().items()
        for entry in entries
        if name in up and entry.family == socket.AF_INET
    ]
    return [address for address in found if _is_reachable(address)]


def _is_reachable(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return not (parsed.is_loopback or parsed.is_link_local or parsed.is_unspecified)
