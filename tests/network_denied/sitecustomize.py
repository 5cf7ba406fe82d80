"""Denies the network to every Python that has this folder on PYTHONPATH.

Python imports a module of this name at start-up, so kernels, servers and whatever else the tests
start inherit the denial with their environment. This machine itself stays within reach.
"""

import errno
import ipaddress
import socket
import sys

MESSAGE = "rede negada durante os testes: {target} (só esta máquina pode ser alcançada)"
# What looks up or reaches another machine, and where its arguments hold the host.
_ADDRESS_EVENTS = {"socket.connect", "socket.sendto", "socket.sendmsg"}
_NAME_EVENTS = {"socket.getaddrinfo", "socket.gethostbyname"}
_LOCAL_NAMES = {"", "localhost", "localhost.localdomain", socket.gethostname()}


def is_local(host: object) -> bool:
    """Tell whether a host, as sockets take it, is this machine."""
    if host is None:
        return True
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    if name.lower() in _LOCAL_NAMES:
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def deny(event: str, arguments: tuple[object, ...]) -> None:
    """Refuse one audited event if it leaves this machine."""
    if event in _ADDRESS_EVENTS:
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # else: a Unix socket
    elif event in _NAME_EVENTS:
        host = arguments[0]
    else:
        return
    if not is_local(host):
        raise OSError(errno.ENETUNREACH, MESSAGE.format(target=host))


sys.addaudithook(deny)
