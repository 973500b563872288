"""Every request that the protocol takes, as a table: endpoint, method, parameters. openapi.py writes it down as OpenAPI.

The table is proved: a test compares it with the routes and with what the code reads of each request, and the fuzz takes its endpoints and
parameters from here. Whoever adds a parameter adds a line, and it is fuzzed from then on.
"""

from __future__ import annotations

from idp.record import Record

_TOKEN_TYPES = ("urn:ietf:params:oauth:token-type:access_token", "urn:ietf:params:oauth:token-type:jwt")
_SHOWN_TYPES = (*_TOKEN_TYPES, "urn:ietf:params:oauth:token-type:id_token")
_ASSERTION = ("urn:ietf:params:oauth:client-assertion-type:jwt-bearer",)


class Parameter(Record):
    """One parameter by its name on the wire."""

    name: str
    meaning: str
    values: tuple[str, ...] = ()  # the only ones that are good; empty: any text
    repeatable: bool = False
    unused: bool = False  # accepted, and changes nothing
    format: str = ""  # of JSON Schema: uri, jwt, integer, json


class Operation(Record):
    """One method of one endpoint. `place`: query, form, json, or nothing."""

    endpoint: str  # Flask's name of the route
    method: str
    path: str
    summary: str
    place: str = ""
    parameters: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    proof: str = ""  # what the caller must show: client, bearer, initial, registration
    answers: tuple[tuple[int, str, str], ...] = ()  # status, media type, what it holds
    metadata: str = ""  # the member of discovery that names it


PARAMETERS = (
    # authorization
    Parameter("response_type", "What is asked for (RFC 6749 3.1.1, OAuth 2.0 Multiple Response Types)."),
    Parameter("client_id", "Who asks (RFC 6749 2.2)."),
    Parameter("redirect_uri", "Where the answer goes: one of the registered, character by character.", format="uri"),
    Parameter("scope", "Scopes, separated by single spaces (RFC 6749 3.3)."),
    Parameter("state", "Comes back as it was sent, up to 4096 characters."),
    Parameter("nonce", "Comes back in the ID token, up to 4096 characters (OIDC Core 3.1.2.1)."),
    Parameter("response_mode", "How the answer travels.", ("query", "fragment", "form_post")),
    Parameter("code_challenge", "BASE64URL(SHA256(code_verifier)) (RFC 7636 4.2)."),
    Parameter("code_challenge_method", "Must be sent with code_challenge.", ("S256",)),
    Parameter(
        "prompt",
        "none, login, consent, select_account, create where people may ask for an account (OIDC Core 3.1.2.1).",
    ),
    Parameter("max_age", "Seconds since the sign-in that are still good.", format="integer"),
    Parameter("display", "Accepted; there is one kind of page.", ("page", "popup", "touch", "wap"), unused=True),
    Parameter("ui_locales", "Languages of the pages, in order (BCP 47)."),
    Parameter("claims_locales", "Accepted; claims are in one language.", unused=True),
    Parameter("id_token_hint", "An ID token of ours: whom it is about (OIDC Core 3.1.2.1).", format="jwt"),
    Parameter("login_hint", "Fills in the field for the name."),
    Parameter("acr_values", "Levels of sign-in that are wanted, the best first."),
    Parameter("claims", "Claims by name (OIDC Core 5.5).", format="json"),
    Parameter("request", "The whole request, signed by the client (RFC 9101).", format="jwt"),
    Parameter(
        "request_uri", "What was pushed (RFC 9126), or where a request lies if that is switched on.", format="uri"
    ),
    Parameter("resource", "The protected resource that the tokens are for (RFC 8707).", repeatable=True, format="uri"),
    Parameter("authorization_details", "What is wanted in detail (RFC 9396).", format="json"),
    Parameter("registration", "Never supported: registration_not_supported (OIDC Core 7.2.1).", format="json"),
    # who the client is
    Parameter("client_secret", "The client's secret in the form (RFC 6749 2.3.1)."),
    Parameter("client_assertion", "A JWT that the client signed (RFC 7523 2.2).", format="jwt"),
    Parameter("client_assertion_type", "Goes with client_assertion.", _ASSERTION),
    # token
    Parameter("grant_type", "How the token is asked for."),
    Parameter("code", "An authorization code; good once, for 60 s."),
    Parameter("code_verifier", "43 to 128 characters (RFC 7636 4.1)."),
    Parameter("refresh_token", "A refresh token; good once, the answer holds the next."),
    Parameter("device_code", "From the device authorization (RFC 8628 3.4)."),
    Parameter("assertion", "A JWT of a trusted issuer about a person (RFC 7523 2.1).", format="jwt"),
    Parameter("subject_token", "The token that is exchanged (RFC 8693 2.1)."),
    Parameter("subject_token_type", "What it is.", _SHOWN_TYPES),
    Parameter("actor_token", "Who acts for the person."),
    Parameter("actor_token_type", "What it is.", _SHOWN_TYPES),
    Parameter("requested_token_type", "What is wanted.", _TOKEN_TYPES),
    Parameter("audience", "The protected resource that the new token is for.", repeatable=True),
    # tokens that are shown
    Parameter("token", "The token that the request is about."),
    Parameter(
        "token_type_hint", "Accepted; a token is found without it.", ("access_token", "refresh_token"), unused=True
    ),
    Parameter("access_token", "The access token, where no Authorization header is sent (RFC 6750 2.2)."),
    # signing out
    Parameter("post_logout_redirect_uri", "Where the browser goes afterwards: one of the registered.", format="uri"),
    Parameter("logout_hint", "Accepted; who is signed in is known.", unused=True),
)

