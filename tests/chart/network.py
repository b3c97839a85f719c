"""What NetworkPolicies let through, decided as Kubernetes' documentation has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from tests.chart.objects import Objects

Rule = dict[str, Any]
NAMESPACE_NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Peer:
    """A pod, by its own and its namespace's labels."""

    labels: Mapping[str, str]
    namespace: str


@dataclass(frozen=True)
class Network:
    """The policies of one release in its namespace."""

    policies: tuple[Rule, ...]
    namespace: str

    def connects(self, source: Peer | str, target: Peer | str, port: int, protocol: str = "TCP") -> bool:
        """Whether one reaches the other; an address (str) stands for a place outside the cluster."""
        leaves = isinstance(source, str) or self._permits("egress", source, target, port, protocol)
        return leaves and (isinstance(target, str) or self._permits("ingress", target, source, port, protocol))

    def _permits(self, way: str, pod: Peer, other: Peer | str, port: int, protocol: str) -> bool:
        selecting = list(self._selecting(way, pod))
        return not selecting or any(
            _has_port(rule, port, protocol) and self._has_peer(rule, "to" if way == "egress" else "from", other)
            for policy in selecting
            for rule in policy.get(way) or []
        )

    def _selecting(self, way: str, pod: Peer) -> Iterator[Rule]:
        for spec in self.policies:
            here = pod.namespace == self.namespace and selects(spec["podSelector"], pod.labels)
            if here and way.capitalize() in spec["policyTypes"]:
                yield spec

    def _has_peer(self, rule: Rule, key: str, other: Peer | str) -> bool:
        return not rule.get(key) or any(self._is(peer, other) for peer in rule[key])

    def _is(self, peer: Rule, other: Peer | str) -> bool:
        if isinstance(other, str):
            return "ipBlock" in peer and _in_block(peer["ipBlock"], other)
        if "ipBlock" in peer:
            return False
        if "namespaceSelector" in peer:
            near = selects(peer["namespaceSelector"], {NAMESPACE_NAME: other.namespace})
        else:
            near = other.namespace == self.namespace
        return near and selects(peer.get("podSelector", {}), other.labels)


def network(objects: Objects, namespace: str) -> Network:
    """The network of a rendered release."""
    return Network(tuple(each["spec"] for each in objects.of("NetworkPolicy").values()), namespace)


def selects(selector: Rule, labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects."""
    exact = selector.get("matchLabels", {}).items() <= labels.items()
    return exact and all(_expression(each, labels) for each in selector.get("matchExpressions", []))


def _expression(expression: Rule, labels: Mapping[str, str]) -> bool:
    found = labels.get(expression["key"]) in expression["values"]
    return {"In": found, "NotIn": not found}[expression["operator"]]


def _has_port(rule: Rule, port: int, protocol: str) -> bool:
    ports = rule.get("ports")
    return not ports or any(each["port"] == port and each.get("protocol", "TCP") == protocol for each in ports)


def _in_block(block: Rule, address: str) -> bool:
    ip = ip_address(address)
    return ip in ip_network(block["cidr"]) and not any(ip in ip_network(hole) for hole in block.get("except", []))
