"""Protected resources and scopes: who owns a scope, and for whom an access token is made (RFC 8707, RFC 9068).

Every scope has one owner: a protected resource of the settings, or this server's own UserInfo endpoint for the identity
scopes. An access token has one audience and carries only the scopes which that audience owns, so that a token taken from one
service is worth nothing at another (F-8). Where several resources were granted, `resource` at the token endpoint picks one;
without it the first that was granted is meant, and with none granted UserInfo is.
"""

from __future__ import annotations

from collections.abc import Iterable

from authlib.oauth2.rfc6749 import InvalidScopeError

from idp.clients import Client
from idp.config import settings
from idp.language import gettext, marked
from idp.oauth.errors import InvalidTarget, quotable
from idp.record import Record

OPENID = "openid"
OFFLINE = "offline_access"

IDENTITY_SCOPES = {
    # scope: what the consent page says
    OPENID: marked("Know that it is you"),
    "profile": marked("See your name"),
    "email": marked("See your e-mail address"),
    "address": marked("See your postal address"),
    "phone": marked("See your telephone number"),
    "provider": marked("See your NPI and your roles"),
    OFFLINE: marked("Keep access while you are not signed in"),
}


class Asked(Record):
    """Scopes and resources that a request may have."""

    scopes: tuple[str, ...]
    resources: tuple[str, ...]


class Audience(Record):
    """What one access token is for: its `aud`, its scopes, its lifetime and its signature."""

    identifier: str
    scopes: tuple[str, ...]
    lifetime_s: int
    alg: str
    opaque: bool = False

    @property
    def is_userinfo(self) -> bool:
        """Whether the token opens our UserInfo endpoint."""
        return self.identifier == userinfo()


def userinfo() -> str:
    """Return the identifier of our own protected resource, which is its address."""
    return f"{settings().server.issuer}/userinfo"


def scopes_supported() -> list[str]:
    """Return every scope that somebody could ask for."""
    return [*IDENTITY_SCOPES, *(scope for resource in settings().resources for scope in resource.scopes)]


def sentence(scope: str) -> str:
    """Return what the consent page says about a scope: the words of the settings as they stand, ours in the reader's language."""
    owned = {name: text for resource in settings().resources for name, text in resource.scopes.items()}
    if scope in owned:
        return owned[scope]
    return gettext(IDENTITY_SCOPES[scope]) if scope in IDENTITY_SCOPES else scope


def owner(scope: str) -> str | None:
    """Return the identifier of the resource that owns a scope; UserInfo for identity scopes, None for an unknown one."""
    if scope in IDENTITY_SCOPES:
        return userinfo()
    return settings().scope_owners.get(scope)


def allowed(client: Client, scopes: Iterable[str], resources: tuple[str, ...]) -> Asked:
    """Decide what a person's authorization of this client may hold. Raises InvalidScopeError or InvalidTarget.

    A scope that nobody owns is ignored (OIDC Core 3.1.2.1), as is offline_access for a client without refresh tokens; the
    token response says what is left. A scope that exists and that the client did not register is an error.
    """
    known = tuple(scope for scope in scopes if owner(scope))
    kept = tuple(scope for scope in known if scope != OFFLINE or OFFLINE in client.scopes)
    _must_be_registered(client, kept)
    if not kept:
        raise InvalidScopeError(
            "None of the scopes is known here; scopes_supported in the discovery document lists them."
        )
    return Asked(kept, _targets(client, kept, resources))


def allowed_to_machine(client: Client, scopes: tuple[str, ...], resources: tuple[str, ...]) -> Audience:
    """Decide what the client may have in its own name (client_credentials). Raises InvalidScopeError or InvalidTarget.

    Nobody reads a page here, so that an unknown scope is an error; identity scopes are, because there is no person. Without
    `scope` the client gets what it registered for the resource.
    """
    for scope in scopes:
        if scope in IDENTITY_SCOPES or not owner(scope):
            raise InvalidScopeError(f"The scope {quotable(scope)} cannot be had without a person.")
    _must_be_registered(client, scopes)
    wanted = _targets(client, scopes, resources) or client.resources
    if len(wanted) != 1:
        raise InvalidTarget("Name one protected resource with the parameter resource.")
    having = scopes or tuple(scope for scope in client.scope.split() if owner(scope) == wanted[0])
    return _audience(wanted[0], having)


def still_allowed(client: Client, granted: Asked) -> Asked:
    """Return what is left of an authorization after its client's registration or the settings were narrowed."""
    known, registered = settings().resource_of, client.scopes
    scopes = tuple(scope for scope in granted.scopes if scope in registered and owner(scope))
    resources = tuple(r for r in granted.resources if (r in client.resources and r in known) or r == userinfo())
    return Asked(scopes, resources)


def pick(granted: Asked, wanted: tuple[str, ...]) -> Audience:
    """Choose the audience of one access token out of what was granted. Raises InvalidTarget."""
    if len(wanted) > 1:
        raise InvalidTarget("An access token is for one resource; ask once for each.")
    having = (*granted.resources, *((userinfo(),) if OPENID in granted.scopes else ()))
    if wanted and wanted[0] not in having:
        raise InvalidTarget("The resource is not among those that were authorized.")
    target = wanted[0] if wanted else next(iter(having), userinfo())
    return _audience(target, granted.scopes)


def _must_be_registered(client: Client, scopes: tuple[str, ...]) -> None:
    registered = client.scopes if scopes else ()
    foreign = [scope for scope in scopes if scope not in registered]
    if foreign:
        raise InvalidScopeError(f"The client is not registered for the scope {quotable(' '.join(foreign))}.")


def _targets(client: Client, scopes: tuple[str, ...], resources: tuple[str, ...]) -> tuple[str, ...]:
    """Return the resources of a request: those it names, or the one that owns its scopes (RFC 9068 section 3)."""
    owners = tuple(dict.fromkeys(o for o in map(owner, scopes) if o and o != userinfo()))
    for resource in resources or owners:
        if resource not in client.resources and resource != userinfo():
            raise InvalidTarget(f"The client is not registered for the resource {quotable(resource, 200)}.")
        if resource != userinfo() and resource not in settings().resource_of:
            raise InvalidTarget(f"The resource {quotable(resource, 200)} is not known here.")
    if not resources and len(owners) > 1:
        raise InvalidScopeError("The scopes belong to several resources; name those with the parameter resource.")
    if resources and not set(owners) <= set(resources):
        raise InvalidScopeError("A scope belongs to a resource that the request does not name.")
    return resources or owners


def _audience(identifier: str, scopes: tuple[str, ...]) -> Audience:
    oauth = settings().oauth
    owned = tuple(scope for scope in scopes if owner(scope) == identifier and scope != OFFLINE)
    found = settings().resource_of.get(identifier)
    lifetime_s = found.access_token_s if found and found.access_token_s else oauth.access_token_s
    alg = (found.alg if found else None) or oauth.signing_algs[0]
    wanted = found.token_format if found else oauth.userinfo_token_format
    return Audience(identifier, owned, lifetime_s, alg, opaque=wanted == "opaque")
