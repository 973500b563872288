"""The generator: writes down what wrk is to send, runs it on its own core, and reads what it counted."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import OTHER_CORES, Server
from benchmarks.workloads import CodeFlow, Fixed, Refresh, SignIn, Target, Workload

SCRIPTS = Path(__file__).parent / "wrk"
_SCRIPT = {Fixed: "fixed.lua", Refresh: "refresh.lua", CodeFlow: "code_flow.lua", SignIn: "sign_in.lua"}


@dataclass(frozen=True)
class Round:
    """What one round of one server brought."""

    rate: float  # of good ones, a second
    p50_ms: float
    p99_ms: float
    cpu_ms: float  # of the server, for one
    bad: int
    first_bad: str = ""


class NoGenerator(Exception):
    """wrk cannot be run; the text says why."""


def run(workload: Workload, target: Target, server: Server, *, seconds: float, folder: Path) -> Round:
    """Send one round and count. Raises NoGenerator."""
    data = folder / "target.lua"
    data.write_text("return " + _lua(_plain(target)) + "\n", "utf-8")
    threads = workload.connections if workload.stateful else 1
    argv = ["wrk", f"-t{threads}", f"-c{workload.connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
    argv += ["-s", _SCRIPT[type(target)], server.url, "--", str(data)]
    before = server.cpu_s()
    try:
        done = subprocess.run(
            argv, cwd=SCRIPTS, capture_output=True, text=True, timeout=seconds * 3 + 60, check=True,
            preexec_fn=lambda: os.sched_setaffinity(0, OTHER_CORES),
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as trouble:
        raise NoGenerator(f"wrk: {trouble} {getattr(trouble, 'stderr', '') or ''}") from None
    return _read(done.stdout, target, server.cpu_s() - before)


def _read(printed: str, target: Target, cpu_s: float) -> Round:
    found: dict[str, Any] = next(json.loads(line[7:]) for line in printed.splitlines() if line.startswith("RESULT "))
    is_story = not isinstance(target, Fixed)
    bad = found["socket_errors"] + (found["bad"] if is_story else found["status_errors"])
    good = found["good"] if is_story else found["requests"] - found["status_errors"]
    return Round(
        rate=good / (found["duration_us"] / 1e6),
        p50_ms=found["p50_us"] / 1e3,
        p99_ms=found["p99_us"] / 1e3,
        cpu_ms=cpu_s * 1e3 / max(1, good),
        bad=bad,
        first_bad=found["first_bad"],
    )


def _plain(target: Target) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(target).items()}


def _lua(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"[{_lua(name)}] = {_lua(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ", ".join(map(_lua, value)) + "}"
    return (
        '"'
        + "".join(c if c.isalnum() or c in " -._~:/?#[]@!$&()*+,;=%{}|<>" else f"\\{ord(c):03d}" for c in value)
        + '"'
    )
