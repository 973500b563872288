"""oauth — OAuth 2 and OpenID Connect: everything that stands between «who is signed in» and a token that a service trusts.

Sends people away to sign in (authn) and learns who they are (sessions); no room below knows that it exists. The map:

| document | file |
|---|---|
| RFC 6749 3.1, 4.1.1-4.1.2 authorization endpoint; OIDC Core 3.1.2 | authorization_request.py (checks), authorize.py (dispatcher), parked.py |
| RFC 6749 3.2, 4.1.3, 4.4, 5, 6 token endpoint | server.py, grants/, issuing.py |
| RFC 6749 2.3 client authentication | client_auth.py |
| RFC 7521, RFC 7523 3 what every assertion owes | assertions.py |
| RFC 7523 2.1 JWT bearer grant | grants/jwt_bearer.py, trusted_issuers.py |
| RFC 7523 2.2 client assertions | client_assertion.py, idp/clients/key_sets.py, idp/outbound.py |
| RFC 6749 4.1.2 authorization codes | codes.py |
| RFC 6750 bearer tokens; OIDC Core 5.3 UserInfo | userinfo.py |
| RFC 7009 revocation | revocation.py |
| RFC 7591 2 client metadata | idp/clients/metadata.py, own_metadata.py (what applications may say of themselves) |
| RFC 7591 3, RFC 7592 registration and management | registration.py, idp/clients/registration_tokens.py |
| RFC 7591 2.3 software statements | software_statements.py |
| RFC 7636 PKCE | pkce.py |
| RFC 7662, RFC 9701 introspection, signed answers | introspection.py |
| RFC 8252 native apps | idp/clients/redirects.py |
| RFC 8414 metadata; OIDC Discovery | metadata.py |
| OpenAPI 3.1, at /openapi.json | operations.py (every request and its parameters), openapi.py |
| RFC 8628 device authorization | device.py (pages), device_codes.py, grants/device_code.py |
| RFC 9101, OIDC Core 6 request objects, by value and by reference | request_object.py, request_uri.py |
| RFC 9126 pushed authorization requests | par.py |
| OIDC Core 3.2, 3.3 implicit and hybrid, for the profile legacy | response_types.py, front_channel.py |
| RFC 8693 token exchange | grants/token_exchange.py, idp/clients/exchange_metadata.py (policy) |
| RFC 8705 client certificates, bound tokens | client_certificate.py, idp/certificates.py, idp/clients/tls_metadata.py |
| RFC 8707 resource indicators | resources.py |
| RFC 9068 JWT access tokens; opaque ones | issuing.py, access_tokens.py, opaque.py |
| RFC 9207 iss in the response; Form Post Response Mode | answers.py |
| RFC 9396 authorization_details | authorization_details.py |
| RFC 9700 4.14 refresh tokens and families | tokens.py, reuse.py (one that came back), session_bond.py (whose session is over) |
| OIDC Core 2, 5.1, 5.4, 5.5 claims, ID token | claims.py, claims_parameter.py, issuing.py, hints.py |
| OIDC Core 10.2 encrypted ID tokens and UserInfo | sealed_answers.py, idp/jwe.py |
| OIDC Core 8 pairwise subjects | subjects.py |
| OIDC Core 3.1.2.4, 11 consent, offline access | consent.py, reach.py (what applications hold of a person) |
| OIDC RP-Initiated Logout; end of sessions | logout.py |
| OIDC Back-Channel Logout | backchannel.py (outbox, logout token), backchannel_wire.py |
| OIDC Front-Channel Logout | frontchannel_logout.py |
| OIDC Session Management | session_management.py |

once.py burns what is good for one use. params.py reads requests, errors.py lists what is refused beside Authlib's own errors, views.py has the routes.
"""

from __future__ import annotations

from flask import Flask

from idp import sessions, web
from idp.oauth import (
    backchannel,
    client_certificate,
    consent,
    logout,
    reach,
    resources,
    server,
    session_management,
    tokens,
    views,
)

__all__ = ["backchannel", "consent", "install", "reach", "resources", "tokens"]


def install(app: Flask) -> None:
    """Hang the protocol on the application, and listen for sessions that end."""
    app.extensions["idp.oauth"] = server.Server()
    app.register_blueprint(views.protocol)
    app.extensions[web.ALIASED] = frozenset(client_certificate.ALIASED.values())
    web.shorten(app, views.SHORT_WAY)
    sessions.ended.connect(logout.on_session_ended)
    sessions.ended.connect(session_management.on_session_ended)
    sessions.all_ended.connect(logout.on_sessions_of_person_ended)
