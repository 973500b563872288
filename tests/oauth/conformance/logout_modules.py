"""The modules of the logout plans: RP-Initiated, Back-Channel and Front-Channel Logout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from idp import clock
from tests.oauth.conformance import checks
from tests.oauth.conformance.browser import Arrival, Shown
from tests.oauth.conformance.suite import BYE, Outcome, Run
from tests.oauth.conftest import header_of

LONG_STATE = "0123456789abcdef" * 8
EVENT = "http://schemas.openid.net/event/backchannel-logout"
SIGNED_OUT, ASKED = "You are signed out", "Sign out?"

# --- discovery ------------------------------------------------------------------------------------------------------


def oidcc_rp_initiated_logout_discovery_endpoint_verification(run: Run) -> None:
    """end_session_endpoint, and everything https."""
    checks.endpoints_are_https(run.provider.metadata)
    assert run.provider.metadata["end_session_endpoint"].startswith("https://")


def oidcc_backchannel_logout_discovery_endpoint_verification(run: Run) -> None:
    """Both members true: certification wants `sid`."""
    oidcc_rp_initiated_logout_discovery_endpoint_verification(run)
    assert run.provider.metadata["backchannel_logout_supported"] is True
    assert run.provider.metadata["backchannel_logout_session_supported"] is True


def oidcc_frontchannel_logout_discovery_endpoint_verification(run: Run) -> None:
    """Both members true: certification wants `sid`."""
    oidcc_rp_initiated_logout_discovery_endpoint_verification(run)
    assert run.provider.metadata["frontchannel_logout_supported"] is True
    assert run.provider.metadata["frontchannel_logout_session_supported"] is True


# --- RP-Initiated Logout --------------------------------------------------------------------------------------------


def oidcc_rp_initiated_logout(run: Run) -> None:
    """Hint, address and state: signed out, sent there, state intact and nothing beside it."""
    outcome = run.flow()
    _returned(sign_out(run, outcome), state=LONG_STATE)
    is_signed_out(run)


def oidcc_rp_initiated_logout_no_state(run: Run) -> None:
    """Without state there is no query at all."""
    outcome = run.flow()
    _returned(sign_out(run, outcome, state=None), state=None)
    is_signed_out(run)


def oidcc_rp_initiated_logout_bad_post_logout_redirect_uri(run: Run) -> None:
    """An address that is not registered."""
    _stayed(run, sign_out(run, run.flow(), post_logout_redirect_uri=f"{BYE}/Zx9"))


def oidcc_rp_initiated_logout_query_added_to_post_logout_redirect_uri(run: Run) -> None:
    """The registered address with a query."""
    _stayed(run, sign_out(run, run.flow(), post_logout_redirect_uri=f"{BYE}?foo=bar"))


def oidcc_rp_initiated_logout_bad_id_token_hint(run: Run) -> None:
    """A hint that somebody else signed."""
    outcome = run.flow()
    stranger = RSAKey.generate_key(2048, {"kid": header_of(outcome.raw_id_token)["kid"]})
    _stayed(run, sign_out(run, outcome, id_token_hint=checks.signed_by(outcome.raw_id_token, stranger)))


def oidcc_rp_initiated_logout_modified_id_token_hint(run: Run) -> None:
    """A hint with alg none."""
    outcome = run.flow()
    _stayed(run, sign_out(run, outcome, id_token_hint=checks.unsigned(outcome.raw_id_token)))


def oidcc_rp_initiated_logout_no_id_token_hint(run: Run) -> None:
    """An address without a hint."""
    _stayed(run, sign_out(run, run.flow(), id_token_hint=None))


def oidcc_rp_initiated_logout_no_params(run: Run) -> None:
    """Nothing at all: the person is asked, and told that it is done."""
    outcome = run.flow()
    _told(run, sign_out(run, outcome, id_token_hint=None, post_logout_redirect_uri=None, state=None), asked=True)


def oidcc_rp_initiated_logout_only_state(run: Run) -> None:
    """Nothing but state."""
    outcome = run.flow()
    _told(run, sign_out(run, outcome, id_token_hint=None, post_logout_redirect_uri=None), asked=True)


def oidcc_rp_initiated_logout_no_post_logout_redirect_uri(run: Run) -> None:
    """A hint without an address: done without a question."""
    _told(run, sign_out(run, run.flow(), post_logout_redirect_uri=None), asked=False)


# --- Back-Channel and Front-Channel Logout --------------------------------------------------------------------------


def oidcc_backchannel_rp_initiated_logout(run: Run, receiver: Any, deliver: Any) -> None:
    """The provider posts a logout token, and the browser comes back."""
    outcome = run.flow()
    arrival = sign_out(run, outcome)
    deliver()
    assert receiver.content_types == ["application/x-www-form-urlencoded"]
    (form,) = receiver.forms
    assert list(form) == ["logout_token"], "and nothing else"
    _logout_token(run, form["logout_token"][0], outcome)
    _returned(arrival, state=LONG_STATE)
    is_signed_out(run)


def _logout_token(run: Run, raw_token: str, outcome: Outcome) -> None:
    header = header_of(raw_token)
    assert header["typ"] == "logout+jwt" and header["alg"] == run.client.alg
    claims = jwt.decode(raw_token, KeySet.import_key_set(run.provider.keys()), algorithms=[run.client.alg]).claims
    now = clock.epoch()
    assert claims["iss"] == run.issuer and claims["aud"] in (run.client.client_id, [run.client.client_id])
    assert now - 300 < claims["iat"] <= now + 1 and claims["exp"] > now and claims["jti"]
    assert claims["events"] == {EVENT: {}} and "nonce" not in claims
    assert (claims["sub"], claims["sid"]) == (outcome.claims["sub"], outcome.claims["sid"])


def oidcc_frontchannel_rp_initiated_logout(run: Run, registered: str) -> None:
    """The page opens the client's address with `iss` and `sid`, and leads on to where the person was to return."""
    outcome = run.flow()
    shown = sign_out(run, outcome)
    assert isinstance(shown, Shown) and shown.status == 200 and SIGNED_OUT in shown.html
    (frame,) = shown.frames
    parts = urlsplit(frame)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == registered
    assert dict(parse_qsl(parts.query)) == {"iss": run.issuer, "sid": outcome.claims["sid"]}
    assert shown.may_frame(frame), "the page's own policy lets the frame open"
    (onward,) = shown.onward
    _returned(run.agent.visit(onward), state=LONG_STATE)
    is_signed_out(run)


