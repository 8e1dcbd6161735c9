"""The addresses at which a server that listens on all of them is reached."""

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import suppress

ALL = ("0.0.0.0", "::")
"""Hosts that stand for all addresses of the machine."""
_ELSEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
"""Addresses for documentation, which nobody has."""
_SIOCGIFADDR = 0x8915


def url(host: str, port: int) -> str:
    """The address of a page."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def reached_at(host: str) -> list[str]:
    """The addresses by which other machines can reach one that listens on `host`; where none is known, its name.

    Args:
        host: as it was given: of all addresses of the machine, of both families where it is "::".
    """
    if host not in ALL:
        return [host]
    families = (socket.AF_INET,) if host == "0.0.0.0" else (socket.AF_INET, socket.AF_INET6)
    found: dict[str, None] = {}
    for family in families:
        for text in (*_by_interface(family), _towards_others(family), *_by_name(family)):
            with suppress(ValueError):
                address = ipaddress.ip_address(text)
                if not (address.is_loopback or address.is_link_local or address.is_unspecified):
                    found[text] = None
    return list(found) or [socket.gethostname()]


def _towards_others(family: socket.AddressFamily) -> str:
    """The address from which packets would go to another network; none is sent."""
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asked:
        asked.connect((_ELSEWHERE[family], 9))
        return str(asked.getsockname()[0])
    return ""


def _by_name(family: socket.AddressFamily) -> Iterator[str]:
    with suppress(OSError):
        for *_, address in socket.getaddrinfo(socket.gethostname(), None, family, socket.SOCK_STREAM):
            yield str(address[0])


def _by_interface(family: socket.AddressFamily) -> Iterator[str]:
    """The first address of each interface, where the system tells it (Linux, IPv4)."""
    if family != socket.AF_INET:
        return
    with suppress(ImportError, OSError, AttributeError):
        import fcntl

        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            for _, name in socket.if_nameindex():
                with suppress(OSError):  # it has none
                    told = fcntl.ioctl(asked.fileno(), _SIOCGIFADDR, name.encode()[:15].ljust(256, b"\0"))
                    yield socket.inet_ntoa(told[20:24])
