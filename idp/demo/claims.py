"""claims — the claims service: billing looks at claims, and releases a payment after a fresh sign-in (RFC 9470).

A token releases the one payment that its person agreed to (RFC 9396), once, and the service writes down who did it and how sure the
provider was of them. All people, payers and amounts are invented.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from flask import Blueprint, Flask, Response, abort, g, jsonify, request

from idp.demo import experiments, sign_in
from idp.demo.bearer import Refusal
from idp.demo.local_sessions import LocalSession
from idp.demo.service import Kind, Options, Service, find, options_from, see_other, serve
from idp.demo.wire import Jwt

RELEASE_MAX_AGE_S = 300
RELEASE_ACR = ("urn:idp:acr:2fa", "urn:idp:acr:phr")  # two factors, or one that cannot be phished

KIND = Kind(
    slug="claims",
    name="Claims service",
    tagline="Billing for the Alder Street Clinic",
    scopes={
        "claims.read": "See claims, their status and amounts",
        "claims.release": "Release payments of approved claims",
    },
    sign_in_scope="openid profile email claims.read",
    api_path="/api/claims",
    peer_name="patient service",
    peer_api_path="/api/patients",
    details={"payment_release": "Release one payment"},
)
PAYMENT = "payment_release"
log = logging.getLogger("idp.demo.claims")


@dataclass(frozen=True, kw_only=True)
class Claim:
    id: str
    patient: str  # initials; the name lives in the patient service
    patient_ref: str
    payer: str
    service: str
    served_days_ago: int
    submitted_days_ago: int
    cents: int
    status: str
    note: str


def _claim(line: str) -> Claim:
    number, patient, ref, payer, what, served, submitted, cents, status, note = (
        part.strip() for part in line.split("|")
    )
    return Claim(
        id=f"CLM-{number}",
        patient=patient,
        patient_ref=f"PT-{ref}",
        payer=payer,
        service=what,
        served_days_ago=int(served),
        submitted_days_ago=int(submitted),
        cents=int(cents),
        status=status,
        note=note,
    )


CLAIMS = tuple(
    _claim(line)
    for line in """
