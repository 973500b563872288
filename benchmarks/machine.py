"""Cores, processes, and what /proc knows of them."""

from __future__ import annotations

import os
import platform
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
START_S = 60.0
_IDLE, _SETTLE_S, _LOOK_S = 0.1, 10.0, 0.2  # of a core; at most; between two looks


def cores() -> tuple[set[int], set[int]]:
    """Return the cores of the server and those of everybody else. On one core both share it, and the report says so."""
    known = sorted(os.sched_getaffinity(0))
    return {known[0]}, set(known[1:]) or {known[0]}


SERVER_CORES, OTHER_CORES = cores()
ALL_CORES = SERVER_CORES | OTHER_CORES


def told() -> str:
    """Say in a line what machine this is."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ""
    )
    return (
        f"{len(ALL_CORES)} cores, {model or platform.machine()}, {memory_mb('MemTotal') / 1024:.0f} GB, "
        f"Linux {platform.release().split('-')[0]}"
    )


def memory_mb(which: str) -> float:
    """Return a line of /proc/meminfo, such as MemAvailable; 0 where there is none."""
    return next((int(line.split()[1]) / 1024 for line in _lines("/proc/meminfo") if line.startswith(f"{which}:")), 0.0)


def free_port() -> int:
    """Return a port of loopback where nobody listens just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A server process on its own core, with everything that it starts. `host`: the name that it goes by."""

    process: subprocess.Popen[bytes]
    url: str
    host: str
    cold_start_s: float = 0.0

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

    def memory_mb(self) -> list[float]:
        """Return the memory of each of them, the largest first; shared pages count in part."""
        return sorted((_memory_kb(pid) / 1024 for pid in self.pids()), reverse=True)

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
    argv: Sequence[str], *, port: int, host: str = "", ready: str, log: Path, env: dict[str, str],
    cwd: Path | None = None, on: set[int] = SERVER_CORES,
) -> Server:  # fmt: skip
    """Start a server on its core and wait for its first good answer. Raises NotStarted."""
    with log.open("ab") as out:
        began = time.monotonic()
        process = subprocess.Popen(
            list(argv), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=dict(os.environ) | env, cwd=cwd,
            start_new_session=True, preexec_fn=lambda: os.sched_setaffinity(0, on),
        )  # fmt: skip
    server = Server(process, f"http://127.0.0.1:{port}", host or f"127.0.0.1:{port}")
    with httpx.Client(timeout=2, trust_env=False, headers={"Host": server.host}) as http:
        while time.monotonic() < began + START_S and process.poll() is None:
            try:
                if http.get(server.url + ready).status_code == 200:
                    server.cold_start_s = time.monotonic() - began
                    return server
            except httpx.HTTPError:
                time.sleep(0.01)
    server.stop()
    raise NotStarted(log.read_text("utf-8", "replace")[-800:])


def settle(servers: Iterable[Server]) -> None:
    """Wait until the servers have done what their answers left them to do, so that nobody pays for another's round."""
    deadline, everybody = time.monotonic() + _SETTLE_S, list(servers)
    before = sum(server.cpu_s() for server in everybody)
    while time.monotonic() < deadline:
        time.sleep(_LOOK_S)
        now = sum(server.cpu_s() for server in everybody)
        if now - before < _IDLE * _LOOK_S:
            return
        before = now


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text().splitlines()
    except OSError:
        return []


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
        found = [int(line.split()[1]) for line in _lines(f"/proc/{pid}/{name}") if line.startswith(key)]
        if found:
            return found[0]
    return 0
