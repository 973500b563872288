"""How long answers take at 70 % of what the server can do, when requests come at random moments."""

from __future__ import annotations

from functools import partial

from benchmarks import openloop
from benchmarks.bench import Bench, Found
from benchmarks.load import Round
from benchmarks.peers.ours import Ours
from benchmarks.turns import Table, take
from benchmarks.workloads import BY_NAME, Fixed, Refresh, Workload

LOAD = 0.7
ASKED = ("client_credentials_jwt", "client_credentials_opaque", "introspection", "userinfo", "refresh")


def run(bench: Bench) -> Found:
    """For each workload: find the limit, then ask for 70 % of it."""
    ours = bench.ours()
    tables = [_table(ours, BY_NAME[name], bench) for name in ASKED]
    note = (
        f"The limit is what wrk reached just before; then a generator that does not wait for answers asks at {LOAD:.0%} of it "
        f"(at random moments, {openloop.CONNECTIONS} connections, on the other core). Goal: p99 at most ten times p50."
    )
    return Found("steady", f"Latency at {LOAD:.0%} load", note, tables)


def _table(ours: Ours, workload: Workload, bench: Bench) -> Table:
    limit = ours.turn(workload, bench.seconds).rate
    rows = take(
        workload.title,
        {f"{LOAD:.0%} load": partial(_paced, ours, workload, limit)},
        rounds=bench.few(),
        seconds=bench.seconds + 1,
    )
    return Table(workload.name, f"{workload.title} (limit {limit:,.0f}/s)", workload.unit, rows)


def _paced(ours: Ours, workload: Workload, limit: float, seconds: float) -> Round:
    assert ours.server is not None
    target = ours.many_tokens() if workload.name == "refresh" else ours.target(workload, seconds=seconds)
    assert isinstance(target, Fixed | Refresh)
    return openloop.run(target, ours.server, rate=limit * LOAD, seconds=seconds)
