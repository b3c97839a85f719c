"""The operator's exceptions from the rule that only the public internet is reached."""

from __future__ import annotations

from ipaddress import ip_network

from jobcore.outbound.addresses import seen_address
from jobcore.settings.allowed import endpoint


class AllowList:
    """Endpoints and networks, as `jobcore.settings.allowed` reads them from the variable `setting`.

    An endpoint is allowed by its name, wherever the name leads, or by its address. A network is allowed with all ports.
    """

    def __init__(self, entries: frozenset[str], setting: str) -> None:
        self.setting = setting
        self._endpoints = frozenset(entry for entry in entries if "/" not in entry)
        self._networks = [ip_network(entry) for entry in entries if "/" in entry]

    def has_endpoint(self, host: str, port: int) -> bool:
        """Whether this name or address is allowed with this port."""
        return endpoint(host, port) in self._endpoints

    def has_address(self, address: str, port: int) -> bool:
        """Whether this address is allowed with this port, by itself or by its network."""
        seen = seen_address(address)
        return self.has_endpoint(address, port) or any(seen in network for network in self._networks)
