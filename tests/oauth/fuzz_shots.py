"""What the fuzz fires: requests that are good, bent in up to four places.

A good request is written with names between guillemets («code», «basic»); whoever fires it puts real values in. What bends it is text
that broke servers before (halves of surrogate pairs, NUL, line ends, addresses that parsers choke on, markup, depth, sheer size), put
raw into the encoding or as a value, once or twice, in the body or in the address, with another content type or other headers.

Endpoints and parameters come from idp/oauth/operations.py: each request has its wounds where it has parameters, also those that no good
request here sends, and for every operation there is one request that was made from the table alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

from idp.clients import metadata
from idp.oauth.operations import GRANT_PARAMETERS, OPERATIONS, PARAMETERS, Operation, named
from tests.oauth import signing
from tests.oauth.conftest import CHALLENGE, REDIRECT_URI, VERIFIER

MARKER = "fz<x'\">zf"  # must never be in a page as it is
FORM = "application/x-www-form-urlencoded"
GRANTS = "urn:ietf:params:oauth:grant-type:"

TEXTS = (
    *("", " ", "0", "-1", "1e999", "NaN", "true", "null", "none", "none login", "9" * 5000, "99999999999999999999"),
    *(MARKER, f"<script>{MARKER}</script>", f"javascript:{MARKER}", f"https://rp.example.org/cb?{MARKER}"),
    *("\x00", "a\x00b", "\r\nX-Injected: 1", "a\nX-Injected: 1", "\u2028", "\ufeff", "\x85", "\x1b[31m", "\u202e"),
    *("\ud800", "a\udfff", "\udfff\ud800", "😀" * 4000, "ß" * 10_000, "İſ", "٣٣٣٣٣٣", "１２３４５６", "e\u0301" * 500),
    *("A" * 60_000, " " * 50_000, "openid " * 5000, "[" * 20_000, '{"a":' * 8000, '{"userinfo":{"name":' * 2000),
    *("https://evil.example/cb", "//evil.example", "\\\\evil.example", "/\\evil.example", "https:evil.example"),
    *("https://rp.example.org.evil.example/cb", "https://rp.example.org@evil.example/cb", f"{REDIRECT_URI}/../x"),
    *("http://[::1", "http://[", "http://[v1.x]/", "https://rp.example.org:99999/cb", "https://rp.example.org:x/cb"),
    *("https://rp.example.org／cb", "https://℀.example/cb", "http://127.0.0.1:1/cb", "com.example.app:/cb"),
    *("eyJhbGciOiJub25lIn0.e30.", "a.b.c", "....", "eyJhbGciOiJSUzI1NiIsImtpZCI6bnVsbH0.W10.AA", "é.é.é", "." * 30_000),
    *('{"id_token":{"acr":{"values":[1,{}]}}}', '{"id_token":{"sub":{"value":1}}}', '{"userinfo":null}', "[]", '"x"'),
    *('{"id_token":{"acr":{"essential":true,"value":"\\ud800"}}}', '[{"type":1}]', '[{"type":"\\u0000"}]', "[null]"),
    *("urn:ietf:params:oauth:request_uri:x", "urn:ietf:params:oauth:request_uri:\ud800", "http://127.0.0.1:1/object"),
    *(
        "' OR 1=1 --",
        "../../../../etc/passwd",
        "{{7*7}}${7*7}",
        "%00",
        "%",
        "a%0d%0ab",
        "*",
        "plain",
        "S256",
        "1" * 100,
    ),
)
RAWS = (
    "%",
    "%zz",
    "%ED%A0%80",
    "%C0%AF",
    "%FF%FE",
    "%u0041",
    "+",
    "%0d%0aX-Injected:%201",
    "&&&",
    "=",
    "a;b",
    "%00",
    "%2",
)
NAMES = [  # of the protocol, and of our own pages
    *(parameter.name for parameter in PARAMETERS),
    *("iss", "user_code", "username", "password", "txn", "decision", "csrf", "flow", "identifier", "choice", "email"),
    *(
        "new_password",
        "sent",
        "sid",
        "id",
        "factor",
        "label",
        "way",
        "lost",
        "answer",
        "unknown",
        "saved",
        "late",
        "done",
    ),
]
BODIES = (
    *(b"", b"{", b"null", b"1", b"[]", b"[[]]", b"1e999", b"\xff\xfe", b"\x00", b"[" * 30_000, b'{"a":' * 10_000),
    *(
        b'{"redirect_uris":[],"redirect_uris":[]}',
        b'{"client_name":"\\ud800"}',
        b'{"client_name":NaN}',
        b"=&=&%=&\xff=\xfe",
    ),
    *(
        b'{"default_max_age":' + b"9" * 5000 + b"}",
        b'{"default_max_age":-0.0}',
        b'{"\\u0000":"\\u0000"}',
        b"&" * 60_000,
    ),
    b"a=1&" * 15_000,
)
TYPES = (
    *("application/json", "text/plain", "multipart/form-data; boundary=x", "multipart/form-data", "", FORM.upper()),
    *(
        f"{FORM}; charset=utf-7",
        "application/jwt",
        f"{FORM}; charset=\x85",
        "application/json; charset=utf-16",
        "x" * 2000,
    ),
)
HEADERS = (
    *(
        ("Authorization", text)
        for text in ("", "Basic", "Basic !", "Basic Og==", "Basic /w==", "Basic JTAwOiUwMA==", "Bearer")
    ),
    *(
        ("Authorization", text)
        for text in ("Bearer a.b.c", f"Bearer {MARKER}", "Bearer \xff", "DPoP x", "Basic JUVEJUEwOng=")
    ),
    *(
        ("Cookie", text)
        for text in ("idp_browser=x", "idp_sso=a.b", "idp_sso=\xff; idp_browser=\xff", "=;;=", "a" * 9000)
    ),
    *(("Cookie", f"{name}={MARKER}") for name in ("idp_browser", "idp_sso", "idp_recovery", "idp_device")),
    *(
        ("Client-Cert", text)
        for text in ("", "x", "::", ":AAAA:", ":\xff:", ":A:, :A:", "a" * 17_000, "%2D%ff", MARKER)
    ),
    *(("Origin", text) for text in ("null", "https://evil.example", MARKER)),
    *(("Accept", text) for text in ("*/*", "application/json", "text/html", ";;q=x,", "application/jwt", MARKER)),
    *(("Accept-Language", "xx-" * 500), ("User-Agent", MARKER), ("X-Request-Id", MARKER), ("If-None-Match", '"*,\xff')),
    *(("Content-Length", "-1"), ("Sec-Fetch-Site", "cross-site"), ("X-Forwarded-For", "\xff"), ("Range", "bytes=-9")),
)


class Raw(str):
    """A value that goes out as it is, and not percent-encoded."""


Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Shot:
    """One request; `fields` are the form of a POST or PUT and the query of anything else."""

    method: str
    path: str
    fields: Fields = ()
    in_query: Fields = ()  # of a POST, beside its form
    headers: Fields = ()
    content_type: str = FORM
    body: bytes | None = None
    document: Any = None  # a JSON body
    signed_in: bool = True

    @property
    def has_body(self) -> bool:
        """Whether the fields travel in the body."""
        return self.method in ("POST", "PUT")


def encoded(fields: Fields) -> str:
    """Percent-encode, halves of surrogate pairs too."""
    return "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in fields)


def _quoted(text: str) -> str:
    return str(text) if isinstance(text, Raw) else quote(text.encode("utf-8", "surrogatepass"), safe="")


def shot(method: str, path: str, *, auth: str = "", document: Any = None, query: Fields = (), **fields: str) -> Shot:
    """A good request."""
    headers = (("Authorization", auth),) if auth else ()
    kind = "application/json" if document is not None else FORM
    return Shot(
        method, path, tuple(fields.items()), in_query=query, headers=headers, document=document, content_type=kind
    )


def by_certificate(path: str, **fields: str) -> Shot:
    """A good request of a client that proves itself by TLS (RFC 8705)."""
    return replace(shot("POST", path, client_id="«gate»", **fields), headers=(("Client-Cert", "«certificate»"),))


_AUTHORIZE = {
    "response_type": "code",
    "client_id": "«rp»",
    "redirect_uri": REDIRECT_URI,
    "scope": "openid profile offline_access",
    "state": "s",
    "nonce": "n",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}
_PARTNER = _AUTHORIZE | {"client_id": "«partner»"}
_BARE = _AUTHORIZE | {"prompt": "none", "claims": '{"userinfo":{"name":null}}', "max_age": "60"}
_METADATA = {
    "client_name": "Ward Rounds",
    "redirect_uris": [REDIRECT_URI],
    "grant_types": ["authorization_code", "refresh_token"],
    "scope": "openid profile",
    "contacts": ["it@example.org"],
    "default_max_age": 60,
    "jwks": signing.jwks(signing.key()),
    "token_endpoint_auth_method": "client_secret_basic",
    "post_logout_redirect_uris": ["https://rp.example.org/bye"],
    "policy_uri": "https://rp.example.org/policy",
}
_FLOW = (("flow", "«flow»"),)
_SECOND = (("flow", "«second»"),)

AUTHORIZE = (
    shot("GET", "/authorize", **_AUTHORIZE),
    shot("GET", "/authorize", **_PARTNER),
    shot("GET", "/authorize", **_BARE),
    shot("GET", "/authorize", **_AUTHORIZE, response_mode="form_post"),
    shot("GET", "/authorize", client_id="«rp»", request_uri="«request_uri»"),
    shot("GET", "/authorize", **_AUTHORIZE, id_token_hint="«id_token»", login_hint="alice"),
    shot("POST", "/authorize", **_AUTHORIZE),
    shot("GET", "/authorize/resume", txn="«txn»"),
    shot("GET", "/consent", txn="«txn»"),
    shot("POST", "/consent", txn="«seen_txn»", csrf="«csrf»", decision="allow"),
    shot("POST", "/par", auth="«basic»", **_AUTHORIZE),
    shot("POST", "/par", auth="«basic»", **_BARE),
)
TOKEN = (
    shot(
        "POST",
        "/token",
        auth="«basic»",
        grant_type="authorization_code",
        code="«code»",
        redirect_uri=REDIRECT_URI,
        code_verifier=VERIFIER,
    ),
    shot("POST", "/token", auth="«basic»", grant_type="refresh_token", refresh_token="«refresh»", scope="openid"),
    shot("POST", "/token", auth="«machine_basic»", grant_type="client_credentials", scope="claims.read"),
    shot("POST", "/token", grant_type=f"{GRANTS}device_code", device_code="«device_code»", client_id="«tv»"),
    shot(
        "POST",
        "/token",
        auth="«machine_basic»",
        grant_type=f"{GRANTS}token-exchange",
        subject_token="«access»",
        subject_token_type="urn:ietf:params:oauth:token-type:access_token",
        audience="https://claims.example.org/api",
    ),
    by_certificate("/token", grant_type="client_credentials"),
    by_certificate("/token", grant_type=f"{GRANTS}jwt-bearer", assertion="«assertion»"),
    by_certificate("/introspect", token="«access»"),
    shot("POST", "/token", grant_type="password", username="alice", password="«password»", client_id="«tv»"),
    shot(
        "POST",
        "/token",
        grant_type="client_credentials",
        client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        client_assertion="«id_token»",
    ),
)
BEARERS = (
    shot("GET", "/userinfo", auth="Bearer «access»"),
    shot("POST", "/userinfo", auth="Bearer «access»"),
    shot("POST", "/userinfo", access_token="«access»"),
    shot("POST", "/introspect", auth="«basic»", token="«access»", token_type_hint="access_token"),
    shot("POST", "/introspect", auth="«basic»", token="«refresh»"),
    shot("POST", "/revoke", auth="«basic»", token="«refresh»", token_type_hint="refresh_token"),
    shot("GET", "/jwks"),
    shot("GET", "/.well-known/openid-configuration"),
    shot("GET", "/.well-known/oauth-authorization-server"),
)
REGISTER = (
    shot("POST", "/register", auth="Bearer «initial»", document=_METADATA),
    shot("GET", "/register/«registered»", auth="Bearer «registration»"),
    shot(
        "PUT",
        "/register/«registered»",
        auth="Bearer «registration»",
        document=_METADATA | {"client_id": "«registered»"},
    ),
    shot("DELETE", "/register/«registered»", auth="Bearer «registration»"),
)
DEVICE = (
    shot("POST", "/device_authorization", client_id="«tv»", scope="openid profile"),
    shot("GET", "/device", user_code="«user_code»"),
    shot("POST", "/device", csrf="«csrf»", user_code="«user_code»"),
    shot("GET", "/device/confirm", txn="«device_txn»"),
    shot("POST", "/device/confirm", csrf="«csrf»", txn="«device_txn»", decision="allow"),
)
LOGOUT = (
    shot(
        "GET",
        "/end_session",
        id_token_hint="«id_token»",
        post_logout_redirect_uri="https://rp.example.org/bye",
        state="s",
    ),
    shot("GET", "/end_session", client_id="«rp»", ui_locales="en", logout_hint="alice", state="s"),
    shot("POST", "/end_session", id_token_hint="«id_token»", client_id="«rp»"),
    shot("POST", "/end_session", csrf="«csrf»", decision="sign_out", client_id="«rp»", state="s"),
    shot("GET", "/signed-out"),
    shot("GET", "/"),
)


def _from_the_table(operation: Operation, grant: str = "") -> Shot:
    """What the table knows of a request, and nothing else."""
    fields = {name: _value(name) for name in operation.parameters if not grant or name in _OF_GRANT[grant]}
    if grant:
        fields["grant_type"] = grant
    auth = {"client": "«basic»", "bearer": "Bearer «access»", "initial": "Bearer «initial»"}.get(operation.proof, "")
    if operation.proof == "registration":
        auth = "Bearer «registration»"
    path = operation.path.replace("{client_id}", "«registered»")
    document = {"client_name": "From the table", "redirect_uris": [REDIRECT_URI]} if operation.place == "json" else None
    return shot(operation.method, path, auth=auth, document=document, **fields)


_OF_GRANT = {grant: ("grant_type", *names) for grant, names in GRANT_PARAMETERS.items()}
_KNOWN = {"client_id": "«rp»", "redirect_uri": REDIRECT_URI, "response_type": "code", "scope": "openid"}


def _value(name: str) -> str:
    parameter = named(name)
    by_format = {"uri": "https://claims.example.org/api", "integer": "60", "json": "{}", "jwt": "«id_token»"}
    return (*parameter.values, _KNOWN.get(name) or by_format.get(parameter.format) or "x")[0]


DESCRIBED = (
    *(_from_the_table(operation) for operation in OPERATIONS if operation.path != "/token"),
    *(_from_the_table(op, grant) for op in OPERATIONS if op.path == "/token" for grant in GRANT_PARAMETERS),
)


def parameters_of(aimed: Shot) -> tuple[str, ...]:
    """The names that belong to the request that is aimed at."""
    path = "/register/{client_id}" if aimed.path.startswith("/register/") else aimed.path
    fitting = (op for op in OPERATIONS if (op.method, op.path) == (aimed.method, path))
    operation = next(fitting, None)
    if operation is None:
        return ()
    return tuple(sorted(metadata.known_names())) if operation.place == "json" else operation.parameters


_PASSKEY = (
    '{"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {"clientDataJSON": "e30", '
    '"authenticatorData": "AAAA", "attestationObject": "oA", "signature": "AAAA", "userHandle": "AAAA", "transports": ["usb"]}}'
)
_STRANGER = (
    shot("GET", "/login", flow="«flow»"),
    shot("POST", "/login/password", query=_FLOW, csrf="«csrf»", identifier="alice", password="«password»"),
    shot("POST", "/login/totp", query=_SECOND, csrf="«csrf»", code="123456"),
    shot("POST", "/login/recovery_code", query=_SECOND, csrf="«csrf»", code="ABCDE-FGHIJ"),
    shot("POST", "/login/passkey/options", query=_FLOW, csrf="«csrf»"),
    shot("POST", "/login/passkey/sign-in", query=_FLOW, csrf="«csrf»", credential=_PASSKEY),
    shot("POST", "/login/passkey", query=_SECOND, csrf="«csrf»", credential=_PASSKEY),
    shot("POST", "/enrol/passkey", query=_SECOND, csrf="«csrf»", credential=_PASSKEY),
    shot("GET", "/.well-known/webauthn"),
    shot("GET", "/login/totp", flow="«second»"),
    shot("GET", "/login/blocked", flow="«second»"),
    shot("GET", "/recover/password"),
    shot("POST", "/recover/password", csrf="«csrf»", identifier="alice"),
    shot("POST", "/recover/username", csrf="«csrf»", email="alice@example.org"),
    shot("GET", "/recover/password/new", token="«recovery»"),
    replace(
        shot("POST", "/recover/password/new", csrf="«csrf»", new_password="short"),
        headers=(("Cookie", "idp_recovery=«recovery»"),),
    ),
    shot("GET", "/recover/password/done"),
    shot("GET", "/help"),
)

_OWN_APP = {"csrf": "«csrf»", "id": "«own_app»"}
ACCOUNT = (  # /account/security, of somebody who is signed in, and what goes on where a second step was lost
    shot("GET", "/account/security", done="codes"),
    shot("POST", "/account/security/add", csrf="«csrf»", factor="totp"),
    shot("POST", "/account/security/replace", **_OWN_APP),
    shot("POST", "/account/security/rename", **_OWN_APP, label="My phone"),
    shot("GET", "/account/security/remove", id="«own_app»"),
    shot("POST", "/account/security/remove", **_OWN_APP),
    shot("POST", "/account/security/codes", csrf="«csrf»"),
    shot("POST", "/account/security/password", csrf="«csrf»"),
    shot("POST", "/account/security/untrust", csrf="«csrf»", id="none"),
    shot("POST", "/account/security/untrust-all", csrf="«csrf»"),
    shot("POST", "/recover/begin", query=_FLOW, csrf="«csrf»", identifier="alice", lost="password"),
    shot("POST", "/recover/begin", query=_FLOW, csrf="«csrf»", identifier="", lost="username"),
    shot("GET", "/recover/continue"),
    shot("GET", "/recover/username", sent="1"),
    shot("GET", "/recover/factor", flow="«second»"),
    shot("POST", "/recover/factor", query=_SECOND, csrf="«csrf»", way="recovery_code", code="ABCDE-FGHIJ", lost="1"),
    shot("POST", "/recover/factor", query=_SECOND, csrf="«csrf»", way="temporary", code="ABCD-EFGH"),
    shot("GET", "/recover/stop", token="«recovery»"),
    replace(shot("POST", "/recover/stop", csrf="«csrf»"), headers=(("Cookie", "idp_recovery_stop=«recovery»"),)),
    shot("GET", "/recover/review", flow="«second»"),
    shot("POST", "/recover/review", query=_SECOND, csrf="«csrf»", answer="remove", unknown="totp:«own_app»"),
)

SIGN_IN = (
    *(replace(good, signed_in=False) for good in _STRANGER),
    shot("GET", "/login", flow="«flow»"),
    shot("POST", "/login/account", query=_FLOW, csrf="«csrf»", choice="continue"),
)

garbage = st.one_of(
    st.just(MARKER),
    st.sampled_from(TEXTS),
    st.sampled_from(TEXTS),
    st.sampled_from(RAWS).map(Raw),
    st.text(st.characters(), max_size=30),
    st.text(st.characters(categories=("Cs", "Cc", "Cf", "Zs", "Zl")), max_size=8),
)
json_garbage = st.one_of(
    st.just(MARKER),
    garbage.map(str),
    st.sampled_from(
        [None, True, 0, -1, 2**63, 10**400, 0.5, [], {}, [[]], [None], {"keys": [{}]}, {"keys": None}, ["\x00"]]
    ),
    st.lists(garbage.map(str), max_size=3),
    st.dictionaries(st.sampled_from(["keys", "kty", "", "a"]), garbage.map(str), max_size=3),
)


@st.composite
def shots(draw: st.DrawFn, good: tuple[Shot, ...]) -> Shot:
    """A good request with up to four wounds."""
    aimed = draw(st.sampled_from(good))
    if draw(st.integers(0, 9)) == 0:
        aimed = replace(aimed, signed_in=False)
    for _ in range(draw(st.integers(0, 4))):
        aimed = draw(st.sampled_from(WOUNDS))(draw, aimed)
    return aimed


def _spoil(draw: st.DrawFn, aimed: Shot) -> Shot:
    """Another value for a field."""
    if aimed.document is not None:
        return _spoil_document(draw, aimed)
    places = [at for at, (name, _) in enumerate(aimed.fields) if name != "csrf"]  # the other wounds see to that one
    if not places:
        return _add(draw, aimed)
    at = draw(st.sampled_from(places))
    spoilt = (aimed.fields[at][0], draw(garbage))
    return replace(aimed, fields=(*aimed.fields[:at], spoilt, *aimed.fields[at + 1 :]))


def _spoil_document(draw: st.DrawFn, aimed: Shot) -> Shot:
    if not isinstance(aimed.document, dict):
        return aimed
    names = parameters_of(aimed) or NAMES
    name = draw(st.one_of(st.sampled_from(sorted(aimed.document)), st.sampled_from(names), garbage.map(str)))
    value = draw(json_garbage)
    return replace(aimed, document=aimed.document | {name: value})


def _add(draw: st.DrawFn, aimed: Shot) -> Shot:
    """A field that may not belong there."""
    name = draw(st.one_of(st.sampled_from(parameters_of(aimed) or NAMES), st.sampled_from(NAMES), garbage))
    value = draw(garbage)
    if str(name) in _NAMED and _NAMED[str(name)].values and draw(st.booleans()):
        value = draw(st.sampled_from(_NAMED[str(name)].values))
    return replace(aimed, fields=(*aimed.fields, (name, value)))


_NAMED = {parameter.name: parameter for parameter in PARAMETERS}


def _drop(draw: st.DrawFn, aimed: Shot) -> Shot:
    """A field less."""
    at = draw(st.integers(0, max(0, len(aimed.fields) - 1)))
    return replace(aimed, fields=(*aimed.fields[:at], *aimed.fields[at + 1 :]))


def _double(draw: st.DrawFn, aimed: Shot) -> Shot:
    """A field twice, with the same or another value, at the same place or in the address."""
    if not aimed.fields:
        return aimed
    name, value = draw(st.sampled_from(aimed.fields))
    again = (name, draw(st.one_of(st.just(value), garbage)))
    if draw(st.booleans()):
        return replace(aimed, in_query=(*aimed.in_query, again))
    return replace(aimed, fields=(*aimed.fields, again))


def _retype(draw: st.DrawFn, aimed: Shot) -> Shot:
    """Another content type."""
    return replace(aimed, content_type=draw(st.sampled_from(TYPES)))


def _dress(draw: st.DrawFn, aimed: Shot) -> Shot:
    """Another header, instead of the one of that name."""
    name, value = draw(st.sampled_from(HEADERS))
    return replace(aimed, headers=(*(kept for kept in aimed.headers if kept[0] != name), (name, value)))


def _gut(draw: st.DrawFn, aimed: Shot) -> Shot:
    """Another body altogether."""
    if not aimed.has_body:
        return _add(draw, aimed)
    body = draw(st.one_of(st.sampled_from(BODIES), st.binary(max_size=100)))
    return replace(aimed, body=body)


def _misdirect(draw: st.DrawFn, aimed: Shot) -> Shot:
    """Another method, or something behind the path."""
    if draw(st.booleans()):
        return replace(
            aimed, method=draw(st.sampled_from(("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH")))
        )
    tail = draw(st.sampled_from(("/", "//", "/x", "%00", "%ED%A0%80", ";x", "/..", "%2e%2e", "%0d%0aX-Injected:1")))
    return replace(
        aimed, path="/" + (aimed.path + tail).lstrip("/")
    )  # what begins with two is a host to the test's client


WOUNDS = (_spoil, _spoil, _spoil, _spoil, _add, _add, _drop, _double, _retype, _dress, _dress, _gut, _misdirect)
