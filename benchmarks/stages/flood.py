"""What tokens keep of their rate while everybody signs in, and how those are answered for whom there is no room."""

from __future__ import annotations

from functools import partial

from benchmarks import load
from benchmarks.bench import Bench, Fact, Found
from benchmarks.load import Round, Running
from benchmarks.peers.ours import Ours
from benchmarks.stages.sign_in import hashes
from benchmarks.turns import Table, Turn, take
from benchmarks.workloads import BY_NAME, SIGN_IN

TOKENS = BY_NAME["client_credentials_jwt"]
BROWSERS, TIMES = 32, 10  # so many times as many sign-ins as the hash allows
FLOOD, HAMMER = "during the flood", "beside browsers that never pause"


def run(bench: Bench) -> Found:
    """Tokens alone and tokens beside a flood take turns."""
    ours, floods = bench.ours(), list[Round]()
    limit = hashes(ours.config_file, bench.seconds).rate
    turns: dict[str, Turn] = {
        "undisturbed": partial(ours.turn, TOKENS),
        FLOOD: partial(_beside, ours, BROWSERS / (limit * TIMES), floods),
    }
    if not bench.quick:
        turns[HAMMER] = partial(_beside, ours, 0.0, [])
    rows = take(TOKENS.title, turns, rounds=bench.few(), seconds=bench.seconds + 2)
    table = Table("flood", TOKENS.title, TOKENS.unit, rows, base="undisturbed", compares="keeps", row_over_base=True)
    note = (
        f"{BROWSERS} browsers begin {limit * TIMES:.0f} sign-ins a second, {TIMES} times what the hash allows; CPU of the flood is counted with "
        "the tokens. Who finds no room in the queue of the hash hears 503 with Retry-After. The last row is no flood of people but a program "
        "that loads pages as fast as it can, with the limits per address out of force; in production they end it."
    )
    return Found("flood", "Tokens during a flood of sign-ins", note, [table], _answers(floods))


def _beside(ours: Ours, pause_s: float, floods: list[Round], seconds: float) -> Round:
    assert ours.server is not None
    flood = Running(
        SIGN_IN, ours.target(SIGN_IN, seconds=seconds), ours.server,
        seconds=seconds + 1, folder=ours.folder, connections=BROWSERS, pause_s=pause_s,
    )  # fmt: skip
    tokens = load.run(TOKENS, ours.target(TOKENS, seconds=seconds), ours.server, seconds=seconds, folder=ours.folder)
    floods.append(flood.result())
    return tokens


def _answers(floods: list[Round]) -> list[Fact]:
    if not floods:
        return []
    served = sum(one.rate for one in floods) / len(floods)
    refused, bad = sum(one.refused for one in floods), sum(one.bad for one in floods)
    share = refused / (refused + bad) if refused + bad else 1.0
    text = (
        f"Of the flood {served:.1f} a second were signed in; {refused} were told to come back (503 with Retry-After) and {bad} answered "
        f"otherwise, so {share:.0%} of those who were turned away heard when to come back"
    )
    return [Fact("served", served, "sign-ins/s", text), Fact("properly", share, "", "")]
