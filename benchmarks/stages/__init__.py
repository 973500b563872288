"""The parts of a run, in order. A new one is a file here with `run`, and a line in STAGES."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.bench import Bench, Found
from benchmarks.stages import flood, growth, mix, peers, profile, scale, sign_in, sizes, starting, steady

STAGES: dict[str, Callable[[Bench], Found]] = {
    "starting": starting.run,
    "peers": peers.run,
    "sign_in": sign_in.run,
    "mix": mix.run,
    "flood": flood.run,
    "steady": steady.run,
    "scale": scale.run,
    "growth": growth.run,
    "profile": profile.run,
    "sizes": sizes.run,
}
