"""Signing in with a password, as a share of what the hash alone allows on the same core."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from benchmarks.bench import Bench, Found
from benchmarks.load import NoGenerator, Round
from benchmarks.machine import SERVER_CORES
from benchmarks.turns import Table, Turn, take
from benchmarks.workloads import SIGN_IN

_HASH = """
import time
from pathlib import Path
from sys import argv
from benchmarks.browser import PASSWORD
from idp import config
from idp.authn import hashing
recipe = hashing.recipe_of(config.load(Path(argv[1]), {}))
stored, ends, done = hashing.make(PASSWORD, recipe), float(argv[2]), 0
began = time.perf_counter()
while time.perf_counter() - began < ends:
    assert hashing.check(PASSWORD, stored, recipe).right
    done += 1
print(done / (time.perf_counter() - began))
"""


def run(bench: Bench) -> Found:
    """The hash alone and whole sign-ins take turns."""
    ours = bench.ours()
    turns: dict[str, Turn] = {
        "the hash alone": partial(hashes, ours.config_file),
        "idp": partial(ours.turn, SIGN_IN),
    }
    seconds = bench.seconds + 1 if bench.quick else bench.seconds * 8
    rows = take(SIGN_IN.title, turns, rounds=bench.rounds, seconds=seconds)
    table = Table(
        "sign_in", SIGN_IN.title, SIGN_IN.unit, rows, base="the hash alone", compares="share", row_over_base=True
    )
    note = (
        f"bcrypt, cost {ours.bcrypt_cost}, checked one after the other by a process of its own on the server's core, then by the server for "
        "people who come to the first page in a fresh browser. Times are of single requests; 4 browsers at once. Who is still waiting "
        "when a round ends is not counted, and the CPU that they cost is: about four sign-ins a round."
    )
    return Found("sign_in", "Password sign-in", note, [table])


def hashes(config_file: Path, seconds: float) -> Round:
    """Return how many passwords one core checks in a second."""
    done = subprocess.run(
        [sys.executable, "-c", _HASH, str(config_file), str(seconds)], capture_output=True, text=True, check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, SERVER_CORES),
    )  # fmt: skip
    if done.returncode:
        raise NoGenerator(done.stderr[-200:])
    rate = float(done.stdout)
    return Round(rate, p50_ms=1e3 / rate, p99_ms=1e3 / rate, cpu_ms=1e3 / rate)
