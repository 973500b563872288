"""One running demo for all journeys of a test process."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.journeys.wire import Browser, Phone, RunningDemo


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    """`idp demo` on free ports, with its state in a fresh directory."""
    running = RunningDemo(Path(tmp_path_factory.mktemp("demo")) / "var")
    try:
        yield running.wait()
    finally:
        running.stop()


@pytest.fixture(scope="session")
def phones(demo: RunningDemo) -> dict[str, Phone]:
    """Everybody's authenticator app, by the beginning of the username; shared, because a code counts once."""
    return {
        one["username"].split(".")[0]: Phone(one["totp_secret"], partial(demo.forget_codes, one["username"]))
        for one in demo.facts["people"]
        if one["totp_secret"]
    }


@pytest.fixture
def browser() -> Iterator[Browser]:
    """A browser with an empty cookie jar."""
    with Browser() as opened:
        yield opened
