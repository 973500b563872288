"""sign_in — the pages of a relying party: off to the provider, back from it, and out again."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from idp.demo.relying_app import SignInFailed
from idp.demo.service import Service, local_path, see_other
from idp.demo.wire import Refused


def blueprint(service: Service) -> Blueprint:
    """/, /sign-in, /callback, /sign-out, /signed-out, /backchannel-logout, /healthz."""
    views = Blueprint("sign_in", __name__)
    _ways_in(views, service)
    _ways_out(views, service)

    @views.get("/")
    def home() -> Response:
        return see_other("/dashboard")

    @views.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok", service=service.kind.slug)

    return views


def _ways_in(views: Blueprint, service: Service) -> None:
    rp, sessions = service.rp, service.sessions

    @views.get("/sign-in")
    def begin() -> Response:
        return see_other(rp.begin(sessions.current(), return_to=local_path(request.args.get("return_to", "/"))))

    @views.get("/callback")
    def finish() -> Response:
        session = sessions.current()
        try:
            sign_in = rp.finish(session, request.args.to_dict(flat=False))
        except SignInFailed as failed:
            return service.page("error.html", 400, headline="Sign-in did not work", message=str(failed))
        sessions.renew(session)
        return see_other(sign_in.return_to)


def _ways_out(views: Blueprint, service: Service) -> None:
    rp, sessions = service.rp, service.sessions

    @views.post("/sign-out")
    def sign_out() -> Response:
        service.check_csrf()
        session = sessions.current()
        target = rp.logout_url(session)
        session.tokens = None
        sessions.renew(session).signing_out = session.signing_out
        return see_other(target)

    @views.get("/signed-out")
    def signed_out() -> Response:
        session = sessions.current()
        came_back = session.signing_out is not None and request.args.get("state") == session.signing_out
        session.signing_out = None
        if session.tokens is not None:  # a link from elsewhere signs nobody out
            return see_other("/")
        return service.page("signed_out.html", everywhere=came_back)

    @views.post("/backchannel-logout")
    def backchannel_logout() -> Response:
        try:
            token = rp.read_logout_token(request.form.get("logout_token", ""))
        except Refused as refused:
            answer = jsonify(error="invalid_request", error_description=refused.message)
            answer.status_code = 400
            return answer
        sid, sub = token.claims.get("sid"), token.claims.get("sub")
        sessions.end_where(lambda tokens: tokens.sid == sid if sid else tokens.sub == sub)
        return Response(status=204)
