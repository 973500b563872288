"""Routes of the protocol; each is one call into the file that knows its RFC.

CORS is open, without credentials, on what a browser application calls: token, UserInfo, revocation, pushed requests, registration, JWKS,
discovery (F-11, docs/decisions.md).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749 import InvalidRequestError
from flask import Blueprint, Response, request

from idp import joining, present, web
from idp.language import gettext, marked
from idp.oauth import (
    authorization_details,
    authorize,
    consent,
    device,
    introspection,
    logout,
    metadata,
    par,
    params,
    parked,
    registration,
    resources,
    revocation,
    session_management,
    userinfo,
)
from idp.oauth.errors import Unproven
from idp.oauth.operations import OPERATIONS, PAGE
from idp.oauth.params import Params
from idp.oauth.server import Server
from idp.web import Answer, Endpoint

protocol = Blueprint("oauth", __name__)

DOCUMENTS = ("oauth.discovery", "oauth.jwks", "oauth.described")
OPEN_TO_SCRIPTS = (
    *DOCUMENTS,
    "oauth.token",
    "oauth.user_info",
    "oauth.revoke",
    "oauth.pushed_request",
    "oauth.register",
    "oauth.registered",
)
FOR_PROGRAMS = (*OPEN_TO_SCRIPTS, "oauth.introspect", "oauth.device_authorization")
PATHS_FOR_PROGRAMS = frozenset(
    op.path for op in OPERATIONS if PAGE not in (media_type for _, media_type, _ in op.answers)
)


@protocol.get("/authorize")
def authorization() -> Response:
    """RFC 6749 section 3.1, OIDC Core 3.1.2."""
    return authorize.begin(_browser_params())


@protocol.post("/authorize")
def authorization_by_form() -> Response:
    """The same request as a form (O-9)."""
    return authorize.begin_from_elsewhere(_browser_params())


@protocol.get("/authorize/resume")
def resume() -> Response:
    """Where the sign-in and consent pages lead back to."""
    return authorize.resume(web.single("txn"))


@protocol.get("/consent")
def consent_page() -> Response:
    """Ask the person whether the client may have what it asks for."""
    txn = web.single("txn")
    asked = authorize.question(txn)
    if asked is None:
        return web.see_other(f"{authorize.RESUME}?txn={txn}")
    wanted, client, session = asked
    lasts = gettext("Until you withdraw it") if resources.OFFLINE in wanted.scopes else gettext("Until you sign out")
    return web.page(
        "consent.html",
        txn=txn,
        client_name=client.client_name,
        links=consent.links_of(client),
        redirect_host=_shown_host(wanted.reply.redirect_uri),
        scopes=[{"name": name, "sentence": resources.sentence(name)} for name in consent.scopes_of(wanted)],
        details=authorization_details.shown(wanted.authorization_details),
        lifetime=lasts,
        first_time=not consent.remembered(session.sub, client.client_id),
        form_targets=(web.origin_of(wanted.reply.redirect_uri),),
    )


@protocol.post("/consent")
@web.csrf_protected
def consent_decision() -> Response:
    """Take the answer: allow or deny, and nothing else from the form (attack 15)."""
    decision = web.single("decision")
    if decision not in ("allow", "deny"):
        raise Unproven(marked("Choose whether you allow this or not."))
    return authorize.decide(web.single("txn"), allowed=decision == "allow")


@protocol.post("/token")
def token() -> Answer:
    """RFC 6749 section 3.2."""
    server: Server = present.extension("idp.oauth")
    return server.answer_token_request()


@protocol.post("/register")
def register() -> Answer:
    """RFC 7591 section 3."""
    return registration.register()


@protocol.route("/register/<client_id>", methods=["GET", "PUT", "DELETE"])
def registered(client_id: str) -> Answer:
    """RFC 7592 section 2."""
    return registration.manage(client_id)


@protocol.post("/device_authorization")
def device_authorization() -> Answer:
    """RFC 8628 section 3.1."""
    return device.start()


@protocol.get("/device")
def device_entry() -> Response:
    """RFC 8628 section 3.3: type the letters that the device shows."""
    return device.entry()


@protocol.post("/device")
@web.csrf_protected
def device_code() -> Response:
    """Look them up."""
    return device.enter()


@protocol.get("/device/confirm")
def device_question() -> Response:
    """RFC 8628 section 5.4: show who asks for what, from where."""
    return device.question()


@protocol.post("/device/confirm")
@web.csrf_protected
def device_decision() -> Response:
    """Take the answer."""
    return device.decide()


@protocol.post("/par")
def pushed_request() -> Answer:
    """RFC 9126."""
    return par.respond()


@protocol.route("/userinfo", methods=["GET", "POST"])
def user_info() -> Answer:
    """OIDC Core 5.3."""
    return userinfo.respond()


@protocol.post("/introspect")
def introspect() -> Answer:
    """RFC 7662."""
    return introspection.respond()


@protocol.post("/revoke")
def revoke() -> Answer:
    """RFC 7009."""
    return revocation.respond()


@protocol.get("/.well-known/openid-configuration")
@protocol.get("/.well-known/oauth-authorization-server")
@web.document
def discovery() -> Answer:
    """OIDC Discovery 4, RFC 8414 section 3."""
    return metadata.discovery()


@protocol.get("/openapi.json")
@web.document
def described() -> Answer:
    """OpenAPI 3.1."""
    return metadata.described()


@protocol.get("/jwks")
@web.document
def jwks() -> Answer:
    """RFC 7517 section 5."""
    return metadata.jwks()


@protocol.route("/end_session", methods=["GET", "POST"])
def end_session() -> Response:
    """RP-Initiated Logout 1.0; our own confirmation page posts here too, with its CSRF token."""
    request.get_data()  # kept: who reads the form first leaves nothing for the look at its bytes in params.py
    if request.method == "POST" and "decision" in request.form:
        web.check_csrf()
        return logout.decide()
    return logout.respond()


@protocol.get("/signed-out")
def signed_out() -> Response:
    """Say that it is done."""
    return logout.signed_out()


@protocol.get(session_management.PATH)
def check_session() -> Response:
    """Session Management 1.0 section 3.2, where it is switched on."""
    return session_management.frame()


SHORT_WAY = {
    "/token": Endpoint({"POST": token}, open_to_scripts=True),
    "/introspect": Endpoint({"POST": introspect}),
    "/revoke": Endpoint({"POST": revoke}, open_to_scripts=True),
    "/userinfo": Endpoint({"GET": user_info, "POST": user_info}, open_to_scripts=True),
    "/jwks": Endpoint({"GET": jwks}, open_to_scripts=True, is_document=True),
    "/.well-known/openid-configuration": Endpoint({"GET": discovery}, open_to_scripts=True, is_document=True),
    "/.well-known/oauth-authorization-server": Endpoint({"GET": discovery}, open_to_scripts=True, is_document=True),
}  # answered in front of Flask (web/front.py), by the same functions


@protocol.errorhandler(parked.Gone)
@protocol.errorhandler(par.InvalidRequestUri)
def _gone(error: parked.Gone | par.InvalidRequestUri) -> Any:
    """Lead whoever comes too late, or once more, to the application that they wanted: no dead ends (peers 3.22)."""
    client = error.client
    if client is None or web.wants_json():
        return web.explain(error)
    values = {"client_name": client.client_name, "door": joining.landing.door(client), "message": error.public}
    return web.page("request_gone.html", error.status, **values)


@protocol.before_app_request
def _know_the_program() -> None:
    """A wrong method leads to no endpoint, and is told in the same language as everything else there (attack 85)."""
    if request.path in PATHS_FOR_PROGRAMS:
        web.answer_json()


@protocol.before_request
def _know_the_reader() -> None:
    if request.endpoint in FOR_PROGRAMS:
        web.answer_json()


@protocol.after_request
def _cors(response: Response) -> Response:
    if request.endpoint in OPEN_TO_SCRIPTS and "Origin" in request.headers:
        response.headers.update(web.cors(request.method))
    return response


def _shown_host(redirect_uri: str) -> str:
    """Return where an application takes people, as they read it: host and port; the scheme for a native application (W-11)."""
    parts = urlsplit(redirect_uri)
    if not parts.hostname:
        return parts.scheme
    return parts.netloc.rpartition("@")[2].lower()


def _browser_params() -> Params:
    """Read the parameters; what came twice could be meant in two ways, so nothing of it is trusted (attacks 5, 6)."""
    try:
        return params.of_browser()
    except InvalidRequestError as wrong:
        raise Unproven(wrong.get_error_description()) from None
