"""Medians, spread, ratios, and the page that says so."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.load import Round
from benchmarks.workloads import WORKLOADS, Workload

OURS = "idp"
TIE = 0.25  # of what is within this nobody knows on a shared machine


@dataclass
class PeerReport:
    """What is known of one server."""

    name: str
    note: str = ""
    versions: str = ""
    missing: str = ""  # why there is no server
    cold_start_s: float = 0.0
    memory_mb: float = 0.0
    rounds: dict[str, list[Round]] = field(default_factory=dict)
    trouble: dict[str, str] = field(default_factory=dict)  # by workload

    def rate(self, workload: str) -> float | None:
        """Return the median of good ones a second."""
        found = self.rounds.get(workload)
        return median(round_.rate for round_ in found) if found else None


def ratios(peers: list[PeerReport]) -> dict[str, dict[str, float]]:
    """Return ours ÷ theirs, by workload and peer."""
    ours = next(peer for peer in peers if peer.name == OURS)
    found: dict[str, dict[str, float]] = {}
    for workload in WORKLOADS:
        mine = ours.rate(workload.name)
        for peer in peers:
            theirs = peer.rate(workload.name)
            if peer is not ours and mine and theirs:
                found.setdefault(workload.name, {})[peer.name] = round(mine / theirs, 3)
    return found


def write(peers: list[PeerReport], *, stores: str, seconds: float, rounds: int, hash_limit: float | None) -> str:
    """Return the page."""
    parts = [
        "# What a request costs\n",
        f"Made by `make bench` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC. Nothing here was typed by hand.\n",
        f"{rounds} rounds of {seconds:g} s for each server and workload, the servers taking turns; medians, and in brackets the slowest and the "
        f"fastest round. One server process on one core, wrk and the stores on the other. {_machine()}. {stores}. Compare ratios within "
        f"this page: absolute figures are the machine's, and less than {TIE:.0%} apart is a tie.\n",
        "| server | versions | cold start | memory | |\n|---|---|---|---|---|",
        *(_peer_row(peer) for peer in peers),
        "",
    ]
    for workload in [
        one for one in WORKLOADS if any(one.name in peer.rounds or one.name in peer.trouble for peer in peers)
    ]:
        parts += _table(workload, peers, hash_limit if workload.name == "sign_in" else None)
    return "\n".join(parts)


def _machine() -> str:
    model = next(
        (line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")), platform.machine()
    )
    return f"{os.cpu_count()} cores, {model}, Linux {platform.release().split('-')[0]}"


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []


def _peer_row(peer: PeerReport) -> str:
    if peer.missing:
        return f"| {peer.name} | not installed: {peer.missing} | | | |"
    return f"| {peer.name} | {peer.versions} | {peer.cold_start_s:.2f} s | {peer.memory_mb:.0f} MB | {peer.note} |"


def _table(workload: Workload, peers: list[PeerReport], hash_limit: float | None) -> list[str]:
    ours = next(peer for peer in peers if peer.name == OURS).rate(workload.name)
    head = f"| server | {workload.unit} | p50 | p99 | CPU of the server for one | bad | idp is |"
    rows = [_row(peer, workload, ours) for peer in peers if not peer.missing]
    told = []
    if hash_limit and ours:
        told = [
            f"\nThe password hash alone allows {hash_limit:.2f} a second on this core; sign-ins reach {ours / hash_limit:.0%} of that."
        ]
    return [f"## {workload.title}\n", head, "|---|---|---|---|---|---|---|", *rows, *told, ""]


def _row(peer: PeerReport, workload: Workload, ours: float | None) -> str:
    rounds = peer.rounds.get(workload.name)
    if not rounds:
        return f"| {peer.name} | {peer.trouble.get(workload.name, 'has no such thing')} | | | | | |"
    rates = [one.rate for one in rounds]
    mid = [median(getattr(one, name) for one in rounds) for name in ("p50_ms", "p99_ms", "cpu_ms")]
    bad = sum(one.bad for one in rounds)
    ratio = f"{ours / median(rates):.2f} ×" if ours and peer.name != OURS and median(rates) else ""
    spread = f"{median(rates):,.1f} ({min(rates):,.1f}–{max(rates):,.1f})"
    return f"| {peer.name} | {spread} | {mid[0]:.2f} ms | {mid[1]:.2f} ms | {mid[2]:.3f} ms | {bad} | {ratio} |"


def compare(now: dict[str, dict[str, float]], recorded: Path) -> list[str]:
    """Return what is slower than the recorded full run, a line each; a clock never fails a build."""
    if not recorded.exists():
        return ["No full run is recorded yet; `make bench` makes one."]
    before = json.loads(recorded.read_text("utf-8"))
    lines = [
        f"{workload} against {peer}: {ratio:.2f} ×, recorded {old:.2f} ×"
        for workload, found in now.items()
        for peer, ratio in found.items()
        if (old := before.get(workload, {}).get(peer)) and ratio < old * (1 - TIE)
    ]
    return lines or ["No ratio fell by more than a tie since the recorded run."]
