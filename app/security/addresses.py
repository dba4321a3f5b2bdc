"""Network addresses: who has sent a request, and who stands behind an address."""

from __future__ import annotations

import ipaddress

from starlette.types import Scope


def peer_address(scope: Scope) -> str:
    """The address a request came from, as `HostAndOriginCheck` has put it in place; "" where there is none."""
    return str((scope.get("client") or ("", 0))[0])


def account(address: str) -> str:
    """Who stands behind an address: in IPv6 everybody has a /64."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))


def forwarded_address(hop: str) -> str | None:
    """The address in one part of X-Forwarded-For: some proxies add the port, which every connection has another of.

    1.2.3.4:53211 → 1.2.3.4, [2001:db8::1]:53211 → 2001:db8::1; None for what is no address, as "unknown" is.
    """
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        return str(ipaddress.ip_address(hop))
    except ValueError:
        return None
