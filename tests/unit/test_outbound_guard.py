"""A URL of a client leads to the public internet and to nothing else, however an address is written or found."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobcore.outbound.addresses import why_refused
from jobcore.outbound.allow_list import AllowList
from jobcore.outbound.errors import RefusedAddress
from jobcore.settings.allowed import endpoint
from longrun_scraper.fetch import fetch
from longrun_scraper.settings import ScraperSettings

BLOCKED_V4 = [
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
    *("192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4"),
    *("169.254.169.254/32", "100.100.100.200/32", "168.63.129.16/32", "255.255.255.255/32"),
]
BLOCKED_V6 = [
    *("::/128", "::1/128", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "2001:db8::/32"),
    *("64:ff9b:1::/48", "100::/64", "fd00:ec2::254/128", "2001::/32", "5f00::/16"),
]
SPECIAL = [*BLOCKED_V4, *BLOCKED_V6, "2000::/3", "64:ff9b::/96", "0.0.0.0/0", "::/0"]


def within(networks: list[str]) -> st.SearchStrategy[IPv4Address | IPv6Address]:
    return st.sampled_from(networks).flatmap(lambda network: st.ip_addresses(network=network))


def spellings(ip: IPv4Address) -> list[str]:
    """Every way to write an IPv4 address that inet_aton or an IPv6 stack understands."""
    number, (a, b, c, d) = int(ip), ip.packed
    carriers = ["::ffff:0:0", "64:ff9b::", "::"]
    return [
        str(ip),
        str(number),
        hex(number),
        f"0{number:o}",
        f"{a}.{number & 0xFFFFFF}",
        f"{a:#x}.{b:#x}.{(c << 8) + d:#x}",
        f"{a:#o}.{b}.{c:#x}.{d}".replace("0o", "0"),
        *(f"[{IPv6Address(int(IPv6Address(carrier)) + number)}]" for carrier in carriers),
        *(f"[{carrier.removesuffix('0:0')}{ip}]" for carrier in carriers),
        f"[{IPv6Address((0x2002 << 112) + (number << 80))}]",
    ]


@given(within(BLOCKED_V4))
def test_a_blocked_ipv4_address_is_refused_in_every_spelling(ip: IPv4Address) -> None:
    for host in spellings(ip):
        with pytest.raises(RefusedAddress):
            fetch(f"http://{host}/", ScraperSettings(), lambda: None)


@given(within(BLOCKED_V6))
def test_a_blocked_ipv6_address_is_refused_in_every_spelling(ip: IPv6Address) -> None:
    for host in (ip.compressed, ip.exploded, ip.compressed.upper()):
        with pytest.raises(RefusedAddress):
            fetch(f"http://[{host}]/", ScraperSettings(), lambda: None)


@given(within(SPECIAL))
def test_what_python_does_not_call_global_is_refused(ip: IPv4Address | IPv6Address) -> None:
    inner = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    assert (inner or ip).is_global or why_refused(str(ip)) is not None


@given(st.ip_addresses(v=6))
def test_of_ipv6_only_global_unicast_and_ipv4_in_disguise_can_pass(ip: IPv6Address) -> None:
    disguised = ip in IPv6Network("64:ff9b::/96") or ip in IPv6Network("::ffff:0:0/96")
    assert why_refused(str(ip)) or disguised or ip in IPv6Network("2000::/3")


@pytest.mark.parametrize("network", [n for n in BLOCKED_V4 if n not in ("240.0.0.0/4", "0.0.0.0/8")])
def test_the_neighbours_of_a_blocked_network_are_judged_on_their_own(network: str) -> None:
    net = ip_network(network)
    others = [ip_network(other) for other in BLOCKED_V4]
    for neighbour in (int(net[0]) - 1, int(net[-1]) + 1):
        if neighbour >= 2**32:
            continue
        ip = ip_address(neighbour)
        assert (why_refused(str(ip)) is None) == (not any(ip in other for other in others))


@pytest.mark.parametrize(
    "public", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "2a00:1450::1", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_public_addresses_pass(public: str) -> None:
    assert why_refused(public) is None


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "a loopback"),
        ("::1", "a loopback"),
        ("169.254.169.254", "a cloud metadata"),
        ("fe80::1%lo", "a link-local"),
        ("fd00:ec2::254", "a private"),
        ("::ffff:10.1.2.3", "a private"),
        ("::127.0.0.1", "a reserved"),
        ("ff02::1", "a multicast"),
    ],
)
def test_a_refusal_says_what_kind_of_address_it_was(address: str, kind: str) -> None:
    assert why_refused(address) == kind


def test_a_name_with_one_private_address_among_public_ones_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 80)) for ip in ("93.184.215.14", "10.0.0.7")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: answer)
    with pytest.raises(RefusedAddress, match=r"^mixed\.example has a private address.*ALLOW=mixed\.example:80$"):
        fetch("http://mixed.example/", ScraperSettings(), lambda: None)


def test_an_endpoint_has_one_spelling() -> None:
    assert endpoint("LocalHost.", 80) == "localhost:80"
    assert endpoint("::1", 8080) == "[::1]:8080"


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("64:ff9b::a01:203", True),
        ("10.2.0.0", False),
        ("fd00:1::5", True),
        ("fd00:2::5", False),
        ("::ffff:10.2.0.0", False),
    ],
)
def test_an_allowed_network_is_allowed_in_every_spelling_and_nothing_beside_it(address: str, allowed: bool) -> None:
    allow = AllowList(frozenset({"10.1.0.0/16", "fd00:1::/32"}), "LONGRUN_FETCH_ALLOW")
    assert allow.has_address(address, 80) is allow.has_address(address, 8443) is allowed


def test_an_allowed_network_does_not_allow_a_name_that_also_leads_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 80)) for ip in ("10.1.0.7", "10.2.0.7")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: answer)
    with pytest.raises(RefusedAddress):
        fetch("http://both.example/", ScraperSettings(fetch_allow=frozenset({"10.1.0.0/16"})), lambda: None)
