"""Two nodes on one database and one Valkey: what one changes the other knows within a second, and work is done once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from idp import audit, clients, jobs, keys
from idp.clients import registry
from idp.config import settings
from idp.db import committing, db
from tests.conftest import CLAIMS_API, in_threads

WITHIN_S = registry._CHECK_EVERY_S


@pytest.fixture
def second(app: Flask, make_app: Callable[..., Flask]) -> Flask:
    """Another node of the installation that `app` is one of."""
    here = settings()
    return make_app(
        here.database.url, secrets={"sealing_keys": here.secrets.sealing_keys}, redis={"prefix": here.redis.prefix}
    )


@pytest.fixture
def machine(app: Flask) -> tuple[str, str]:
    """An application that asks for tokens of its own: id and secret."""
    with committing():
        keys.ensure()
        client, secret = clients.create(
            {
                "client_name": "Nightly",
                "grant_types": ["client_credentials"],
                "scope": "claims.read",
                "resources": [CLAIMS_API],
            }
        )
    assert secret is not None
    return client.client_id, secret


def asked(node: Flask, machine: tuple[str, str]) -> int:
    """Ask a node for a token; its status."""
    form = {"grant_type": "client_credentials", "resource": CLAIMS_API}
    return int(node.test_client().post("/token", data=form, auth=machine).status_code)


def test_a_client_that_is_removed_on_one_node_is_unknown_to_the_other_within_a_second(
    app: Flask, second: Flask, machine: tuple[str, str]
) -> None:
    assert [asked(node, machine) for node in (app, second)] == [200, 200]
    with committing():
        clients.delete(machine[0])
    time.sleep(WITHIN_S)
    assert [asked(node, machine) for node in (app, second)] == [401, 401]


def test_a_secret_that_is_replaced_on_one_node_is_good_on_the_other_within_a_second(
    app: Flask, second: Flask, machine: tuple[str, str]
) -> None:
    assert asked(second, machine) == 200
    with committing():
        fresh = clients.rotate_secret(machine[0], overlap_s=0)
    time.sleep(WITHIN_S)
    assert asked(second, (machine[0], fresh)) == 200
    assert asked(second, machine) == 401


def test_two_nodes_seal_every_event_once_and_in_one_chain(app: Flask, second: Flask) -> None:
    with committing():
        for _ in range(40):
            audit.record(audit.Event.SERVER_STARTED, actor="server")
    sealer = next(job for job in jobs.JOBS if job.name == "audit-seal")
    nodes = [app, second]

    def seal(number: int) -> Any:
        with nodes[number % 2].app_context():
            try:
                return jobs.run(sealer)
            finally:
                db.session.remove()

    done = in_threads(6, app, seal)
    assert not [error for error in done if isinstance(error, Exception)]
    numbers = db.session.scalars(sa.text("SELECT seq FROM audit_events ORDER BY seq")).all()
    db.session.rollback()
    assert list(numbers) == list(range(1, len(numbers) + 1))
    assert audit.verify().ok
