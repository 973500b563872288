"""Signing out: RP-Initiated Logout 1.0, and what the end of a session means for tokens (F-9, O-33 to O-41).

Nobody is signed out by a link alone: without an ID token of ours that is about the person who is signed in here, they are asked
(attack 72). And nobody is sent on to an address that the client did not register for this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from authlib.oauth2.rfc6749 import InvalidRequestError
from flask import Response, request

from idp import audit, clients, sessions, users, web
from idp.clients import Client
from idp.language import marked
from idp.oauth import backchannel, frontchannel_logout, hints, params, subjects, tokens
from idp.oauth.errors import Unproven
from idp.oauth.hints import Hint
from idp.oauth.params import Params
from idp.record import Record
from idp.sessions import SsoSession

PARAMETERS = ("id_token_hint", "logout_hint", "client_id", "post_logout_redirect_uri", "state", "ui_locales")

# Causes that spare nothing. After every other one, what the person wanted to outlive the session (`offline_access`) lives on (O-41):
# a sign-out here or elsewhere, somebody else signing in on this browser, and a session that idled or came to its absolute end.
FINAL = frozenset({"user_disabled", "password_reset", "password_changed", "password_replaced", "recovered"})


class LogoutRequest(Record):
    """A request to sign out, as far as it could be proved."""

    client: Client | None
    hinted_sub: str | None
    hinted_sid: str | None
    return_to: str | None
    state: str | None

    def is_about(self, session: SsoSession) -> bool:
        """Whether a genuine ID token names exactly this session, or this person where it names none (O-37)."""
        if self.client is None or not subjects.names(self.client, self.hinted_sub, session.sub):
            return False
        return self.hinted_sid in (None, session.sid)


def read(sent: Params) -> LogoutRequest:
    """Read and check a logout request. Raises Unproven, which is shown to the person, for anything that does not add up (O-36)."""
    hint = sent.get("id_token_hint")
    proved = _genuine(hint) if hint else None
    client = _client(sent.get("client_id"), proved)
    return_to = sent.get("post_logout_redirect_uri")
    if return_to is not None and (not hint or client is None):
        raise Unproven(
            marked("The application asked to return somewhere without proving who it is (id_token_hint is missing).")
        )
    if return_to is not None and client is not None and return_to not in client.post_logout_redirect_uris:
        raise Unproven(
            marked("The application asked to return to an address that is not registered (post_logout_redirect_uri).")
        )
    sub, sid = (proved.sub, proved.sid) if proved else (None, None)
    return LogoutRequest(client, sub, sid, return_to, sent.get("state"))


def respond() -> Response:
    """GET or POST /end_session from an application; the form of our own page comes to `decide`."""
    sent = _sent()
    asked = read(sent)
    if request.method == "POST":  # from another site it came without our cookies: let the browser come back with them
        return web.see_other(f"/end_session?{urlencode(_repeated(sent))}")
    session = sessions.current()
    if session is None:
        return _gone(asked)
    if asked.is_about(session):
        return _sign_out(asked, session)
    person = users.find_by_sub(session.sub)
    return web.page(
        "end_session.html",
        client_name=asked.client.client_name if asked.client else None,
        display_name=person.display_name if person else "",
        hidden=_repeated(sent),
        form_targets=(web.origin_of(asked.return_to),) if asked.return_to else (),
    )


def decide() -> Response:
    """Take the person's answer to «Sign out?»; the caller has checked that the form is ours."""
    asked = read(_sent())
    session = sessions.current()
    if request.form.get("decision") == "stay":
        return web.see_other("/")
    return _gone(asked) if session is None else _sign_out(asked, session)


def signed_out() -> Response:
    """GET /signed-out."""
    return web.page("signed_out.html", client_name=None, return_url=None, frames=[])


def _sent() -> Params:
    """Return the parameters of this request. Raises Unproven for what could be meant in two ways or is no text."""
    try:
        return params.of_browser()
    except InvalidRequestError as wrong:
        raise Unproven(wrong.get_error_description()) from None


def _sign_out(asked: LogoutRequest, session: SsoSession) -> Response:
    client_id = asked.client.client_id if asked.client else None
    audit.record(
        audit.Event.LOGOUT_REQUESTED, subject=session.sub, actor=session.sub, sid=session.sid, client_id=client_id
    )
    frames = frontchannel_logout.frames(session.sid)
    sessions.end(session.sid, cause="logout")
    web.renew_browser_id()
    return _gone(asked, frames)


def _gone(asked: LogoutRequest, frames: Sequence[str] = ()) -> Response:
    """Send the browser where the client registered, with `state` and nothing else (O-34), or say that it is done (O-35).

    Where applications want to hear of it in this browser, it is said in any case, and the browser goes on from there (O-42).
    """
    return_url = _return_url(asked)
    if frames:
        client_name = asked.client.client_name if asked.client else None
        return frontchannel_logout.page(list(frames), client_name=client_name, return_url=return_url)
    return web.see_other(return_url or "/signed-out")


def _return_url(asked: LogoutRequest) -> str | None:
    if asked.return_to is None or asked.state is None:
        return asked.return_to
    joint = "&" if "?" in asked.return_to else "?"
    return f"{asked.return_to}{joint}{urlencode({'state': asked.state})}"


def _genuine(raw_hint: str) -> Hint:
    """Return what an ID token of ours says, expired or not (O-37). Raises Unproven."""
    hint = hints.read(raw_hint)
    if hint is None:
        raise Unproven(marked("The application did not prove who it is (id_token_hint was not issued here)."))
    return hint


def _client(named: str | None, proved: Hint | None) -> Client | None:
    """Return the client that asks: named by the hint, by client_id, or by both in agreement. Raises Unproven."""
    hinted = proved.client_id if proved else None
    if named is not None and hinted is not None and named != hinted:
        raise Unproven(marked("client_id is not the application that id_token_hint was issued to."))
    client_id = hinted or named
    client = clients.find(str(client_id)) if client_id else None
    if client_id and client is None:
        raise Unproven(marked("The application that sent you here is not registered (unknown client_id)."))
    return client


def _repeated(sent: Params) -> dict[str, str]:
    return {name: value for name in PARAMETERS if (value := sent.get(name)) is not None}


# --- the end of a session -----------------------------------------------------------------------------------------


def on_session_ended(_sender: object, *, sub: str, sid: str, cause: str, **_: Any) -> None:
    """End what was issued on a session, as the cause has it, and tell the applications, whatever the cause (O-44)."""
    backchannel.stage(sub=sub, sid=sid, cause=cause)
    ended = tokens.revoke_of_session(sid, because=cause, offline_too=cause in FINAL)
    if ended:
        audit.record(audit.Event.TOKEN_REVOKED, subject=sub, sid=sid, reason=cause, families=ended)


def on_sessions_of_person_ended(_sender: object, *, sub: str, cause: str, except_sid: str | None, **_: Any) -> None:
    """End everything of a person, also where the session was long over: they lost the account, or the password was replaced."""
    if cause not in FINAL:
        return
    ended = tokens.revoke_of_person(sub, because=cause, except_sid=except_sid)
    if ended:
        audit.record(audit.Event.TOKEN_REVOKED, subject=sub, reason=cause, families=ended)
