"""Which addresses are on the public internet."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

# The IANA special-purpose address registries (RFC 6890), and public addresses that clouds use for metadata services.
_REFUSED_V4: Final = [
    (ip_network(network), kind)
    for network, kind in {
        "0.0.0.0/8": "an unspecified",
        "10.0.0.0/8": "a private",
        "100.64.0.0/10": "a carrier-grade NAT",
        "127.0.0.0/8": "a loopback",
        "168.63.129.16/32": "a cloud metadata",  # Azure's WireServer
        "169.254.169.254/32": "a cloud metadata",
        "169.254.0.0/16": "a link-local",
        "172.16.0.0/12": "a private",
        "192.0.0.0/24": "a reserved",
        "192.0.2.0/24": "a documentation",
        "192.88.99.0/24": "a reserved",
        "192.168.0.0/16": "a private",
        "198.18.0.0/15": "a benchmarking",
        "198.51.100.0/24": "a documentation",
        "203.0.113.0/24": "a documentation",
        "224.0.0.0/4": "a multicast",
        "240.0.0.0/4": "a reserved",
    }.items()
]
# The public IPv6 addresses are one block with a few exceptions; everything outside that block is refused.
_PUBLIC_V6: Final = ip_network("2000::/3")
_REFUSED_V6: Final = [ip_network(net) for net in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]
_NAT64: Final = ip_network("64:ff9b::/96")


def seen_address(address: str) -> IPv4Address | IPv6Address:
    """The address that a packet to this one reaches: an IPv4 address that an IPv6 address represents, else itself.

    Mapped: RFC 4291; NAT64: RFC 6052.
    """
    ip = ip_address(address)
    if isinstance(ip, IPv4Address):
        return ip
    return ip.ipv4_mapped or (IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else ip)


def why_refused(address: str) -> str | None:
    """The kind of an address ("a loopback") that is not on the public internet, else None."""
    ip = seen_address(address)
    if isinstance(ip, IPv6Address):
        public = ip in _PUBLIC_V6 and not any(ip in network for network in _REFUSED_V6)
        return None if public else _kind_v6(ip)
    return next((kind for network, kind in _REFUSED_V4 if ip in network), None)


def _kind_v6(ip: IPv6Address) -> str:
    kinds = {
        "a loopback": ip.is_loopback,
        "an unspecified": ip.is_unspecified,
        "a link-local": ip.is_link_local,
        "a multicast": ip.is_multicast,
        "a private": ip.is_private or ip.is_site_local,
    }
    return next((kind for kind, is_so in kinds.items() if is_so), "a reserved")
