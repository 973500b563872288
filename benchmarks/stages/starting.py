"""From the start of the process to the first good answer, and the memory of a server that has answered."""

from __future__ import annotations

from statistics import median

from benchmarks import machine
from benchmarks.bench import Bench, Fact, Found
from benchmarks.peers import PEERS
from benchmarks.peers.base import NotInstalled, Peer
from benchmarks.workloads import BY_NAME

STARTS = 5


def run(bench: Bench) -> Found:
    """Start each server several times; then ask it for keys and tokens for a moment, and look at its memory."""
    found = Found("starting", "Cold start and memory")
    found.note = (
        f"Median of {STARTS} starts, process start to first good answer to GET discovery. Memory is PSS after a second of load: of the "
        "largest process, which is the worker, and of all processes."
    )
    for name in bench.peers:
        peer = (
            PEERS[name](bench.folder / f"{name}-start", bench.stores)
            if name == "idp"
            else PEERS[name](bench.folder / name, bench.stores)
        )
        try:
            found.facts += _measured(peer, 1 if bench.quick else STARTS)
        except (NotInstalled, machine.NotStarted) as trouble:
            why = " ".join(str(trouble).split())[-200:]
            found.facts.append(Fact(f"{name}.missing", 0.0, "", f"{name}: not installed: {why}"))
    return found


def _measured(peer: Peer, starts: int) -> list[Fact]:
    versions = peer.install()
    peer.prepare()
    took = []
    for number in range(starts):
        server = peer.start()
        try:
            took.append(server.cold_start_s)
            if number == starts - 1:
                peer.turn(BY_NAME["jwks"], 1.0)
                peer.turn(BY_NAME["client_credentials_opaque"], 1.0)
                memory = server.memory_mb()
        finally:
            server.stop()
    start_s, spread = median(took), f"{min(took):.2f}–{max(took):.2f}"
    return [
        Fact(f"{peer.name}.versions", 0.0, "", f"{peer.name}: {versions}"),
        Fact(f"{peer.name}.cold_start", start_s, "s", f"{peer.name}: cold start {start_s:.2f} s ({spread})"),
        Fact(f"{peer.name}.worker", memory[0], "MB", f"{peer.name}: memory {memory[0]:.0f} MB a worker, {sum(memory):.0f} MB in all"),
    ]  # fmt: skip
