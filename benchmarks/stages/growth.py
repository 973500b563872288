"""What a million sign-ins leave behind in the database, and a million of each other thing."""

from __future__ import annotations

from contextlib import ExitStack

import sqlalchemy as sa

from benchmarks import machine
from benchmarks.bench import Bench, Fact, Found
from benchmarks.peers.ours import Ours
from benchmarks.workloads import BY_NAME, SIGN_IN, Workload

ASKED = (  # and for how many seconds
    (SIGN_IN, "password sign-ins", 20),
    (BY_NAME["code_flow"], "code flows on a session", 8),
    (BY_NAME["refresh"], "refreshes", 6),
    (BY_NAME["client_credentials_jwt"], "client_credentials tokens", 6),
)
_SEALED = sa.text("SELECT count(*) FROM audit_events WHERE seq IS NULL")
_BYTES = sa.text(
    "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
)


class Quick(Ours):
    """With the cheapest hash that production allows: cost changes the time, not the bytes."""

    bcrypt_cost = 10


def run(bench: Bench) -> Found:
    """Do each thing for a few seconds and look how much larger the tables are, indexes included."""
    ours = Quick(bench.folder / "growth", bench.stores)
    ours.prepare()
    engine = sa.create_engine(sa.make_url(bench.stores.postgres).set(database="bench_growth"))
    with ExitStack() as stack:
        stack.callback(engine.dispose)
        stack.callback(ours.start().stop)
        facts = [_grown(ours, engine, workload, name, 3 if bench.quick else most_s) for workload, name, most_s in ASKED]
    note = (
        "Tables and indexes before and after, once every event is sealed: audit, token families and refresh tokens. Families and refresh tokens "
        "are forgotten a day after they end; the audit stays."
    )
    return Found("growth", "Growth of the database", note, [], facts)


def _grown(ours: Ours, engine: sa.Engine, workload: Workload, name: str, seconds: float) -> Fact:
    ours.turn(workload, 1.0)
    before = _bytes(ours, engine)
    brought = ours.turn(workload, seconds)
    grown = _bytes(ours, engine) - before
    done = brought.rate * (seconds + workload.long)
    gb = grown / done * 1e6 / 1e9
    return Fact(
        workload.name, gb, "GB", f"A million {name}: {gb:.2f} GB ({grown / done:,.0f} bytes each, of {done:,.0f})"
    )


def _bytes(ours: Ours, engine: sa.Engine) -> int:
    assert ours.server is not None
    machine.settle([ours.server])
    with engine.connect() as connection:
        for _ in range(50):
            if not connection.execute(_SEALED).scalar_one():
                break
            machine.settle([ours.server])
        return int(connection.execute(_BYTES).scalar_one())
