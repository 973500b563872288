"""What every stage is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers.ours import Ours
from benchmarks.stores import Stores
from benchmarks.turns import Table


@dataclass
class Fact:
    """One figure that is no rate."""

    name: str
    value: float
    unit: str
    text: str  # as the page says it
    parts: dict[str, float] = field(default_factory=dict)  # how it falls on packages, as shares of one


@dataclass
class Found:
    """What a stage found out. `failed` says why there is nothing."""

    name: str
    title: str
    note: str = ""
    tables: list[Table] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    failed: str = ""


@dataclass
class Bench:
    """One run: its stores, how long rounds are, and the server of ours that most stages ask."""

    stores: Stores
    folder: Path
    seconds: float
    rounds: int
    quick: bool
    peers: Sequence[str]
    stack: ExitStack
    people: int = 1_000_000
    live: int = 10_000_000
    _ours: Ours | None = None

    def ours(self) -> Ours:
        """Return our server, which is started when it is first asked for."""
        if self._ours is None:
            peer = Ours(self.folder / "idp", self.stores)
            peer.prepare()
            self.stack.callback(peer.start().stop)
            self._ours = peer
        return self._ours

    def few(self) -> int:
        """Return how many rounds a stage takes that compares us with ourselves."""
        return min(3, self.rounds)
