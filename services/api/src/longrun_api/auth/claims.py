"""From the claims of a JWT to a caller: for which owner it acts, and what it may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobcore.models import owned_keys
from jobcore.models.caller import Caller, Scope
from longrun_api.oidc_settings import OidcSettings


class UnusableClaims(Exception):
    """The claims say for whom the caller acts in no way that this API understands; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """What the claims of an issuer mean here."""

    owner_claim: str
    scopes_claim: str
    scopes: Mapping[str, frozenset[Scope]]
    """What each value of the scopes' claim allows."""
    default_scopes: frozenset[Scope]
    operators: frozenset[str]
    """Values of the scopes' claim whose callers have no owner."""

    @classmethod
    def of(cls, settings: OidcSettings) -> ClaimRules:
        """The rules that these settings have."""
        return cls(
            settings.oidc_owner_claim,
            settings.oidc_scopes_claim,
            settings.scope_map,
            settings.oidc_default_scopes,
            frozenset(settings.oidc_operators),
        )

    def caller(self, claims: Mapping[str, Any]) -> Caller:
        """Who the claims are about; raises UnusableClaims.

        A JWT without an owner is refused. Only a value that the operator chose makes a caller the operator's.
        """
        values = _values(_claim(claims, self.scopes_claim))
        scopes = self.default_scopes.union(*(self.scopes.get(value, ()) for value in values))
        return Caller(None if self.operators & values else self._owner(claims), scopes, claims["sub"])

    def _owner(self, claims: Mapping[str, Any]) -> str:
        owner = _claim(claims, self.owner_claim)
        if not isinstance(owner, str) or not owned_keys.is_owner(owner):
            raise UnusableClaims(
                f"its claim {self.owner_claim} must be the owner: 1 to {owned_keys.OWNER_MAX} characters, and no "
                "control characters"
            )
        return owner


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """The claim of this name; if there is none, `a.b` is the member `b` of `a`. Names of claims may have dots."""
    if name in claims:
        return claims[name]
    first, dot, rest = name.partition(".")
    inner = claims.get(first)
    return _claim(inner, rest) if dot and isinstance(inner, Mapping) else None


def _values(claim: Any) -> frozenset[str]:
    if isinstance(claim, str):
        return frozenset(claim.split())
    return frozenset(value for value in claim if isinstance(value, str)) if isinstance(claim, list) else frozenset()
