"""Settings of the protocol: lifetimes and algorithms, and those outside whom we serve, call or believe."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from idp.config.setting import setting


@dataclass(frozen=True)
class OAuth:
    """Lifetimes and algorithms of the protocol."""

    code_s: int = setting(60, "Life of an authorization code.", at_least=5)
    request_s: int = setting(
        7200,
        "How long the request of an application waits for its person: slow mails, a lost password, a new phone.",
        at_least=60,
    )
    access_token_s: int = setting(600, "Life of an access token, unless its resource says otherwise.", at_least=30)
    userinfo_token_format: Literal["jwt", "opaque"] = setting(
        "jwt", "Access tokens that open nothing but UserInfo: jwt, or opaque (dead at once when revoked)."
    )
    id_token_s: int = setting(300, "Life of an ID token.", at_least=30)
    refresh_idle_s: int = setting(43200, "A refresh token that is not used for this long expires.", at_least=60)
    refresh_absolute_s: int = setting(2592000, "A family of refresh tokens ends after this long.", at_least=60)
    signing_algs: tuple[str, ...] = setting(
        ("ES256", "RS256"),
        "Algorithms to keep a signing key for; the first is the default. ES256, RS256, PS256, ES384, EdDSA.",
    )
    allow_legacy: bool = setting(
        False,
        "Old applications may register security_profile legacy: tokens through the browser (hybrid, implicit), no PKCE.",
    )
    open_registration: bool = setting(
        False,
        "Anybody may register an application (RFC 7591) without a token of `idp client registration-token`. For tests only.",
    )
    software_statement_issuers: tuple[str, ...] = setting(
        (),
        'Whose software statements are believed (RFC 7591 2.3): "https://issuer.example.org /etc/idp/issuer.jwks.json".',
    )
    request_uri_by_reference: Literal["off", "signed", "any"] = setting(
        "off",
        "Fetch requests from the request_uris of applications: off, signed (RFC 9101), or any (certification only: unsigned too).",
    )
    session_management: bool = setting(
        False,
        "Let pages ask a hidden frame whether the person is still signed in. Fails where browsers block such cookies.",
    )
    key_rotation_days: int = setting(90, "A signing key is replaced after this many days.", at_least=1)
    key_overlap_days: int = setting(7, "A replaced key stays published this long.", at_least=1)


@dataclass(frozen=True)
class Mtls:
    """Applications that prove themselves by a certificate (RFC 8705). Your proxy asks for it and passes it on in a header."""

    header: str = setting(
        "",
        "The header in which your proxy passes the certificate on. It must remove it from what comes from outside. Empty: off.",
    )
    header_format: Literal["rfc9440", "url_encoded_pem"] = setting(
        "rfc9440", "rfc9440 (:base64:), or url_encoded_pem ($ssl_client_escaped_cert of nginx)."
    )
    trusted_ca: str = setting(
        "",
        "PEM file with the authorities for tls_client_auth. Empty: only certificates that clients registered themselves.",
    )
    url: str = setting(
        "", "Where your proxy asks for certificates, if it is another host: https://mtls.login.example.org."
    )


@dataclass(frozen=True)
class Outbound:
    """Where the provider goes at the word of an application: its keys, its requests, its sign-out address."""

    allowed_networks: tuple[str, ...] = setting(
        (),
        'Private networks where applications live, such as "10.20.0.0/16". Everything else there must have a public address.',
    )


@dataclass(frozen=True)
class Resource:
    """A protected resource: a service that accepts our access tokens (RFC 8707 `resource`, RFC 9068 `aud`)."""

    identifier: str = setting("", "Absolute URI; becomes the `aud` of access tokens for it.")
    name: str = setting("", "What people know it as.")
    scopes: Mapping[str, str] = dataclasses.field(
        default_factory=dict, metadata={"doc": "Scope = the sentence that the consent page shows."}
    )
    access_token_s: int | None = setting(None, "Life of its access tokens, if not the general one.", at_least=30)
    alg: str | None = setting(None, "Signature algorithm of its access tokens, if not the default.")
    token_format: Literal["jwt", "opaque"] = setting(
        "jwt", "jwt: it checks tokens itself. opaque: it asks introspection, and revoked tokens are dead at once."
    )
    authorization_details: Mapping[str, str] = dataclasses.field(
        default_factory=dict, metadata={"doc": "Type (RFC 9396) = the sentence that the consent page shows."}
    )


@dataclass(frozen=True)
class TrustedIssuer:
    """Somebody whose word about a person is good for an access token: the JWT bearer grant (RFC 7523 section 2.1)."""

    issuer: str = setting("", "The `iss` of its assertions.")
    jwks: str = setting("", "Its public keys: a JWK Set in a file, or the https URL where it publishes them.")
    clients: tuple[str, ...] = setting((), "Client ids of the applications that may bring its assertions.")
    subject: Literal["sub", "username", "email"] = setting(
        "sub", "What its `sub` is here: our own subject, a username, or a verified e-mail address."
    )
    scopes: tuple[str, ...] = setting((), "What may be had on its word; the resources are those that own these scopes.")
    algs: tuple[str, ...] = setting(
        ("ES256", "ES384", "RS256", "RS384", "PS256", "EdDSA"),
        "What it may sign with; the application's security profile may allow less.",
    )
