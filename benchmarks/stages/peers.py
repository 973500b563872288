"""The same work at all servers, one core each: the comparison that the goals are about."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from benchmarks import machine
from benchmarks.bench import Bench, Found
from benchmarks.goals import BESIDE_NODE
from benchmarks.load import Round
from benchmarks.peers import PEERS
from benchmarks.peers.base import NotInstalled, Peer
from benchmarks.turns import Row, Table, Turn, take
from benchmarks.workloads import WORKLOADS, Workload

OURS = "idp"


def run(bench: Bench) -> Found:
    """Start everybody, and let them take turns at each workload."""
    found = Found("peers", "Beside the peers")
    with ExitStack() as stack:
        peers: dict[str, Peer] = {OURS: bench.ours()}
        missing: dict[str, str] = {}
        for name in bench.peers:
            if name == OURS:
                continue
            try:
                peers[name] = _started(PEERS[name](bench.folder / name, bench.stores), stack)
            except (NotInstalled, machine.NotStarted) as trouble:
                missing[name] = f"not installed: {' '.join(str(trouble).split())[-200:]}"
        found.tables = [
            _table(one, peers, missing, bench) for one in WORKLOADS if not bench.quick or one.name in BESIDE_NODE
        ]
    notes = [f"{peer.name}: {peer.note}" for peer in peers.values() if peer.note]
    found.note = "One server process on one core each, the same Valkey and PostgreSQL. " + "; ".join(notes) + "."
    return found


def _started(peer: Peer, stack: ExitStack) -> Peer:
    peer.install()
    peer.prepare()
    stack.callback(peer.start().stop)
    return peer


def _table(workload: Workload, peers: dict[str, Peer], missing: dict[str, str], bench: Bench) -> Table:
    def turn(peer: Peer, seconds: float) -> Round:
        machine.settle(one.server for one in peers.values() if one.server)
        return peer.turn(workload, seconds)

    turns: dict[str, Turn] = {name: partial(turn, peer) for name, peer in peers.items()}
    fewer = {name: peer.most_rounds for name, peer in peers.items()}
    rows = take(workload.title, turns, rounds=bench.rounds, seconds=bench.seconds, fewer=fewer)
    rows |= {name: Row(trouble=why) for name, why in missing.items()}
    return Table(workload.name, workload.title, workload.unit, rows, base=OURS, compares="idp is")
