"""The harness of `make bench`: what it reports is what was counted, and nothing that was not. Figures are made on a quiet machine."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from math import inf
from pathlib import Path

import httpx
import pytest

from benchmarks import __main__ as command
from benchmarks import fill, goals, load, openloop, report
from benchmarks.bench import Fact, Found
from benchmarks.load import Round
from benchmarks.peers import PEERS
from benchmarks.stages import STAGES, profile
from benchmarks.turns import NoSuchThing, Row, Table, take
from benchmarks.workloads import BY_NAME, CodeFlow, Fixed

ABOUT = dict.fromkeys(("made_at", "machine", "versions", "stores", "settings"), "known")


FIRST_USE = Table("first_use", "F", "s", {"one client": Row(), "another client each time": Row()}, "one client")


def row(*rates: float, **more: float) -> Row:
    return Row([Round(rate, **{"p50_ms": 1.0, "p99_ms": 2.0, "cpu_ms": 0.1, **more}) for rate in rates])


@pytest.fixture
def peers() -> Found:
    rows = {
        "idp": row(900.0, 1000.0, 5000.0),
        "node-oidc-provider": row(250.0, bad=3, bad_by="3 × 503", first_bad="503 away "),
        "canaille": Row(trouble="not installed: no such package"),
    }
    return Found(
        "peers", "Beside the peers", "A note.", [Table("jwks", "Public keys", "requests/s", rows, "idp", "idp is")]
    )


def test_ratios_are_those_of_medians_and_name_their_stage(peers):
    assert report.ratios({"peers": peers}) == {"peers/jwks": {"node-oidc-provider": 4.0}}


def test_a_ratio_says_which_way_it_goes():
    rows = {"small": row(200.0), "large": row(100.0)}
    assert Table("a", "A", "requests/s", rows, base="small").ratio("large") == 2.0
    assert Table("a", "A", "requests/s", rows, base="small", row_over_base=True).ratio("large") == 0.5
    assert (
        Table("a", "A", "requests/s", {"small": Row()} | {"large": rows["large"]}, base="small").ratio("large") is None
    )


def test_the_page_says_what_was_counted_and_what_was_not(peers):
    page = report.page({"peers": peers, "mix": Found("mix", "The mix", failed="RuntimeError: no")}, [], ABOUT)
    assert "| idp | 1,000.0 (900.0–5,000.0) | 1.00 ms | 2.00 ms | 0.100 ms | 0 |  |" in page
    assert "| node-oidc-provider | 250.0 (250.0–250.0) | 1.00 ms | 2.00 ms | 0.100 ms | 3 | 4.00 × |" in page
    assert "| canaille | not installed: no such package | | | | | |" in page
    assert "## The mix\n\nNot measured: RuntimeError: no" in page
    head = next(line for line in page.splitlines() if line.startswith("| | requests/s"))
    assert "* node-oidc-provider: bad were 3 × 503; the first: 503 away" in page
    assert all(line.count("|") == head.count("|") for line in page.splitlines() if line.startswith("| ")), "one width"


def test_the_record_is_the_page_for_programs(peers):
    told = json.loads(report.record({"peers": peers}, goals.judge({"peers": peers}), ABOUT))
    assert told["stages"]["peers"]["tables"][0]["rows"]["idp"]["rounds"][0]["rate"] == 900.0
    assert told["ratios"] == {"peers/jwks": {"node-oidc-provider": 4.0}}
    verdicts = {goal["text"]: goal["verdict"] for goal in told["goals"]}
    assert verdicts["Public keys: idp ÷ node-oidc-provider"] == "met"
    assert verdicts["discovery: idp ÷ node-oidc-provider"] == "not measured"
    assert verdicts["Public keys: idp ÷ canaille"] == "not measured", "who is not there is not beaten"


def test_a_run_is_compared_with_the_recorded_one(tmp_path):
    recorded = tmp_path / "results.json"
    assert "No full run" in report.compare({}, recorded)[0]
    recorded.write_text(
        json.dumps({"ratios": {"peers/jwks": {"node": 4.0, "canaille": 9.0}, "sizes/jwks": {"large": 1.0}}})
    )
    now = {"peers/jwks": {"node": 2.9, "canaille": 9.5}, "sizes/jwks": {"large": 1.3}, "peers/userinfo": {"node": 1.0}}
    lines = report.compare(now, recorded)
    assert [line[0] for line in lines[:-1]] == ["↓", " ", "↑", "?"]
    assert lines[-1].startswith("2 of 3 ratios")


@pytest.mark.parametrize(
    ("goal", "verdict"),
    [
        (goals.Goal("a", 4.0, 4.0), "met"),
        (goals.Goal("a", 3.9, 4.0), "missed"),
        (goals.Goal("a", 1.1, 1.1, at_most=True), "met"),
        (goals.Goal("a", 1.2, 1.1, at_most=True), "missed"),
        (goals.Goal("a", None, 1.0, at_most=True), "not measured"),
    ],
)
def test_a_goal_is_met_by_a_figure_alone(goal, verdict):
    assert goal.verdict == verdict and goal.is_met == (verdict == "met")


def test_goals_are_judged_by_the_stage_that_measures_them():
    share = Table(
        "sign_in", "S", "s", {"the hash alone": row(4.0), "idp": row(3.9)}, "the hash alone", row_over_base=True
    )
    flood = Table(
        "flood", "T", "s", {"undisturbed": row(100.0), "during the flood": row(60.0)}, "undisturbed", row_over_base=True
    )
    steady = Table("introspection", "I", "s", {"70% load": row(10.0, p99_ms=11.0)})
    found = {
        "sign_in": Found("sign_in", "", tables=[share]),
        "flood": Found("flood", "", tables=[flood]),
        "steady": Found("steady", "", tables=[steady]),
        "starting": Found(
            "starting", "", facts=[Fact("idp.worker", 90.0, "MB", ""), Fact("idp.cold_start", 1.5, "s", "")]
        ),
        "sizes": Found(
            "sizes", "", tables=[Table("jwks", "K", "s", {"small": row(100.0), "large": row(95.0)}, "small"), FIRST_USE]
        ),
    }
    assert [goal.verdict for goal in goals.judge(found)] == ["met", "missed", "met", "missed", "missed", "met"]


def test_everybody_has_a_turn_in_every_round_and_who_fails_is_left_out():
    asked: list[str] = []

    def turn(name: str, trouble: Exception | None = None, rate: float = 1.0):
        def take_it(seconds: float) -> Round:
            asked.append(name)
            if trouble:
                raise trouble
            return Round(rate, bad=2)

        return take_it

    rows = take(
        "Keys",
        {"a": turn("a"), "b": turn("b", NoSuchThing()), "c": turn("c", httpx.ReadTimeout("late")), "d": turn("d", rate=0.0), "e": turn("e")},
        rounds=2, seconds=0.0,
    )  # fmt: skip
    assert asked == ["a", "b", "c", "d", "e", "a", "e", "a", "e"]
    assert len(take("Keys", {"a": turn("a"), "b": turn("b")}, rounds=3, seconds=0.0, fewer={"b": 1})["b"].rounds) == 1
    assert len(rows["a"].rounds) == len(rows["e"].rounds) == 2, "the first was to warm up"
    assert rows["b"].trouble == "has no such thing" and rows["c"].trouble == "not measured: ReadTimeout late"
    assert rows["d"].trouble == "not measured: no good answer (2)", "a round without one good answer is no figure"


PRINTED = (
    'noise\nRESULT {"requests": 100, "duration_us": 2000000, "p50_us": 1500, "p99_us": 9000, "status_errors": 4, '
    '"sockets": {"connect": 0, "read": 1, "write": 0, "timeout": 0}, '
    '"good": 30, "refused": 7, "bad": 2, "statuses": "503 500 ", "first_bad": "500 oh"}\n'
)


def test_what_wrk_printed_is_read_by_what_it_was_asked():
    fixed = load.read(PRINTED, Fixed("GET", "/"), cpu_s=0.96)
    assert (fixed.rate, fixed.bad, fixed.p50_ms, fixed.p99_ms, fixed.cpu_ms) == (48.0, 5, 1.5, 9.0, 10.0)
    story = load.read(PRINTED, CodeFlow("/a", "c", "/t", {}, ""), cpu_s=0.3)
    assert (story.rate, story.bad, story.refused, story.cpu_ms, story.first_bad) == (15.0, 3, 7, 10.0, "500 oh")
    assert story.bad_by == "1 × 500, 1 × 503, 1 × socket read", "so that a run explains itself"
    read = load.read(PRINTED, Fixed("POST", "/token"), cpu_s=0.3)
    assert (read.rate, read.bad, read.first_bad) == (15.0, 3, "500 oh")


def test_rounds_of_several_servers_add_up_and_the_worst_time_counts():
    one, other = Round(10.0, 1.0, 5.0, 2.0, 1), Round(30.0, 2.0, 4.0, 4.0, 0, 2, "x")
    assert load.together([one, other]) == Round(40.0, 2.0, 5.0, 3.5, 1, 2, "x")


def test_the_open_generator_sums_up_what_it_saw():
    took = [number / 1000 for number in range(1, 101)]
    assert openloop.summed(took[::-1], Counter({"503": 3}), 10.0) == Round(10.0, 51.0, 100.0, bad=3, bad_by="3 × 503")
    assert openloop.summed([], Counter({"503": 3}), 10.0).rate == 0.0


def test_a_large_store_has_its_shares():
    wanted = fill.plan(people=1_000_000, live=10_000_000)
    assert (wanted.clients, wanted.sessions, wanted.opaque, wanted.families) == (
        10_000,
        5_000_000,
        2_500_000,
        2_500_000,
    )
    assert wanted.live == 10_000_000


def test_every_peer_is_named_and_knows_its_endpoints():
    for name, peer in PEERS.items():
        assert peer.name == name
        paths = (peer.authorize_path, peer.token_path, peer.introspection_path, peer.userinfo_path, peer.jwks_path)
        assert all(path.startswith("/") for path in paths)


def test_every_goal_beside_a_peer_is_about_a_workload():
    assert set(goals.BESIDE_NODE) <= set(BY_NAME)


def test_what_fails_is_told_and_the_rest_goes_on(monkeypatch):
    def broken(bench: object) -> Found:
        raise RuntimeError("out of\n luck")

    monkeypatch.setitem(STAGES, "mix", broken)
    assert command._run("mix", None, ends=inf) == Found("mix", "mix", failed="RuntimeError: out of luck")  # type: ignore[arg-type]
    late = command._run("mix", None, ends=0.0)  # type: ignore[arg-type]
    assert late.failed == "no time was left"


def test_a_part_of_a_run_is_not_recorded(tmp_path, monkeypatch, peers, capsys):
    for name in ("RESULTS", "RECORD"):
        monkeypatch.setattr(command, name, tmp_path / "tree" / getattr(command, name).name)
    options = command._options(["--only", "peers", "--folder", str(tmp_path)])
    assert not options.is_full and options.only == ("peers",)
    command._keep({"peers": peers}, ABOUT, options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.json", "results.md"]
    assert "No full run is recorded yet" in capsys.readouterr().out
    (tmp_path / "tree").mkdir()
    assert command._options([]).is_full and not command._options(["--quick"]).is_full
    options.is_full = True
    command._keep({"peers": replace(peers, note="Whole.")}, ABOUT, options)
    assert "Whole." in (tmp_path / "tree" / "results.md").read_text("utf-8")


def test_a_goal_that_was_missed_is_explained_by_the_profile_and_by_judgement():
    judged = [
        goals.Goal("Refresh", 0.7, 1.5, unit=" ×", about="refresh"),
        goals.Goal("Refresh, others", 9.0, 10.0, unit=" ×", about="refresh"),
        goals.Goal("Keys", 5.0, 4.0, unit=" ×", about="jwks"),
        goals.Goal("Memory", None, 120.0, at_most=True, about="worker"),
    ]
    found = {"profile": Found("profile", "", facts=[Fact("refresh", 2.25, "ms", "", {"psycopg": 0.5, "redis": 0.25})])}
    told = report.missed(found, judged, {"refresh": "Less of it.", "jwks": "No."})
    assert told[2:] == [
        "* Refresh: 0.70 ×",
        "* Refresh, others: 9.00 ×",
        "  * measured: 2.25 ms: psycopg 50%, redis 25%",
        "  * judgement: Less of it.",
        "",
    ]
    assert "judgement" in told[1] and report.missed(found, judged[2:], {}) == []


def test_judgements_are_about_work_that_has_a_goal():
    about = set(goals.BESIDE_NODE) | {"sign_in", "flood", "worker", "cold_start"}
    about |= {f"{stage}_{name}" for stage in ("sizes", "steady") for name in BY_NAME}
    assert set(report.judgements(report.JUDGEMENT)) <= about


def test_what_a_start_loads_is_told_by_package():
    printed = (
        "import time: self [us] | cumulative | imported package\nimport time:       300 |        300 | idp.config\n"
    )
    printed += "import time:       600 |        900 |   flask.app\nimport time:       100 |        100 |     json\n"
    assert profile.by_module(printed) == {"idp": 0.3, "flask": 0.6, "Python": 0.1}


def test_a_profile_is_told_by_package_and_what_is_built_in_counts_where_it_was_called():
    stats = {
        ("/a/site-packages/redis/client.py", 1, "f"): (1, 1, 2.0, 9.0, {}),
        ("/srv/idp/oauth/tokens.py", 1, "g"): (1, 1, 1.0, 9.0, {}),
        ("/lib/python3.11/json/encoder.py", 1, "h"): (1, 1, 0.5, 9.0, {}),
        ("~", 0, "<built-in>"): (1, 1, 1.5, 1.5, {("/srv/idp/oauth/tokens.py", 1, "g"): (1, 1, 1.5, 1.5)}),
    }
    assert profile.by_package(stats) == {"redis": 0.4, "idp.oauth": 0.5, "Python": 0.1}


SIZING = (Path(command.__file__).parents[1] / "docs" / "sizing.md").read_text("utf-8")
RECORDED = json.loads(command.RECORD.read_text("utf-8"))


def test_the_page_on_sizing_points_to_what_the_record_holds():
    titles = {stage["title"].lower() for stage in RECORDED["stages"].values()}
    named = {" ".join(found.split()).lower() for found in re.findall(r"(?<!\*)\*([A-Z][^*]+)\*(?!\*)", SIZING)}
    assert len(named) >= 6
    assert {name.replace("70 %", "70%") for name in named} <= titles


def test_the_page_on_sizing_types_no_measured_figure():
    """Rates, times and sizes of a run belong to the record; what stands in the page is settings and arithmetic."""
    typed = re.findall(r"\d[\d.,]*\s?(?:ms|MB|GB|bytes|requests|sign-ins|/s)\b", SIZING)
    assert typed == []


def test_the_page_is_the_record_for_readers():
    page = command.RESULTS.read_text("utf-8")
    assert RECORDED["about"]["made_at"] in page
    for stage in RECORDED["stages"].values():
        assert f"## {stage['title']}" in page
        assert all(fact["text"] in page for fact in stage["facts"])
    met = sum(goal["verdict"] == "met" for goal in RECORDED["goals"])
    assert f"## Goals: {met} of {len(RECORDED['goals'])} met" in page
