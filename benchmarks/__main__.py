"""`python -m benchmarks`: install, start everybody, take turns, write it down."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx

from benchmarks import browser, load, machine, report, stores
from benchmarks.peers import PEERS
from benchmarks.peers.base import NotInstalled, Peer
from benchmarks.report import PeerReport
from benchmarks.workloads import WORKLOADS, Workload

HERE = Path(__file__).parent
RATIOS, RESULTS = HERE / "ratios.json", HERE / "results.md"
_HASH = """
import time
from benchmarks.browser import PASSWORD
from pathlib import Path
from sys import argv
from idp import config
from idp.authn import hashing
recipe = hashing.recipe_of(config.load(Path(argv[1]), {}))
hashing.make(PASSWORD, recipe)
began = time.perf_counter()
for _ in range(5):
    hashing.make(PASSWORD, recipe)
print(5 / (time.perf_counter() - began))
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; returns the exit status."""
    options = _options(argv)
    os.sched_setaffinity(0, machine.OTHER_CORES)
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack, stores.running() as known:
        peers = [PEERS[name](folder / name, known) for name in options.peers]
        reports = [_begin(peer, stack) for peer in peers]
        for workload in [one for one in WORKLOADS if one.name in options.workloads]:
            _measure(workload, list(zip(peers, reports, strict=True)), options)
        for peer, told in zip(peers, reports, strict=True):
            told.memory_mb = peer.server.memory_mb() if peer.server else 0.0
        limit = _hash_limit(folder / "idp" / "config.toml") if "sign_in" in options.workloads else None
        page = report.write(
            reports, stores=known.versions(), seconds=options.seconds, rounds=options.rounds, hash_limit=limit
        )
    _keep(page, reports, options)
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="two minutes: short rounds, compared with the recorded ratios"
    )
    parser.add_argument("--seconds", type=float, help="of one round")
    parser.add_argument("--rounds", type=int, help="of each server and workload")
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument(
        "--workloads", nargs="+", choices=[one.name for one in WORKLOADS], default=[one.name for one in WORKLOADS]
    )
    parser.add_argument("--folder", type=Path, default=Path("var/bench").resolve(), help="where peers are installed")
    options = parser.parse_args(argv)
    options.seconds = options.seconds or (1.0 if options.quick else 2.0)
    options.rounds = options.rounds or (1 if options.quick else 5)
    if "idp" not in options.peers:
        options.peers.insert(0, "idp")
    return options


def _begin(peer: Peer, stack: ExitStack) -> PeerReport:
    told = PeerReport(peer.name, peer.note)
    print(f"{peer.name}: ", end="", flush=True)
    try:
        told.versions = peer.install()
        server = peer.start()
        stack.callback(server.stop)
        told.cold_start_s = server.cold_start_s
    except (NotInstalled, machine.NotStarted) as trouble:
        told.missing = " ".join(str(trouble).split())[-300:]
    print(told.missing or f"{told.versions}; up after {told.cold_start_s:.2f} s", flush=True)
    return told


def _measure(workload: Workload, everybody: list[tuple[Peer, PeerReport]], options: argparse.Namespace) -> None:
    """Take turns, so that what else the machine does falls on all of them. One short round before, to warm up."""
    seconds = options.seconds * (2 if workload.long else 1)
    for number in range(options.rounds + 1):
        for peer, told in everybody:
            if peer.server is None or workload.name in told.trouble:
                continue
            brought = _turn(peer, told, workload, seconds if number else 1.0)
            if brought is not None and number and _counts(brought, told, workload):
                told.rounds.setdefault(workload.name, []).append(brought)
    for peer, told in everybody:
        rate = told.rate(workload.name)
        if peer.server is not None:
            print(
                f"  {workload.name:30} {peer.name:24} {told.trouble.get(workload.name) or _said(told, workload, rate)}",
                flush=True,
            )


def _turn(peer: Peer, told: PeerReport, workload: Workload, seconds: float) -> load.Round | None:
    assert peer.server is not None
    try:
        target = peer.target(workload, seconds=seconds)
        if target is None:
            told.trouble[workload.name] = "has no such thing"
            return None
        brought = load.run(workload, target, peer.server, seconds=seconds, folder=peer.folder)
    except (browser.NotSignedIn, httpx.HTTPError, KeyError, load.NoGenerator) as trouble:
        told.trouble[workload.name] = f"not measured: {type(trouble).__name__} {' '.join(str(trouble).split())[:200]}"
        return None
    return brought


def _counts(brought: load.Round, told: PeerReport, workload: Workload) -> bool:
    """A round without one good answer is no figure."""
    if not brought.rate:
        told.trouble[workload.name] = f"not measured: no good answer ({brought.first_bad[:200] or brought.bad})"
    return bool(brought.rate)


def _said(told: PeerReport, workload: Workload, rate: float | None) -> str:
    bad = sum(one.bad for one in told.rounds.get(workload.name, []))
    first = next((one.first_bad for one in told.rounds.get(workload.name, []) if one.first_bad), "")
    return f"{rate:10,.1f} {workload.unit}" + (f"  {bad} bad: {first}" if bad else "") if rate else ""


def _hash_limit(config_file: Path) -> float | None:
    """Return how many password hashes one core makes in a second, on the server's core."""
    done = subprocess.run(
        [sys.executable, "-c", _HASH, str(config_file)], capture_output=True, text=True, check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, machine.SERVER_CORES),
    )  # fmt: skip
    return float(done.stdout) if done.returncode == 0 else None


def _keep(page: str, reports: list[PeerReport], options: argparse.Namespace) -> None:
    """A full run is recorded in the tree; any other is printed, kept aside, and compared."""
    ratios = report.ratios(reports)
    is_whole = set(options.workloads) == {one.name for one in WORKLOADS} and set(options.peers) == set(PEERS)
    is_full = not options.quick and is_whole and options.rounds >= 5 and options.seconds >= 2
    results = RESULTS if is_full else options.folder / "results.md"
    results.write_text(page, "utf-8")
    if is_full:
        RATIOS.write_text(json.dumps(ratios, indent=2) + "\n", "utf-8")
    else:
        print("\n".join(report.compare(ratios, RATIOS)))
    print(f"Written to {results}")


if __name__ == "__main__":
    sys.exit(main())
