"""The providers under test, made once for all modules; and at the end a line for every plan of the conformance suite."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

import idp
from idp import clock, users
from idp.authn.factors import password
from idp.db import committing, db
from idp.keys.model import SIGNING_KEYS
from tests.conftest import Browser, make_settings
from tests.oauth.conftest import SEALING_KEY

for _name in ("browser", "checks", "suite", "core_modules", "logout_modules", "registration_modules"):
    pytest.register_assert_rewrite(f"tests.oauth.conformance.{_name}")

from tests.oauth.conformance.browser import UserAgent  # noqa: E402 — after the line above, so that asserts explain themselves
from tests.oauth.conformance.suite import CALLBACK, PASSWORD, USERNAME, Client, Provider, Run, Variant  # noqa: E402

ISSUER = "https://idp.example.org"
CODE, NOBODY = Variant(), Client("", None, CALLBACK, "")
PLANS = {
    "test_config_plan.py": "Config OP",
    "test_basic_plan.py": "Basic OP",
    "test_form_post_basic_plan.py": "Form Post Basic OP",
    "test_hybrid_plan.py": "Hybrid OP",
    "test_form_post_hybrid_plan.py": "Form Post Hybrid OP",
    "test_implicit_plan.py": "Implicit OP",
    "test_form_post_implicit_plan.py": "Form Post Implicit OP",
    "test_dynamic_plan.py": "Dynamic OP",
    "test_third_party_initiated_login_plan.py": "3rd Party-Init OP",
    "test_rp_initiated_logout_plan.py": "RP-Initiated Logout OP",
    "test_backchannel_logout_plan.py": "Back-Channel OP",
    "test_frontchannel_logout_plan.py": "Front-Channel OP",
    "test_session_management_plan.py": "Session OP",
}


@pytest.fixture(scope="session")
def make_provider(
    migrated_sqlite: Path, kv_url: str, signing_keys: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Provider]]:
    """Start a provider with these settings of [oauth]; the same settings are the same provider."""
    made: dict[str, Provider] = {}

    def make(**oauth: Any) -> Provider:
        name = f"conformance-{'-'.join(sorted(oauth)) or 'default'}"
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            shutil.copy(migrated_sqlite, folder / "idp.db")
            made[name] = Provider(_start(folder, kv_url, signing_keys, oauth), ISSUER)
        return made[name]

    yield make
    for provider in made.values():
        with provider.app.app_context():
            db.session.remove()
            db.engine.dispose()


def _start(folder: Path, kv_url: str, signing_keys: list[dict[str, Any]], oauth: dict[str, Any]) -> Flask:
    settings = make_settings(
        database_url=f"sqlite:///{folder / 'idp.db'}",
        redis_url=kv_url,
        prefix=f"{folder.parent.name}:{folder.name}:",
        folder=folder,
        server={"issuer": ISSUER},
        secrets={"sealing_keys": (SEALING_KEY,)},
        factors={"require_second": False},
        limits=dict.fromkeys(("address_per_minute", "network_per_minute", "global_per_minute"), 1_000_000),
        oauth=oauth,
    )
    app = idp.create_app(settings)
    app.testing = False
    app.test_client_class = Browser
    with app.app_context(), committing():
        db.session.execute(sa.insert(SIGNING_KEYS), signing_keys)
        _make_person()
    return app


def _make_person() -> None:
    """Somebody of whom everything is known that this provider can know."""
    person = users.create(
        username=USERNAME,
        display_name="Conny Formance",
        given_name="Conny",
        family_name="Formance",
        emails=("conny@example.org",),
        email_verified=True,
    )
    known = {
        "locale": "en-GB",
        "zoneinfo": "Europe/Berlin",
        "middle_name": "C.",
        "nickname": "Con",
        "gender": "female",
        "birthdate": "0000-04-23",
        **{page: f"https://conny.example.org/{page}" for page in ("profile", "picture", "website")},
    }
    users.update(person.sub, actor=None, **known)
    address = {"street_address": "1 Main Street", "locality": "Springfield", "postal_code": "12345", "country": "US"}
    users.set_contact(person.sub, phone="+1 555 0100", phone_verified=True, address=address, actor=None)
    password.set_password(person, PASSWORD, actor=person.sub)


@pytest.fixture
def provider(make_provider: Callable[..., Provider]) -> Provider:
    """The provider as it is installed."""
    return make_provider()


@pytest.fixture
def legacy_provider(make_provider: Callable[..., Provider]) -> Provider:
    """A provider that lets old applications in, and lets anybody register."""
    return make_provider(allow_legacy=True, open_registration=True)


@pytest.fixture
def dynamic_provider(make_provider: Callable[..., Provider]) -> Provider:
    """The same, which also fetches requests, unsigned ones too."""
    return make_provider(allow_legacy=True, open_registration=True, request_uri_by_reference="any")


@pytest.fixture
def begin() -> Iterator[Callable[..., Run]]:
    """Begin a run of a module: `begin(provider, variant)`. The clock is put back at its end."""
    with ExitStack() as journeys:

        def start(provider: Provider, variant: Variant = CODE, *, client: bool = True, **metadata: Any) -> Run:
            agent = UserAgent(provider.http(), provider.issuer, USERNAME, PASSWORD)
            known = provider.client(variant, **metadata) if client else NOBODY
            return Run(provider, variant, lambda s: journeys.enter_context(clock.travel(s)), agent, known)

        yield start


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many modules of each plan passed."""
    counted: dict[str, Counter[str]] = {}
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            plan = PLANS.get(report.nodeid.split("::")[0].rsplit("/", 1)[-1])
            if plan and "tests/oauth/conformance/" in report.nodeid:
                counted.setdefault(plan, Counter())[outcome] += 1
    if counted:
        terminalreporter.section("OpenID conformance: modules passed")
    for plan in [plan for plan in PLANS.values() if plan in counted]:
        terminalreporter.write_line(f"{plan:24} {counted[plan]['passed']:4} of {counted[plan].total()}")