20431 | A. L. | 1043 | Larkfield Mutual     | Office visit, 30 minutes        |  3 |  2 |  18400 | submitted | Sent electronically, not yet acknowledged
20430 | T. O. | 1017 | Tern River Health    | Physical therapy, 4 sessions    |  6 |  4 |  46000 | in review | Payer asked for the therapy plan
20428 | M. K. | 1029 | Quillmark Care Plan  | Wound care, follow-up           |  8 |  7 |  12950 | approved  | Payment waits for release
20425 | R. D. | 1008 | Larkfield Mutual     | Colonoscopy with biopsy         | 12 | 10 | 214500 | in review | Pathology report attached
20424 | M. K. | 1029 | Quillmark Care Plan  | Wound care, second follow-up    | 13 | 11 |  11800 | approved  | Payment waits for release
20422 | S. B. | 1051 | Self-pay             | Flu vaccination                 | 14 | 14 |   4200 | paid      | Paid at the desk
20419 | J. W. | 1012 | Ostrander Benefit    | Knee X-ray, two views           | 17 | 15 |  23800 | denied    | Prior authorization missing; appeal until next month
20417 | H. N. | 1034 | Tern River Health    | Diabetes education, group       | 19 | 18 |   9600 | paid      | Remittance matched
20416 | P. V. | 1026 | Quillmark Care Plan  | Office visit, 20 minutes        | 20 | 19 |  14200 | approved  | Payment waits for release
20414 | A. L. | 1043 | Larkfield Mutual     | Blood panel                     | 23 | 22 |  15750 | approved  | Payment waits for release
20411 | P. V. | 1026 | Quillmark Care Plan  | Cardiac stress test             | 26 | 24 |  88900 | paid      | Remittance matched
20409 | J. W. | 1012 | Ostrander Benefit    | Physical therapy, evaluation    | 29 | 27 |  16900 | approved  | Payment waits for release
20406 | C. E. | 1039 | Ostrander Benefit    | Office visit, new patient       | 31 | 29 |  24600 | denied    | Coverage ended before the visit
20402 | R. D. | 1008 | Larkfield Mutual     | Consultation, gastroenterology  | 36 | 35 |  31200 | paid      | Remittance matched
20397 | M. K. | 1029 | Quillmark Care Plan  | Minor surgery, outpatient       | 41 | 40 | 137500 | paid      | Paid in part; 120.00 to the patient
""".strip().splitlines()
)


@dataclass(frozen=True, kw_only=True)
class Release:
    """One payment that left the house: who released it, when, and how sure the provider was of them."""

    released_by: str  # the subject; services know people by it
    released_at: int  # epoch seconds
    signed_in_at: int
    acr: str
    cents: int


class Ledger:
    """Which payments were released, by whom; forgotten at a restart."""

    def __init__(self) -> None:
        self._released: dict[str, Release] = {}
        self._lock = threading.Lock()

    def release(self, claim: Claim, entry: Release) -> bool:
        """Pay a claim. False when it is not approved, or was paid before: of many who try, one pays."""
        with self._lock:
            if claim.status != "approved" or claim.id in self._released:
                return False
            self._released[claim.id] = entry
        log.info("payment released: %s %s", claim.id, json.dumps(asdict(entry)))
        return True

    def shown(self, claim: Claim) -> dict[str, Any]:
        """A claim as the API tells it."""
        told = asdict(claim)
        told["served_on"] = _day(told.pop("served_days_ago"))
        told["submitted_on"] = _day(told.pop("submitted_days_ago"))
        told["amount"] = {"cents": told.pop("cents"), "currency": "USD"}
        if entry := self._released.get(claim.id):
            told |= {"status": "paid", "note": "Payment released", "release": asdict(entry)}
        return told


def create_app(options: Options) -> Flask:
    """The claims service as a WSGI application."""
    service = Service(KIND, options)
    service.app.register_blueprint(sign_in.blueprint(service))
    service.app.register_blueprint(_api(service, Ledger()))
    service.app.register_blueprint(_pages(service))
    service.app.register_blueprint(experiments.blueprint(service))
    return service.app


def _api(service: Service, ledger: Ledger) -> Blueprint:
    api = Blueprint("api", __name__, url_prefix="/api")
    requires = service.resource.requires

    @api.get("/claims")
    @requires("claims.read")
    def all_claims() -> Response:
        return jsonify(claims=[ledger.shown(claim) for claim in CLAIMS])

    @api.get("/claims/<claim_id>")
    @requires("claims.read")
    def one_claim(claim_id: str) -> Response:
        return jsonify(ledger.shown(find(CLAIMS, id=claim_id)))

    @api.post("/claims/<claim_id>/release")
    @requires("claims.release", max_age_s=RELEASE_MAX_AGE_S, acr_values=RELEASE_ACR)
    def release(claim_id: str) -> Response:
        claim, token = find(CLAIMS, id=claim_id), g.access_token
        if _payment(claim) not in _agreed(token):
            told = "Nobody has agreed to this payment with this access token."
            return Refusal(403, "insufficient_scope", "authorization_details", told).response(service.options.resource)
        entry = Release(
            released_by=str(token.claims["sub"]),
            released_at=int(time.time()),
            signed_in_at=int(token.claims["auth_time"]),
            acr=str(token.claims["acr"]),
            cents=claim.cents,
        )
        if not ledger.release(claim, entry):
            abort(409, "Only an approved claim can be released, and only once.")
        return jsonify(ledger.shown(claim))

    return api


def _pages(service: Service) -> Blueprint:
    pages = Blueprint("pages", __name__)

    @pages.get("/dashboard")
    def dashboard() -> Response:
        service.signed_in()
        rows = service.data("/api/claims")["claims"]
        return service.page("claims.html", claims=rows, sums=_sums(rows))

    @pages.get("/claims/<claim_id>")
    def claim(claim_id: str) -> Response:
        session = service.signed_in()
        just_released = session.keep_promise(request.args.get("done", "")) == f"released {claim_id}"
        shown = service.data(f"/api/claims/{_safe(claim_id)}")
        return service.page("claim.html", claim=shown, just_released=just_released)

    @pages.post("/claims/<claim_id>/release")
    def release(claim_id: str) -> Response:
        service.check_csrf()
        session = service.signed_in()
        answer = service.call(f"/api/claims/{_safe(claim_id)}/release", method="POST")
        if answer.status_code not in (401, 403):
            return _released(session, answer, claim_id)
        once = session.promise(f"release {claim_id}")  # the API names what is missing; the provider can supply it
        return see_other(
            service.rp.begin(
                session,
                return_to=f"/claims/{_safe(claim_id)}/release?once={once}",
                scope=f"{KIND.sign_in_scope} claims.release",
                max_age_s=RELEASE_MAX_AGE_S,
                acr_values=RELEASE_ACR,
                details=[_payment(find(CLAIMS, id=claim_id))],
            )
        )

    @pages.get("/claims/<claim_id>/release")
    def finish_release(claim_id: str) -> Response:
        """Back from the step up: do what the form asked for before it, once (RFC 9470 section 4)."""
        session = service.signed_in()
        if session.keep_promise(request.args.get("once", "")) != f"release {claim_id}":
            return see_other(f"/claims/{_safe(claim_id)}")  # a link from elsewhere releases nothing
        return _released(session, service.call(f"/api/claims/{_safe(claim_id)}/release", method="POST"), claim_id)

    return pages


def _payment(claim: Claim) -> dict[str, str]:
    """The one thing that a token must be for (RFC 9396 section 2): this claim and this amount, as the provider shows it."""
    return {"type": PAYMENT, "claim": claim.id, "amount": f"{claim.cents / 100:.2f} USD"}


def _agreed(token: Jwt) -> list[Any]:
    found = token.claims.get("authorization_details")
    return found if isinstance(found, list) else []


def _released(session: LocalSession, answer: httpx.Response, claim_id: str) -> Response:
    if answer.status_code != 200:
        abort(answer.status_code, answer.json().get("error_description"))
    return see_other(f"/claims/{_safe(claim_id)}?done={session.promise(f'released {claim_id}')}")


def _sums(rows: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    """Per status: its name, how many claims, how many cents."""
    sums = []
    for status in ("submitted", "in review", "approved", "paid", "denied"):
        amounts = [row["amount"]["cents"] for row in rows if row["status"] == status]
        sums.append((status, len(amounts), sum(amounts)))
    return sums


def _safe(claim_id: str) -> str:
    """An id that may stand in a path; the request below it is ours and must not be steered elsewhere."""
    if not re.fullmatch(r"CLM-[0-9]{1,10}", claim_id):
        abort(404, "There is no such claim.")
    return claim_id


def _day(days_ago: int) -> str:
    today = datetime.fromtimestamp(time.time(), UTC).date()
    return (today - timedelta(days=days_ago)).isoformat()


def main(argv: list[str] | None = None) -> None:
    """Serve the claims service until it is told to stop."""
    options, port = options_from(argv, description="The claims service of the demo.")
    serve(create_app(options), port=port)


if __name__ == "__main__":
    main()
