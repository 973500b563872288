"""The generator: writes down what wrk is to send, runs it on its own core, and reads what it counted."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.machine import OTHER_CORES, Server
from benchmarks.workloads import CodeFlow, Fixed, Mix, Refresh, SignIn, Target, Workload

SCRIPTS = Path(__file__).parent / "wrk"
_STORIES = {Fixed: "fixed", Refresh: "refresh", CodeFlow: "code_flow", SignIn: "sign_in", Mix: "mix"}
_numbers = itertools.count()


@dataclass(frozen=True)
class Round:
    """What one round of one server brought."""

    rate: float  # of good ones, a second
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    cpu_ms: float = 0.0  # of the server, for one, with what it has to do afterwards
    bad: int = 0
    refused: int = 0  # 503 with Retry-After
    first_bad: str = ""  # status and beginning of the body
    bad_by: str = ""  # what the bad ones were: "2 × 503, 1 × socket read"


class NoGenerator(Exception):
    """wrk cannot be run; the text says why."""


class Running:
    """A round that is under way. Wait for it by `result`."""

    def __init__(
        self,
        workload: Workload,
        target: Target,
        server: Server,
        *,
        seconds: float,
        folder: Path,
        connections: int = 0,
        pause_s: float = 0.0,
    ) -> None:
        self._target, self._server, self._seconds = target, server, seconds
        self._data = folder / f"target-{next(_numbers)}.lua"
        self._data.write_text("return " + _lua(_plain(target)) + "\n", "utf-8")
        connections = connections or workload.connections
        threads, script = (connections, "story.lua") if workload.stateful else (1, "fixed.lua")
        argv = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
        argv += ["-s", script, "-H", f"Host: {server.host}", server.url, "--", str(self._data), _STORIES[type(target)]]
        if pause_s:
            argv[argv.index("-s") + 1] = "paced.lua"
            argv.append(str(round(pause_s * 1000)))
        if isinstance(target, Fixed) and target.is_cheap:
            argv.append("unread")
        self._before = server.cpu_s()
        try:
            self._wrk = subprocess.Popen(
                argv, cwd=SCRIPTS, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                preexec_fn=lambda: os.sched_setaffinity(0, OTHER_CORES),
            )  # fmt: skip
        except OSError as trouble:
            raise NoGenerator(f"wrk: {trouble}") from None

    def result(self) -> Round:
        """Wait for the end, and for the server to do what is left. Raises NoGenerator."""
        try:
            out, complaints = self._wrk.communicate(timeout=self._seconds * 3 + 60)
        except subprocess.TimeoutExpired:
            self._wrk.kill()
            raise NoGenerator("wrk did not end") from None
        finally:
            self._data.unlink(missing_ok=True)
        if self._wrk.returncode:
            raise NoGenerator(f"wrk: {' '.join((complaints or out).split())[:200]}")
        machine.settle([self._server])
        return read(out, self._target, self._server.cpu_s() - self._before)


def run(workload: Workload, target: Target, server: Server, *, seconds: float, folder: Path) -> Round:
    """Send one round and count. Raises NoGenerator."""
    return Running(workload, target, server, seconds=seconds, folder=folder).result()


def together(rounds: list[Round]) -> Round:
    """Add up what several servers brought in the same time; of the times, the worst counts."""
    done = sum(one.rate for one in rounds)
    return Round(
        rate=done,
        p50_ms=max(one.p50_ms for one in rounds),
        p99_ms=max(one.p99_ms for one in rounds),
        cpu_ms=sum(one.cpu_ms * one.rate for one in rounds) / done if done else 0.0,
        bad=sum(one.bad for one in rounds),
        refused=sum(one.refused for one in rounds),
        first_bad=next((one.first_bad for one in rounds if one.first_bad), ""),
        bad_by=", ".join(one.bad_by for one in rounds if one.bad_by),
    )


def read(printed: str, target: Target, cpu_s: float) -> Round:
    """Return the round that wrk printed."""
    found: dict[str, Any] = next(json.loads(line[7:]) for line in printed.splitlines() if line.startswith("RESULT "))
    unread = isinstance(target, Fixed) and target.is_cheap
    sockets = sum(found["sockets"].values())
    bad = sockets + (found["status_errors"] if unread else found["bad"])
    good = found["requests"] - found["status_errors"] if unread else found["good"]
    return Round(
        rate=good / (found["duration_us"] / 1e6),
        p50_ms=found["p50_us"] / 1e3,
        p99_ms=found["p99_us"] / 1e3,
        cpu_ms=cpu_s * 1e3 / max(1, good),
        bad=bad,
        refused=found["refused"],
        first_bad=found["first_bad"],
        bad_by=by_kind(
            Counter(found["statuses"].split()) + Counter({f"socket {k}": n for k, n in found["sockets"].items()})
        ),
    )


def by_kind(bad: Counter[str]) -> str:
    """Say what bad answers were: "2 × 503, 1 × socket read"."""
    return ", ".join(f"{count} × {kind}" for kind, count in sorted(bad.items()))


def _plain(target: Target) -> dict[str, Any]:
    if isinstance(target, Mix):
        parts = {name: {"script": _STORIES[type(one)], "data": _plain(one)} for name, one in target.parts.items()}
        return {"parts": parts, "deck": list(target.deck)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(target).items()}


def _lua(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"[{_lua(name)}] = {_lua(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ", ".join(map(_lua, value)) + "}"
    if isinstance(value, int):
        return str(value)
    return '"' + "".join(chr(byte) if chr(byte) in _PLAIN else f"\\{byte:03d}" for byte in value.encode()) + '"'


_PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 -._~:/?#[]@!$&()*+,;=%{}|<>"
