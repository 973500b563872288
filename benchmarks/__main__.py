"""`python -m benchmarks`: one stage after the other, and write it down. What fails is told; the rest goes on."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import goals, machine, report, stores
from benchmarks.bench import Bench, Found
from benchmarks.peers import PEERS
from benchmarks.peers.ours import Ours
from benchmarks.stages import STAGES

HERE = Path(__file__).parent
RESULTS, RECORD = HERE / "results.md", HERE / "results.json"
QUICK_STAGES = ("starting", "peers", "sign_in", "flood")  # filling a large store takes too long for it
QUICK_PEERS = ("idp", "node-oidc-provider")
BEGIN_UNTIL = 0.8  # of the minutes; the last stage takes the rest


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; returns the exit status, which no figure changes."""
    options = _options(argv)
    os.sched_setaffinity(0, machine.OTHER_CORES)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # servers and stores end with us
    options.folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        known = stack.enter_context(stores.running())
        bench = Bench(
            known, options.folder, options.seconds, options.rounds, options.quick, options.peers, stack,
            people=options.people, live=options.live,
        )  # fmt: skip
        about = _about(bench, known.versions())
        ends = time.monotonic() + options.minutes * 60 * BEGIN_UNTIL
        found = {name: _run(name, bench, ends=ends) for name in STAGES if name in options.only}
    _keep(found, about, options)
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="two minutes: short rounds, compared with the recorded ratios"
    )
    parser.add_argument("--only", type=_stages, help=f"some of the stages, with commas: {','.join(STAGES)}")
    parser.add_argument("--seconds", type=float, help="of one round")
    parser.add_argument("--rounds", type=int, help="of each server and workload")
    parser.add_argument("--minutes", type=float, help="that it may take: what comes too late is not begun")
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), help="which servers")
    parser.add_argument("--people", type=int, default=1_000_000, help="in the large store of the stage sizes")
    parser.add_argument("--live", type=int, default=10_000_000, help="live sessions and tokens there")
    parser.add_argument("--folder", type=Path, default=Path("var/bench"), help="where peers are installed")
    options = parser.parse_args(argv)
    options.folder = options.folder.resolve()
    options.is_full = not (options.quick or options.only or options.peers or options.seconds or options.rounds)
    options.seconds = options.seconds or (1.0 if options.quick else 2.0)
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.minutes = options.minutes or (2.0 if options.quick else 60.0 if options.only else 30.0)
    options.peers = options.peers or list(QUICK_PEERS if options.quick else PEERS)
    options.only = options.only or (QUICK_STAGES if options.quick else tuple(STAGES))
    return options


def _stages(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := [name for name in names if name not in STAGES]:
        raise argparse.ArgumentTypeError(f"there is no stage {', '.join(unknown)}")
    return names


def _about(bench: Bench, versions_of_stores: str) -> dict[str, str]:
    settings = (
        f"{bench.rounds} rounds of {bench.seconds:g} s for each server and workload. Ours runs as `idp serve` does: audit durable, limits counted, "
        "replay checks and validation on, ES256; bcrypt cost 12. Changed for this run: limits count but never say no (else 429 would be measured), "
        "no second factor, plain HTTP on loopback."
    )
    return {
        "made_at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": machine.told(),
        "versions": Ours(bench.folder / "idp", bench.stores).install(),
        "stores": versions_of_stores,
        "settings": settings,
    }


def _run(name: str, bench: Bench, *, ends: float) -> Found:
    began = time.monotonic()
    if began > ends:
        return Found(name, name, failed="no time was left")
    try:
        found = STAGES[name](bench)
    except Exception as trouble:
        traceback.print_exc()
        found = Found(name, name, failed=f"{type(trouble).__name__}: {' '.join(str(trouble).split())[:300]}")
    print(f"{name}: {time.monotonic() - began:.0f} s{'; failed' if found.failed else ''}", flush=True)
    print("\n".join(report.stage(found)), flush=True)
    return found


def _keep(found: dict[str, Found], about: dict[str, str], options: argparse.Namespace) -> None:
    """A full run is recorded in the tree; any other is kept aside, and compared."""
    judged = goals.judge(found)
    page, record = report.page(found, judged, about), report.record(found, judged, about)
    if not options.is_full:
        print("\n".join(report.compare(report.ratios(found), RECORD)))
    results, machine_readable = (
        (RESULTS, RECORD) if options.is_full else (options.folder / one.name for one in (RESULTS, RECORD))
    )
    results.write_text(page, "utf-8")
    machine_readable.write_text(record, "utf-8")
    print(f"{sum(goal.is_met for goal in judged)} of {len(judged)} goals met. Written to {results}")


if __name__ == "__main__":
    sys.exit(main())
