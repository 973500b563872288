"""patients — the patient service: who is cared for here, and when they came. All people are invented."""

from __future__ import annotations

import re
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Blueprint, Flask, Response, abort, jsonify

from idp.demo import experiments, partner, sign_in
from idp.demo.service import Kind, Options, Service, find, options_from, serve

KIND = Kind(
    slug="patients",
    name="Patient service",
    tagline="Care at the Alder Street Clinic",
    scopes={"patients.read": "See patients and their visits"},
    sign_in_scope="openid profile email patients.read",
    api_path="/api/patients",
    peer_name="claims service",
    peer_api_path="/api/claims",
)


@dataclass(frozen=True, kw_only=True)
class Patient:
    id: str
    name: str
    born: str
    pronouns: str
    allergies: str
    care_team: str


@dataclass(frozen=True, kw_only=True)
class Visit:
    patient_id: str
    days_ago: int  # negative: still to come
    time: str
    reason: str
    clinician: str
    room: str


def _patient(line: str) -> Patient:
    number, name, born, pronouns, allergies, team = (part.strip() for part in line.split("|"))
    return Patient(id=f"PT-{number}", name=name, born=born, pronouns=pronouns, allergies=allergies, care_team=team)


def _visit(line: str) -> Visit:
    number, days_ago, at, reason, clinician, room = (part.strip() for part in line.split("|"))
    return Visit(
        patient_id=f"PT-{number}", days_ago=int(days_ago), time=at, reason=reason, clinician=clinician, room=room
    )


PATIENTS = tuple(
    _patient(line)
    for line in """
1043 | Amara Lindqvist   | 1961-04-12 | she/her   | Penicillin          | Blue
1017 | Tomás Okafor      | 1988-09-30 | he/him    | none known          | Green
1029 | Miriam Kessler    | 1947-01-22 | she/her   | Latex, sulfa drugs  | Blue
1008 | Rupert Dalgaard   | 1970-06-05 | he/him    | none known          | Blue
1051 | Sana Bhatti       | 1999-11-17 | they/them | Egg protein         | Green
1012 | Joanna Wexley     | 1956-02-28 | she/her   | Iodine contrast     | Green
1034 | Hiro Nakatani     | 1979-08-14 | he/him    | none known          | Blue
1026 | Petra Vossberg    | 1964-12-03 | she/her   | Aspirin             | Green
""".strip().splitlines()
)

VISITS = tuple(
    _visit(line)
    for line in """
1043 | -2  | 09:30 | Blood pressure check             | Nurse Adeyemi | 2
1043 | 3   | 10:15 | Office visit, fatigue            | Dr. Varga     | 4
1043 | 23  | 08:00 | Blood panel                      | Laboratory    | L
1017 | -1  | 14:00 | Physical therapy                 | R. Holm       | Gym
1017 | 6   | 14:00 | Physical therapy                 | R. Holm       | Gym
1029 | 0   | 11:45 | Wound care                       | Nurse Adeyemi | 1
1029 | 8   | 11:30 | Wound care, follow-up            | Nurse Adeyemi | 1
1029 | 41  | 07:30 | Minor surgery, outpatient        | Dr. Varga     | OR 1
1008 | -9  | 16:20 | Results of the biopsy            | Dr. Varga     | 4
1008 | 12  | 07:45 | Colonoscopy with biopsy          | Dr. Sorrel    | OR 2
1051 | 14  | 12:10 | Flu vaccination                  | Nurse Adeyemi | 2
1012 | -4  | 15:00 | Knee pain, follow-up             | Dr. Varga     | 3
1012 | 17  | 15:30 | Knee X-ray, two views            | Imaging       | X
1034 | 19  | 17:00 | Diabetes education, group        | Nurse Adeyemi | Hall
1026 | -14 | 09:00 | Cardiology follow-up             | Dr. Sorrel    | 5
1026 | 26  | 09:40 | Cardiac stress test              | Dr. Sorrel    | 5
""".strip().splitlines()
)


def create_app(options: Options) -> Flask:
    """The patient service as a WSGI application."""
    service = Service(KIND, options)
    service.app.register_blueprint(sign_in.blueprint(service))
    service.app.register_blueprint(_api(service))
    service.app.register_blueprint(_pages(service))
    service.app.register_blueprint(experiments.blueprint(service))
    if options.partner_id:
        service.app.register_blueprint(partner.blueprint(service))
    return service.app


def _api(service: Service) -> Blueprint:
    api = Blueprint("api", __name__, url_prefix="/api")
    requires = service.resource.requires

    @api.get("/patients")
    @requires("patients.read")
    def all_patients() -> Response:
        return jsonify(patients=[_told(patient) for patient in PATIENTS])

    @api.get("/patients/<patient_id>/visits")
    @requires("patients.read")
    def visits(patient_id: str) -> Response:
        patient = find(PATIENTS, id=patient_id)
        return jsonify(patient=_told(patient), visits=_visits(patient))

    return api


def _pages(service: Service) -> Blueprint:
    pages = Blueprint("pages", __name__)

    @pages.get("/dashboard")
    def dashboard() -> Response:
        service.signed_in()
        rows = service.data("/api/patients")["patients"]
        coming = sorted((row for row in rows if row["next_visit"]), key=lambda row: str(row["next_visit"]["at"]))
        return service.page("patients.html", patients=rows, coming=coming[:3])

    @pages.get("/patients/<patient_id>")
    def patient(patient_id: str) -> Response:
        service.signed_in()
        if not re.fullmatch(r"PT-[0-9]{1,10}", patient_id):
            abort(404, "There is no such patient.")
        return service.page("patient.html", **service.data(f"/api/patients/{patient_id}/visits"))

    return pages


def _told(patient: Patient) -> dict[str, Any]:
    """A patient as the API tells it."""
    visits = _visits(patient)
    now = _at(0, "00:00")
    past = [visit for visit in visits if visit["at"] < now]
    coming = [visit for visit in visits if visit["at"] >= now]
    return asdict(patient) | {
        "last_visit": past[0] if past else None,
        "next_visit": coming[-1] if coming else None,
    }


def _visits(patient: Patient) -> list[dict[str, Any]]:
    """Newest first."""
    mine = [visit for visit in VISITS if visit.patient_id == patient.id]
    return [
        {"at": _at(v.days_ago, v.time), "reason": v.reason, "clinician": v.clinician, "room": v.room}
        for v in sorted(mine, key=lambda visit: visit.days_ago)
    ]


def _at(days_ago: int, clock: str) -> str:
    today = datetime.fromtimestamp(time.time(), UTC).date()
    return f"{(today - timedelta(days=days_ago)).isoformat()} {clock}"


def main(argv: list[str] | None = None) -> None:
    """Serve the patient service until it is told to stop."""
    options, port = options_from(argv, description="The patient service of the demo.")
    serve(create_app(options), port=port)


if __name__ == "__main__":
    main()
