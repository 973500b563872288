"""The client as the rest of the program sees it: a frozen value, safe to keep in a process cache and share between threads."""

from __future__ import annotations

import base64
import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from idp import clock, crypto
from idp.clients import profiles, redirects
from idp.clients.profiles import SecurityProfile


@dataclass(frozen=True, slots=True)
class SecretDigest:
    """SHA-256 of a client secret. A fast hash is right here: the secret has 256 random bits, nobody can guess it."""

    digest: str
    expires_at: int | None = None  # epoch seconds; set on the old secret when a new one was made
    sealed: str | None = None  # client_secret_jwt only: HMAC needs the secret itself, which a digest cannot give

    @property
    def is_live(self) -> bool:
        """Whether it has not come to its end."""
        return self.expires_at is None or self.expires_at > clock.epoch()

    def admits(self, raw: str) -> bool:
        """Compare in constant time; an expired secret admits nobody."""
        fits = crypto.same(self.digest, crypto.digest(raw))
        return fits and self.is_live


@dataclass(frozen=True, slots=True)
class Client:
    """A registered application. Fields carry the names of RFC 7591; the secret itself is nowhere (attack 131)."""

    client_id: str
    client_name: str
    application_type: str
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...]
    backchannel_logout_uri: str
    backchannel_logout_session_required: bool
    token_endpoint_auth_method: str
    grant_types: tuple[str, ...]
    response_types: tuple[str, ...]
    scope: str
    resources: tuple[str, ...]  # protected resources that it may ask tokens for
    serves: tuple[str, ...]  # protected resources that it is: it may introspect tokens made for them
    id_token_signed_response_alg: str
    default_max_age: int | None
    require_pkce: bool
    client_uri: str
    policy_uri: str
    tos_uri: str
    contacts: tuple[str, ...]
    first_party: bool
    security_profile: str
    secrets: tuple[SecretDigest, ...] = dataclasses.field(default=(), repr=False)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    userinfo_signed_response_alg: str = ""  # empty: UserInfo is plain JSON
    introspection_signed_response_alg: str = ""  # RFC 9701; empty: as the ID token
    id_token_encrypted_response_alg: str = ""  # empty: signed only; enc empty: A128CBC-HS256
    id_token_encrypted_response_enc: str = ""
    userinfo_encrypted_response_alg: str = ""
    userinfo_encrypted_response_enc: str = ""
    subject_type: str = "public"
    sector_identifier_uri: str = ""
    require_auth_time: bool = False  # `auth_time` is in every ID token; kept because clients register it
    default_acr_values: tuple[str, ...] = ()
    authorization_details_types: tuple[str, ...] = ()  # RFC 9396: what it may ask for
    frontchannel_logout_uri: str = ""
    frontchannel_logout_session_required: bool = False
    jwks: dict[str, Any] | None = None  # the client's public keys by value …
    jwks_uri: str = ""  # … or where they are (RFC 7591 section 2: one of the two)
    token_endpoint_auth_signing_alg: str = ""  # empty: any of its profile
    request_object_signing_alg: str = ""  # empty: any of its profile
    require_signed_request_object: bool = False
    require_pushed_authorization_requests: bool = False
    request_uris: tuple[str, ...] = ()  # where its request objects may be fetched (OIDC Core 6.2)
    logo_uri: str = ""  # linked to on the consent page, never loaded by a page of ours (attack 65)
    initiate_login_uri: str = ""  # where the application begins a sign-in (OIDC Core 4)
    software_id: str = ""
    software_version: str = ""
    tls_client_auth_subject_dn: str = ""  # RFC 8705: the one name by which its certificate is known …
    tls_client_auth_san_dns: str = ""
    tls_client_auth_san_uri: str = ""
    tls_client_auth_san_ip: str = ""
    tls_client_auth_san_email: str = ""
    tls_client_certificate_bound_access_tokens: bool = False  # whether its tokens are good with it only
    token_exchange: tuple[dict[str, Any], ...] = ()  # RFC 8693: what it may exchange a person's token for

    @property
    def profile(self) -> SecurityProfile:
        """The row of the table of profiles that this client lives under."""
        return profiles.get(self.security_profile)

    @property
    def is_public(self) -> bool:
        """A client that cannot keep a secret (RFC 6749 section 2.1)."""
        return self.token_endpoint_auth_method == profiles.PUBLIC

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes it may ask for."""
        return frozenset(self.scope.split())

    def find_redirect_uri(self, presented: str) -> str | None:
        """Return the URI to answer to if it is a registered one (exactly; loopback port aside), else None."""
        native = self.application_type == "native"
        fits = any(redirects.matches(registered, presented, native=native) for registered in self.redirect_uris)
        return presented if fits else None

    def check_secret(self, raw: str) -> bool:
        """Say whether this is the client's secret, or its previous one while that still overlaps."""
        return any(secret.admits(raw) for secret in self.secrets)

    def secrets_in_clear(self) -> list[bytes]:
        """Open the sealed secrets of a client_secret_jwt client; nobody else has any. Raises SealBroken."""
        return [
            crypto.unseal(base64.b64decode(secret.sealed), aad=secret_aad(self.client_id))
            for secret in self.secrets
            if secret.sealed is not None and secret.is_live
        ]

    def check_grant_type(self, grant_type: str) -> bool:
        """Say whether the client registered for a grant type (a name that Authlib calls)."""
        return grant_type in self.grant_types

    def metadata(self) -> dict[str, Any]:
        """Return the metadata as RFC 7591 writes it, without anything about secrets and without what is not set."""
        shown: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name not in ("secrets", "created_at", "updated_at") and value not in ("", (), None):
                shown[field.name] = list(value) if isinstance(value, tuple) else value
        return shown


def secret_aad(client_id: str) -> str:
    """Bind a sealed secret to its client: copied to another row it does not open."""
    return f"clients.secret:{client_id}"


def from_row(row: Mapping[Any, Any]) -> Client:
    """Build the value from its table row."""
    stored: dict[str, Any] = row["metadata"]
    fields = {name: _shared(value) for name, value in stored.items()}
    secrets = tuple(SecretDigest(**secret) for secret in row["secrets"])
    return Client(
        client_id=row["client_id"],
        secrets=secrets,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        **fields,
    )


def _shared(value: Any) -> Any:
    """Lists become tuples, and texts that clients have in common are kept once: a cache holds thousands of clients."""
    if isinstance(value, str):
        return sys.intern(value)
    return tuple([_shared(one) for one in value]) if isinstance(value, list) else value
