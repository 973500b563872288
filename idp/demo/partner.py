"""partner — a sample third party: an app of somebody else, which therefore has to ask the person for consent.

It lives under /partner of the patient service so that the demo needs no fourth server; its client, its sign-in and
its cookie are its own.
"""

from __future__ import annotations

from flask import Blueprint, Response, request

from idp.demo.local_sessions import LocalSessions
from idp.demo.relying_app import Registration, RelyingParty, SignedOut, SignInFailed
from idp.demo.service import Service, see_other

NAME = "Footpath Study"
SCOPE = "openid profile patients.read"


def blueprint(service: Service) -> Blueprint:
    """GET /partner, /partner/connect, /partner/callback."""
    views = Blueprint("partner", __name__, url_prefix="/partner")
    options = service.options
    rp = RelyingParty(
        service.provider,
        Registration(
            client_id=options.partner_id,
            client_secret=options.partner_secret,
            redirect_uri=f"{options.base_url}/partner/callback",
            post_logout_redirect_uri=f"{options.base_url}/partner",
            scope=SCOPE,
            resource=options.resource,
        ),
    )
    sessions = LocalSessions("partner_session", secure=service.sessions.secure)
    views.after_request(sessions.send_cookie)

    @views.get("")
    def start() -> Response:
        return service.page("partner.html", name=NAME, tokens=None, patients=None)

    @views.get("/connect")
    def connect() -> Response:
        return see_other(rp.begin(sessions.current(), return_to="/partner"))

    @views.get("/callback")
    def callback() -> Response:
        session = sessions.current()
        try:
            rp.finish(session, request.args.to_dict(flat=False))
        except SignInFailed as failed:
            return service.page("partner.html", 400, name=NAME, tokens=None, patients=None, problem=str(failed))
        if session.tokens is None:
            raise SignedOut
        answer = service.fetch(f"{options.base_url}/api/patients", session.tokens.access_token)
        patients = answer.json().get("patients", [])
        return service.page("partner.html", name=NAME, tokens=session.tokens, patients=patients)

    return views