# --- Session Management ---------------------------------------------------------------------------------------------


def oidcc_session_management_discovery_endpoint_verification(run: Run) -> None:
    """The frame is named, on https, and there; other sites may frame it."""
    oidcc_rp_initiated_logout_discovery_endpoint_verification(run)
    frame = run.provider.metadata["check_session_iframe"]
    assert frame.startswith("https://")
    shown = run.agent.visit(frame)
    assert isinstance(shown, Shown) and shown.status == 200 and "https:" in shown.framed_by.split()


def oidcc_session_management_rp_initiated_logout(run: Run, verdict: Callable[[Run, str], str]) -> None:
    """The frame says «unchanged» before the person signs out, and «changed» after."""
    outcome = run.flow()
    told = outcome.fields["session_state"]
    assert told and " " not in told
    assert verdict(run, told) == "unchanged"
    _returned(sign_out(run, outcome), state=LONG_STATE)
    assert verdict(run, told) == "changed"


# --- inside ---------------------------------------------------------------------------------------------------------


def sign_out(run: Run, outcome: Outcome, **changes: str | None) -> Arrival | Shown:
    """Send the browser to the end session endpoint."""
    good = {"id_token_hint": outcome.raw_id_token, "post_logout_redirect_uri": BYE, "state": LONG_STATE}
    params = {name: value for name, value in {**good, **changes}.items() if value is not None}
    query = f"?{urlencode(params)}" if params else ""
    return run.agent.visit(run.provider.metadata["end_session_endpoint"] + query)


def is_signed_out(run: Run) -> None:
    """prompt=none gets an error now."""
    run.refused(*checks.UI_ERRORS, prompt="none", state=LONG_STATE)


def _returned(arrival: Arrival | Shown, *, state: str | None) -> None:
    assert isinstance(arrival, Arrival) and (arrival.method, arrival.uri) == ("GET", BYE)
    assert arrival.query == ({"state": state} if state else {}) and not arrival.fragment


def _stayed(run: Run, shown: Arrival | Shown) -> None:
    """An error here; the session lives on, for nobody agreed to its end."""
    checks.error_page(shown)
    run.flow(prompt="none")


def _told(run: Run, shown: Arrival | Shown, *, asked: bool) -> None:
    if asked:
        assert isinstance(shown, Shown) and shown.status == 200 and ASKED in shown.html
        run.flow(prompt="none")
        shown = run.agent.press(shown, "decision", "sign_out")
    assert isinstance(shown, Shown) and shown.status == 200 and SIGNED_OUT in shown.html
    is_signed_out(run)
