"""stage — sets the scene of the demo: configuration and secrets, database, keys, people, clients.

Everything can be done again: what is there stays as it is, what is missing is made.
"""

from __future__ import annotations

import base64
import json
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyotp
from flask import Flask

from idp import clients, config, create_app, embedded, keys, users
from idp.authn import password_policy
from idp.authn.factors import password, totp
from idp.db import committing, db, upgrade
from idp.demo import claims, facts, partner, patients
from idp.demo.facts import Facts, Person, Ports, Registered
from idp.joining import invitations

ACTOR = "demo"

PEOPLE = (
    Person(
        username="ilona.varga@example.org",
        display_name="Dr. Ilona Varga",
        who="Physician",
        email="ilona.varga@example.org",
        npi="2047183621",
        roles=("physician",),
    ),
    Person(
        username="rn-20417",
        display_name="Tunde Adeyemi",
        who="Nurse, with an assigned identifier",
        npi="2319058477",
        roles=("nurse",),
    ),
    Person(
        username="marisol.quint@example.org",
        display_name="Marisol Quint",
        who="Biller",
        email="marisol.quint@example.org",
        roles=("biller",),
    ),
    Person(
        username="edda.brandt@example.org",
        display_name="Edda Brandt",
        who="Security officer",
        email="edda.brandt@example.org",
        roles=("security_officer",),
    ),
    Person(
        username="jonas.feld@example.org",
        display_name="Jonas Feld",
        who="Administrator",
        email="jonas.feld@example.org",
        roles=("administrator",),
    ),
    Person(
        username="priya.raman@example.org",
        display_name="Priya Raman",
        who="Help desk: opens a recovery case at /admin/",
        email="priya.raman@example.org",
        roles=("help_desk",),
    ),
    Person(
        username="sol.mbeki@example.org",
        display_name="Sol Mbeki",
        who="Help desk: the second pair of eyes",
        email="sol.mbeki@example.org",
        roles=("help_desk",),
    ),
    Person(
        username="noor.ebele@example.org",
        display_name="Noor Ebele",
        who="Just invited: the link is in the mail on the page of codes and mails",
        email="noor.ebele@example.org",
        roles=("biller",),
    ),
)
ENROLS_LATER = "rn-20417"  # so that a newcomer sees an enrolment
INVITED = "noor.ebele@example.org"  # has no password yet, and comes in by the claims service's invitation


def prepare(var: Path, ports: Ports) -> tuple[Flask, Facts]:
    """Make or mend what the servers need to start; the bundled Valkey must answer already."""
    _write_configuration(var, ports)
    app = create_app(config.load(var / "config.toml", {}))
    with app.app_context():
        upgrade()
        known = facts.load(var / "demo.json")
        wanted = _facts(ports, known)
        if wanted != known:
            facts.save(var / "demo.json", wanted)
        with committing():
            keys.ensure()
            for name, metadata in _metadata(wanted).items():
                _ensure_client(wanted.clients[name], metadata)
    return app, wanted


def populate(app: Flask, wanted: Facts) -> None:
    """Make the people, one transaction each; hashing their passwords takes about as long as the servers take to start."""
    with app.app_context():
        for person in wanted.people:
            with committing():
                _ensure_person(person)
        db.session.remove()
        db.engine.dispose()


# --- configuration -------------------------------------------------------------------------------------------


def _write_configuration(var: Path, ports: Ports) -> None:
    """Write `config.toml`, unless there is one that fits; secrets that exist are kept, they open what is sealed."""
    path = var / "config.toml"
    known = _parsed(path)
    wanted = _places(var, ports)
    fits = all(known.get(section, {}).get(key) == value for section, key, value in wanted)
    if fits and [one.get("authorization_details", {}) for one in known.get("resources", [])] == [
        dict(kind.details) for kind in (claims.KIND, patients.KIND)
    ]:
        return
    kept = known.get("secrets") or {"sealing_keys": [_fresh_key("demo-seal")], "peppers": [_fresh_key("demo-pepper")]}
    facts.write_private(path, _toml(var, ports, kept))


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}


def _places(var: Path, ports: Ports) -> list[tuple[str, str, str | int]]:
    """What depends on where this demo lives."""
    return [
        ("server", "issuer", f"http://localhost:{ports.idp}"),
        ("server", "port", ports.idp),
        ("database", "url", f"sqlite:///{var / 'idp.db'}"),
        ("redis", "url", embedded.url_for(var / "valkey")),
        ("audit", "checkpoint_file", str(var / "checkpoints.jsonl")),
    ]


def _toml(var: Path, ports: Ports, kept: dict[str, list[str]]) -> str:
    sections: dict[str, dict[str, Any]] = {
        "server": {"bind": "127.0.0.1", "workers": 2},
        "secrets": kept,
        "log": {"format": "text", "level": "info"},
        "recovery": {"cool_off_s": 30},  # long enough to be seen, short enough to wait for
        "support": {
            "name": "Alder Street service desk",
            "email": "desk@example.org",
            "phone": "+1 555 0142",
            "hours": "Monday to Friday, 7 to 19",
        },
    }
    for section, key, value in _places(var, ports):
        sections.setdefault(section, {})[key] = value
    lines = [
        "# Written by `idp demo`. Holds secrets. Demo only: never serve people with this file.",
        'mode = "demo"',
        "",
    ]
    for section, values in sections.items():
        lines += [f"[{section}]", *(f"{key} = {_literal(value)}" for key, value in values.items()), ""]
    for kind, port in ((claims.KIND, ports.claims), (patients.KIND, ports.patients)):
        lines += [
            "[[resources]]",
            f"identifier = {_literal(_resource(port))}",
            f"name = {_literal(kind.name)}",
            f"scopes = {_table(kind.scopes)}",
            f"authorization_details = {_table(kind.details)}",
            "",
        ]
    return "\n".join(lines)


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)  # TOML takes JSON's texts, numbers and lists