_CLIENT = ("client_id", "client_secret", "client_assertion", "client_assertion_type")
_REQUEST = (
    *("response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "response_mode", "code_challenge"),
    *("code_challenge_method", "prompt", "max_age", "display", "ui_locales", "claims_locales", "id_token_hint"),
    *(
        "login_hint",
        "acr_values",
        "claims",
        "request",
        "request_uri",
        "resource",
        "authorization_details",
        "registration",
    ),
)
_LOGOUT = ("id_token_hint", "logout_hint", "client_id", "post_logout_redirect_uri", "state", "ui_locales")

GRANT_PARAMETERS: dict[str, tuple[str, ...]] = {  # beside grant_type and what proves the client; the first is required
    "authorization_code": ("code", "redirect_uri", "code_verifier", "resource", "authorization_details"),
    "refresh_token": ("refresh_token", "scope", "resource", "authorization_details"),
    "client_credentials": ("scope", "resource", "authorization_details"),
    "urn:ietf:params:oauth:grant-type:device_code": ("device_code", "resource", "authorization_details"),
    "urn:ietf:params:oauth:grant-type:token-exchange": (
        *("subject_token", "subject_token_type", "actor_token", "actor_token_type", "requested_token_type"),
        *("audience", "resource", "scope", "authorization_details"),
    ),
    "urn:ietf:params:oauth:grant-type:jwt-bearer": ("assertion", "scope", "resource", "authorization_details"),
}
_GRANTS = tuple(dict.fromkeys(name for names in GRANT_PARAMETERS.values() for name in names))

JSON, PAGE, JWT = "application/json", "text/html", "application/jwt"
_NO = (400, JSON, "Error")
_UNKNOWN = (401, JSON, "Error")
_BUSY = (429, JSON, "Error")
_PAGES = ((200, PAGE, ""), (303, "", ""), (400, PAGE, ""), (429, PAGE, ""))

OPERATIONS = (
    Operation("oauth.authorization", "GET", "/authorize", "Ask for a sign-in (RFC 6749 3.1, OIDC Core 3.1.2).", "query",
              _REQUEST, ("client_id",), answers=_PAGES, metadata="authorization_endpoint"),
    Operation("oauth.authorization_by_form", "POST", "/authorize", "The same as a form.", "form",
              _REQUEST, ("client_id",), answers=_PAGES, metadata="authorization_endpoint"),
    Operation("oauth.pushed_request", "POST", "/par", "Push a request and get its name (RFC 9126).", "form",
              tuple(dict.fromkeys((*_REQUEST, *_CLIENT))), proof="client",
              answers=((201, JSON, "Pushed"), _NO, _UNKNOWN, _BUSY), metadata="pushed_authorization_request_endpoint"),
    Operation("oauth.token", "POST", "/token", "Get tokens (RFC 6749 3.2).", "form",
              tuple(dict.fromkeys(("grant_type", *_GRANTS, *_CLIENT))), ("grant_type",), proof="client",
              answers=((200, JSON, "Tokens"), _NO, _UNKNOWN, _BUSY), metadata="token_endpoint"),
    Operation("oauth.device_authorization", "POST", "/device_authorization", "Begin the sign-in of a device (RFC 8628 3.1).",
              "form", ("scope", "resource", "authorization_details", *_CLIENT), proof="client",
              answers=((200, JSON, "Device"), _NO, _UNKNOWN, _BUSY), metadata="device_authorization_endpoint"),
    Operation("oauth.user_info", "GET", "/userinfo", "What the client may know about the person (OIDC Core 5.3).",
              proof="bearer", answers=((200, JSON, "Person"), (200, JWT, ""), _NO, _UNKNOWN, (403, JSON, "Error")),
              metadata="userinfo_endpoint"),
    Operation("oauth.user_info", "POST", "/userinfo", "The same; the token may stand in the form.", "form", ("access_token",),
              proof="bearer", answers=((200, JSON, "Person"), (200, JWT, ""), _NO, _UNKNOWN, (403, JSON, "Error")),
              metadata="userinfo_endpoint"),
    Operation("oauth.introspect", "POST", "/introspect", "Is this token good, and for what (RFC 7662, RFC 9701)?", "form",
              ("token", "token_type_hint", *_CLIENT), ("token",), proof="client",
              answers=((200, JSON, "Introspection"), (200, "application/token-introspection+jwt", ""), _NO, _UNKNOWN, _BUSY),
              metadata="introspection_endpoint"),
    Operation("oauth.revoke", "POST", "/revoke", "Make a token worthless (RFC 7009).", "form",
              ("token", "token_type_hint", *_CLIENT), ("token",), proof="client",
              answers=((200, "", ""), _NO, _UNKNOWN, _BUSY), metadata="revocation_endpoint"),
    Operation("oauth.register", "POST", "/register", "Register an application (RFC 7591 3).", "json", proof="initial",
              answers=((201, JSON, "Registration"), _NO, _UNKNOWN, _BUSY), metadata="registration_endpoint"),
    Operation("oauth.registered", "GET", "/register/{client_id}", "Read one's registration (RFC 7592 2.1).",
              proof="registration", answers=((200, JSON, "Registration"), _UNKNOWN, _BUSY)),
    Operation("oauth.registered", "PUT", "/register/{client_id}", "Replace it (RFC 7592 2.2).", "json",
              proof="registration", answers=((200, JSON, "Registration"), _NO, _UNKNOWN, _BUSY)),
    Operation("oauth.registered", "DELETE", "/register/{client_id}", "Delete it (RFC 7592 2.3).",
              proof="registration", answers=((204, "", ""), _UNKNOWN, _BUSY)),
    Operation("oauth.end_session", "GET", "/end_session", "Sign out (RP-Initiated Logout 1.0).", "query", _LOGOUT,
              answers=_PAGES, metadata="end_session_endpoint"),
    Operation("oauth.end_session", "POST", "/end_session", "The same as a form.", "form", _LOGOUT,
              answers=_PAGES, metadata="end_session_endpoint"),
    Operation("oauth.jwks", "GET", "/jwks", "The public keys (RFC 7517 5).", answers=((200, JSON, "KeySet"),),
              metadata="jwks_uri"),
    Operation("oauth.discovery", "GET", "/.well-known/openid-configuration", "What this server does (OIDC Discovery 4).",
              answers=((200, JSON, "Metadata"),)),
    Operation("oauth.discovery", "GET", "/.well-known/oauth-authorization-server", "The same (RFC 8414 3).",
              answers=((200, JSON, "Metadata"),)),
    Operation("oauth.described", "GET", "/openapi.json", "This description.", answers=((200, JSON, ""),)),
)  # fmt: skip


def named(name: str) -> Parameter:
    """Return the parameter of this name; KeyError if it is not described."""
    return _BY_NAME[name]


_BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}
