"""Cores, processes, and what /proc knows of them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
START_S = 60.0


def cores() -> tuple[set[int], set[int]]:
    """Return the cores of the server and those of everybody else. On one core both share it, and the report says so."""
    known = sorted(os.sched_getaffinity(0))
    return {known[0]}, set(known[1:]) or {known[0]}


SERVER_CORES, OTHER_CORES = cores()


def free_port() -> int:
    """Return a port of loopback where nobody listens just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A server process on its own core, with everything that it starts."""

    process: subprocess.Popen[bytes]
    url: str
    cold_start_s: float

    def pids(self) -> list[int]:
        """Return the process and its descendants."""
        parents = {int(entry.name): _parent(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
        found = [self.process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def cpu_s(self) -> float:
        """Return the CPU seconds that all of them have used so far."""
        return sum(_cpu_s(pid) for pid in self.pids())

    def memory_mb(self) -> float:
        """Return the memory of all of them; shared pages count in part."""
        return sum(_memory_kb(pid) for pid in self.pids()) / 1024

    def stop(self) -> None:
        """Ask the group to end, and see to it."""
        for how in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, how)
                self.process.wait(15)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
            return


class NotStarted(Exception):
    """A server did not answer; the text holds the end of its log."""


def start(
    argv: Sequence[str], *, url: str, ready: str, log: Path, env: dict[str, str], cwd: Path | None = None
) -> Server:
    """Start a server on its core and wait for its first good answer. Raises NotStarted."""
    with log.open("wb") as out:
        began = time.monotonic()
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=dict(os.environ) | env,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, SERVER_CORES),
        )
    server = Server(process, url, 0.0)
    while time.monotonic() < began + START_S and process.poll() is None:
        try:
            if httpx.get(url + ready, timeout=2, trust_env=False).status_code == 200:
                server.cold_start_s = time.monotonic() - began
                return server
        except httpx.HTTPError:
            time.sleep(0.02)
    server.stop()
    raise NotStarted(log.read_text("utf-8", "replace")[-800:])


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * TICK_S


def _memory_kb(pid: int) -> int:
    for name, key in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        try:
            lines = Path(f"/proc/{pid}/{name}").read_text().splitlines()
        except OSError:
            continue
        found = [int(line.split()[1]) for line in lines if line.startswith(key)]
        if found:
            return found[0]
    return 0
