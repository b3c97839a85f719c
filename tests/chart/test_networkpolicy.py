"""Who reaches whom: each way in and out is named, all others are closed."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from tests.chart.helm import CHART, NAMESPACE, Helm
from tests.chart.network import Network, Peer, network
from tests.chart.objects import Objects

EVERYTHING = CHART / "ci" / "everything-values.yaml"
EXTERNAL = CHART / "ci" / "external-values.yaml"
COMPONENT = "app.kubernetes.io/component"
PORTS = (80, 443, 4317, 5432, 5555, 6379, 6443, 8000, 8889, 13133, 16686)
STORES = {("postgres", 5432), ("redis", 6379), ("jaeger", 4317)}

KEDA = Peer({"app": "keda-operator"}, "keda")
STRANGER = Peer({"app": "prometheus"}, "monitoring")
NEIGHBOUR = Peer({"app": "cron"}, NAMESPACE)
DNS = Peer({"k8s-app": "kube-dns"}, "kube-system")
API_SERVER = "192.0.2.1"

PUBLIC = ("192.88.99.10", "1.1.1.1", "93.184.216.34", "223.255.255.1", "2606:4700:4700::1111", "2a00:1450:4001::1")
NOT_PUBLIC = (
    *("10.96.0.1", "10.66.0.10", "172.16.0.1", "172.31.255.255", "192.168.1.1"),  # private
    *("100.64.0.1", "100.100.100.200", "127.0.0.1", "0.0.0.0", "198.18.0.1", "198.19.255.255"),
    *("169.254.169.254", "169.254.20.10", "168.63.129.16", "192.0.0.192"),  # metadata of the clouds
    *("224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.51.100.1", "203.0.113.1"),
    *("::1", "::", "::ffff:10.0.0.1", "::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::a00:1", "2002:a00:1::", "2001:0:1::"),
    *("fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "2001:db8::1", "3fff::1", "100::1"),
)


@pytest.fixture(scope="session")
def everything(helm: Helm) -> Objects:
    return helm.render(EVERYTHING)


def pods(objects: Objects) -> dict[str, Peer]:
    return {pod.metadata["labels"][COMPONENT]: Peer(pod.metadata["labels"], NAMESPACE) for pod in objects.pods}


def workloads(objects: Objects) -> set[str]:
    return {objects.one("Deployment", name)["metadata"]["labels"][COMPONENT] for name in objects.of("Deployment")} - {
        "flower"
    }


def reached(net: Network, source: Peer, targets: dict[str, Peer]) -> set[tuple[str, int]]:
    return {(name, port) for name, peer in targets.items() for port in PORTS if net.connects(source, peer, port)}


def test_the_api_reaches_the_internet_only_for_the_keys_of_an_openid_provider(helm: Helm) -> None:
    oidc = {"mode": "oidc", "oidc": {"issuer": "https://id.example.com", "audience": ["longrun"]}}
    for auth, ports in (({}, set()), (oidc, {443})):
        objects = helm.render({"auth": auth, "networkPolicy": {"enabled": True}})
        net, api = network(objects, NAMESPACE), pods(objects)["api"]
        assert {port for port in PORTS if net.connects(api, "93.184.216.34", port)} == ports
        assert not any(net.connects(api, address, port) for address in NOT_PUBLIC for port in PORTS)


def test_inside_a_release_only_these_connections_are_open(everything: Objects) -> None:
    net, peers = network(everything, NAMESPACE), pods(everything)
    wanted = dict.fromkeys(workloads(everything), STORES) | {
        "migrate": {("postgres", 5432)},
        "backup": {("postgres", 5432)},
        "flower": {("redis", 6379)},
        "test": {("api", 8000)},
    }
    assert {name: reached(net, peer, peers) for name, peer in peers.items()} == {
        name: wanted.get(name, set()) for name in peers
    }


def test_from_elsewhere_in_the_cluster_only_the_metrics_are_open(everything: Objects, default: Objects) -> None:
    for objects in (everything, default):
        net, peers = network(objects, NAMESPACE), pods(objects)
        metrics = {(name, 8889) for name in workloads(objects)}
        assert reached(net, STRANGER, peers) == metrics
        assert reached(net, NEIGHBOUR, peers) == metrics


@pytest.mark.parametrize("entrance", ["ingress", "httpRoute"])
def test_an_entrance_whose_controller_is_not_let_in_is_refused(helm: Helm, entrance: str) -> None:
    values = {
        entrance: {"enabled": True},
        "httpRoute": {"enabled": entrance == "httpRoute", "parentRefs": [{"name": "g"}]},
    }
    assert "networkPolicy.clients: with an Ingress or an HTTPRoute" in helm.refusal(values)
    helm.render({**values, "networkPolicy": {"enabled": False}})


def test_only_keda_asks_postgres_from_another_namespace_and_only_where_it_is_used(
    everything: Objects, default: Objects
) -> None:
    assert network(everything, NAMESPACE).connects(KEDA, pods(everything)["postgres"], 5432)
    assert not network(default, NAMESPACE).connects(KEDA, pods(default)["postgres"], 5432)


def test_clients_say_who_calls_the_api_beside_the_test_pod(helm: Helm) -> None:
    ingress = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}
    objects = helm.render({"networkPolicy": {"clients": [ingress]}})
    net, peers = network(objects, NAMESPACE), pods(objects)
    assert net.connects(Peer({}, "ingress"), peers["api"], 8000)
    assert net.connects(peers["test"], peers["api"], 8000)
    assert not net.connects(STRANGER, peers["api"], 8000)


def test_names_are_looked_up_by_all_but_the_stores(everything: Objects) -> None:
    net = network(everything, NAMESPACE)
    asking = {name for name, peer in pods(everything).items() if net.connects(peer, DNS, 53, "UDP")}
    assert asking == pods(everything).keys() - {"postgres", "redis", "jaeger"}
    assert not net.connects(pods(everything)["api"], STRANGER, 53, "UDP")


@pytest.mark.parametrize("port", [80, 443])
def test_the_scraper_reaches_the_whole_public_internet(default: Objects, port: int) -> None:
    net, scraper = network(default, NAMESPACE), pods(default)["scraper-worker"]
    assert {address for address in PUBLIC if net.connects(scraper, address, port)} == set(PUBLIC)


def test_the_scraper_reaches_no_address_that_is_not_public(default: Objects) -> None:
    net, scraper = network(default, NAMESPACE), pods(default)["scraper-worker"]
    assert not [address for address in NOT_PUBLIC for port in PORTS if net.connects(scraper, address, port)]


def test_the_scraper_reaches_no_other_port_of_the_internet(default: Objects) -> None:
    net, scraper = network(default, NAMESPACE), pods(default)["scraper-worker"]
    assert not [port for port in (22, 25, 5432, 6443, 8080) if net.connects(scraper, PUBLIC[0], port)]


def test_clusters_with_public_addresses_are_kept_from_the_scraper(helm: Helm) -> None:
    objects = helm.render({"networkPolicy": {"clusterCidrs": ["223.255.0.0/16", "2606:4700::/32"]}})
    net, scraper = network(objects, NAMESPACE), pods(objects)["scraper-worker"]
    left = {address for address in PUBLIC if net.connects(scraper, address, 443)}
    assert left == set(PUBLIC) - {"223.255.255.1", "2606:4700:4700::1111"}


def test_exceptions_lie_inside_their_block_as_kubernetes_demands(everything: Objects) -> None:
    text_blocks = [
        peer["ipBlock"]
        for policy in everything.of("NetworkPolicy").values()
        for rule in policy["spec"].get("egress") or []
        for peer in rule.get("to", [])
        if "ipBlock" in peer
    ]
    assert text_blocks
    for block in text_blocks:
        whole = ip_network(block["cidr"])
        for hole in map(ip_network, block.get("except", [])):
            assert hole.version == whole.version, hole
            assert hole != whole, hole


def test_other_pods_reach_no_internet(everything: Objects) -> None:
    net, peers = network(everything, NAMESPACE), pods(everything)
    outside = {name for name, peer in peers.items() for port in PORTS if net.connects(peer, PUBLIC[0], port)}
    assert outside == {"scraper-worker", "reports"}, "those with egress.publicPorts"


def test_a_workloads_own_egress_rules_open_what_they_say(helm: Helm) -> None:
    rule = {"to": [{"ipBlock": {"cidr": "10.9.0.0/16"}}], "ports": [{"port": 9000}]}
    objects = helm.render({"workloads": {"worker": {"egress": {"rules": [rule]}}}})
    net, peers = network(objects, NAMESPACE), pods(objects)
    assert net.connects(peers["worker"], "10.9.1.1", 9000)
    assert not net.connects(peers["worker"], "10.9.1.1", 9001)
    assert not net.connects(peers["scraper-worker"], "10.9.1.1", 9000)


def test_only_pods_that_note_their_deletion_cost_reach_the_api_server(everything: Objects) -> None:
    net, peers = network(everything, NAMESPACE), pods(everything)
    assert {name for name, peer in peers.items() if net.connects(peer, API_SERVER, 6443)} == {"worker"}


def test_deletion_costs_need_to_know_where_the_api_server_is(helm: Helm) -> None:
    said = helm.refusal({"workloads": {"worker": {"podDeletionCost": {"enabled": True}}}})
    assert "networkPolicy.apiServer.to" in said
    assert "kubectl get endpointslices kubernetes" in said


def test_external_stores_are_reached_where_the_values_say_they_are(helm: Helm) -> None:
    objects = helm.render(EXTERNAL)
    net, peers = network(objects, NAMESPACE), pods(objects)
    for name in workloads(objects):
        assert net.connects(peers[name], "10.1.0.5", 5432), name
        assert net.connects(peers[name], "10.1.1.5", 6379), name
        assert net.connects(peers[name], "10.1.2.5", 4317), name
        assert not net.connects(peers[name], "10.1.3.5", 5432), name
        assert not [port for port in PORTS if port != 5432 and net.connects(peers[name], "10.1.0.5", port)], name


@pytest.mark.parametrize("missing", ["postgres", "redis", "traces"])
def test_external_services_whose_place_is_not_said_are_asked_for(helm: Helm, missing: str) -> None:
    said = helm.refusal(EXTERNAL, "--set-json", f"networkPolicy.{missing}.to=[]")
    assert f"networkPolicy.{missing}.to" in said


def test_there_is_no_policy_when_they_are_off(helm: Helm) -> None:
    minimal: Path = CHART / "ci" / "minimal-values.yaml"
    assert not helm.render(minimal).of("NetworkPolicy")
