"""The access log takes a short way where its lines are JSON on standard error; the line is the same."""

from __future__ import annotations

import json
import logging
import os
import sys
import time

import pytest

from idp import logs
from idp.config.schema import Log

FORGED = "Firefox\n{}\u202e code=abcdefgh Bearer abcdefghijkl"


@pytest.fixture
def straight(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Logging as a worker has it; returns what goes to standard error."""
    root, access, written = logging.Logger("root", logging.INFO), logging.Logger("idp.access"), []
    out = logging.StreamHandler(sys.__stderr__)
    out.setFormatter(logs.JsonFormatter())
    root.addHandler(out)
    access.parent = root
    monkeypatch.setattr(logs, "_ROOT", root)
    monkeypatch.setattr(logs, "ACCESS", access)
    monkeypatch.setattr(logs, "_request_id", lambda: "request-1")
    monkeypatch.setattr(os, "write", lambda place, line: written.append(line) or len(line))
    monkeypatch.setattr(out, "emit", lambda record: written.append(out.format(record).encode() + b"\n"))
    return written


def answered(agent: str = FORGED) -> None:
    logs.write_access(
        "POST", "/token with\nblank", 200, route="/token", began_at=time.perf_counter(), address="192.0.2.7", size=12,
        agent=agent,
    )  # fmt: skip


def test_attack_132_both_ways_write_the_same_line(straight: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    answered()
    monkeypatch.setattr(logs, "_goes_straight", lambda: False)
    answered()
    short, usual = (json.loads(line) for line in straight)
    for volatile in ("time", "duration_ms"):
        assert type(short.pop(volatile)) is type(usual.pop(volatile))
    assert short == usual
    assert list(short)[:4] == ["level", "logger", "message", "pid"]
    assert all(line.count(b"\n") == 1 for line in straight) and "abcdefgh" not in str(straight)


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_was_configured_decides(form: str, straight: list[bytes]) -> None:
    assert logs._goes_straight()
    formatter = logs.dict_config(Log(format=form))["formatters"]["ours"]["()"]
    logs._ROOT.handlers[0].setFormatter(getattr(logs, formatter.rpartition(".")[2])())
    assert logs._goes_straight() == (form == "json")
    logs._ROOT.addHandler(logging.NullHandler())
    assert not logs._goes_straight(), "whoever listens beside us hears everything"


def test_probes_that_are_well_are_not_told(straight: list[bytes]) -> None:
    logs.write_access("GET", "/healthz", 200, route="/healthz", began_at=None, address=None, size=2, agent="")
    assert straight == []