def _table(texts: Mapping[str, str]) -> str:
    return f"{{ {', '.join(f'{_literal(name)} = {_literal(text)}' for name, text in texts.items())} }}"


def _fresh_key(key_id: str) -> str:
    return f"{key_id}:{base64.b64encode(secrets.token_bytes(32)).decode()}"


def _resource(port: int) -> str:
    return f"http://localhost:{port}/api"


# --- facts ---------------------------------------------------------------------------------------------------


def _facts(ports: Ports, known: Facts | None) -> Facts:
    """What this demo consists of; passwords, TOTP secrets and client secrets are made once and kept."""
    issuer = f"http://localhost:{ports.idp}"
    claims_url, patients_url = f"http://localhost:{ports.claims}", f"http://localhost:{ports.patients}"
    homes = {"claims": claims_url, "patients": patients_url, "partner": f"{patients_url}/partner"}
    return Facts(
        issuer=issuer,
        claims_url=claims_url,
        claims_resource=_resource(ports.claims),
        patients_url=patients_url,
        patients_resource=_resource(ports.patients),
        partner_url=homes["partner"],
        codes_url=f"{issuer}/demo",
        people=tuple(_with_credentials(person, known) for person in PEOPLE),
        clients={name: _registered(name, home, known) for name, home in homes.items()},
    )


def _with_credentials(person: Person, known: Facts | None) -> Person:
    before = known.person(person.username) if known else None
    if before is not None:
        return replace(person, password=before.password, totp_secret=before.totp_secret)
    if person.username == INVITED:
        return person
    totp_secret = "" if person.username == ENROLS_LATER else pyotp.random_base32()
    return replace(person, password=password_policy.generate(), totp_secret=totp_secret)


def _registered(name: str, home: str, known: Facts | None) -> Registered:
    before = known.clients.get(name) if known else None
    return Registered(
        client_id=f"demo-{name}",
        client_secret=before.client_secret if before else secrets.token_urlsafe(32),
        redirect_uri=f"{home}/callback",
        post_logout_redirect_uri=home if name == "partner" else f"{home}/signed-out",
    )


# --- people and clients --------------------------------------------------------------------------------------


def _ensure_person(person: Person) -> None:
    if users.find_by_login(person.username) is not None:
        return
    user = users.create(
        username=person.username,
        display_name=person.display_name,
        given_name=person.display_name.removeprefix("Dr. ").split()[0],
        family_name=person.display_name.split()[-1],
        emails=(person.email,) if person.email else (),
        roles=person.roles,
        npi=person.npi or None,
        email_verified=person.username != INVITED,
        actor=ACTOR,
    )
    if person.username == INVITED:
        invitations.invite(user, actor=ACTOR, return_to_client="demo-claims")
        return
    password.set_password(user, person.password, actor=ACTOR, must_change=False)
    if person.totp_secret:
        totp.bind(user, person.totp_secret, actor=ACTOR)


def _metadata(wanted: Facts) -> dict[str, dict[str, Any]]:
    """The registrations: two services of the house, and a third party that has to ask for consent."""
    ours = {"grant_types": ["authorization_code", "refresh_token"], "first_party": True}
    return {
        "claims": ours
        | {
            "client_name": claims.KIND.name,
            "client_uri": wanted.claims_url,
            "scope": f"{claims.KIND.sign_in_scope} claims.release",
            "resources": [wanted.claims_resource],
            "serves": [wanted.claims_resource],
            "authorization_details_types": list(claims.KIND.details),
            "backchannel_logout_uri": f"{wanted.claims_url}/backchannel-logout",
        },
        "patients": ours
        | {
            "client_name": patients.KIND.name,
            "client_uri": wanted.patients_url,
            "scope": patients.KIND.sign_in_scope,
            "resources": [wanted.patients_resource],
            "serves": [wanted.patients_resource],
            "backchannel_logout_uri": f"{wanted.patients_url}/backchannel-logout",
        },
        "partner": {
            "client_name": partner.NAME,
            "scope": partner.SCOPE,
            "resources": [wanted.patients_resource],
        },
    }


def _ensure_client(registered: Registered, metadata: dict[str, Any]) -> None:
    """Register the client, or give it the addresses of this start."""
    wanted = metadata | {
        "redirect_uris": [registered.redirect_uri],
        "post_logout_redirect_uris": [registered.post_logout_redirect_uri],
    }
    known = clients.find(registered.client_id)
    if known is None:
        clients.create(wanted, client_id=registered.client_id, secret=registered.client_secret, actor=ACTOR)
    elif registered.redirect_uri not in known.redirect_uris or list(known.authorization_details_types) != metadata.get(
        "authorization_details_types", []
    ):
        clients.update(registered.client_id, wanted, actor=ACTOR)
