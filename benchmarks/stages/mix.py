"""What a morning looks like: 80 % refresh, 10 % code flow, 5 % introspection, 5 % sign-in."""

from __future__ import annotations

from functools import partial

from benchmarks.bench import Bench, Found
from benchmarks.turns import Table, take
from benchmarks.workloads import MIX


def run(bench: Bench) -> Found:
    """Ask our server for the mix."""
    rows = take(MIX.title, {"idp": partial(bench.ours().turn, MIX)}, rounds=bench.few(), seconds=bench.seconds + 2)
    note = (
        f"Each of {MIX.connections} connections goes through a shuffled deck with these shares. One story in twenty hashes a password "
        f"(cost {bench.ours().bcrypt_cost}), and that is what the figure is made of: see the share of the hash above."
    )
    return Found("mix", "The mix", note, [Table("mix", MIX.title, MIX.unit, rows)])
