"""More workers and more nodes on one PostgreSQL and one Valkey."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

import sqlalchemy as sa

from benchmarks import load, machine
from benchmarks.bench import Bench, Fact, Found
from benchmarks.load import Round, Running
from benchmarks.machine import ALL_CORES, SERVER_CORES, Server
from benchmarks.peers.ours import Ours
from benchmarks.turns import Table, take
from benchmarks.workloads import BY_NAME, Workload

WORKERS = 1 + 1 + 2 + 4 + 2  # with the server that all stages share
_HELD = sa.text("SELECT count(*) FROM pg_stat_activity WHERE datname = :name")
ASKED = ("client_credentials_jwt", "introspection", "refresh")


def run(bench: Bench) -> Found:
    """Start them all on one installation, and let them take turns."""
    ours = bench.ours()
    with ExitStack() as stack:
        nodes = {
            "1 worker": _up(ours, stack, 1, on=SERVER_CORES),
            "2 workers": _up(ours, stack, 2),
            "4 workers": _up(ours, stack, 4),
            "2 nodes, 1 worker each": _up(ours, stack, 1) + _up(ours, stack, 1),
        }
        machine.settle(server for servers in nodes.values() for server in servers)
        tables = [_table(ours, nodes, BY_NAME[name], bench) for name in ASKED]
        held = _connections(ours)
        memory = {name: sum(sum(server.memory_mb()) for server in servers) for name, servers in nodes.items()}
    a_worker = (memory["4 workers"] - memory["2 workers"]) / 2
    facts = [
        Fact(
            "worker",
            a_worker,
            "MB",
            f"One more worker takes {a_worker:.0f} MB (PSS of four workers less that of two, by two)",
        ),
        Fact(
            "connections",
            held / WORKERS,
            "connections",
            f"After these rounds {WORKERS} workers hold {held} connections to PostgreSQL, {held / WORKERS:.1f} each",
        ),
    ]
    return Found("scale", "More workers, more nodes", _note(), tables, facts)


def _connections(ours: Ours) -> int:
    """Return how many connections all nodes of the installation hold, the one that hands out tokens and the jobs among them."""
    engine = sa.create_engine(ours.stores.postgres)
    with engine.connect() as connection:
        held = connection.execute(_HELD, {"name": f"bench_{ours.folder.name}"}).scalar_one()
    engine.dispose()
    return int(held)


def _note() -> str:
    others = len(ALL_CORES - SERVER_CORES)
    told = (
        f"This machine has {len(ALL_CORES)} cores. One worker is pinned to one core; more workers and nodes may use all cores, and share "
        f"{others} of them with wrk, PostgreSQL and Valkey. "
    )
    if len(ALL_CORES) < 5:
        told += (
            "So the rate shows this box and not the speed-up of a larger one; that the CPU for one answer stays the same with more "
            "workers is what speaks for it: they do not wait for each other in the program."
        )
    return told


def _up(ours: Ours, stack: ExitStack, workers: int, *, on: set[int] = ALL_CORES) -> list[Server]:
    server = ours.another(workers=workers, on=on)
    stack.callback(server.stop)
    return [server]


def _table(ours: Ours, nodes: dict[str, list[Server]], workload: Workload, bench: Bench) -> Table:
    turns = {name: partial(_turn, ours, servers, workload) for name, servers in nodes.items()}
    rows = take(workload.title, turns, rounds=bench.few(), seconds=bench.seconds)
    return Table(
        workload.name, workload.title, workload.unit, rows, base="1 worker", compares="speed-up", row_over_base=True
    )


def _turn(ours: Ours, servers: list[Server], workload: Workload, seconds: float) -> Round:
    share = workload.connections // len(servers)
    running = [
        Running(
            workload,
            ours.target(workload, seconds=seconds),
            server,
            seconds=seconds,
            folder=ours.folder,
            connections=share,
        )
        for server in servers
    ]
    return load.together([one.result() for one in running])
