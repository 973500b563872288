"""One Chromium for all browser tests of a test process: to start one costs more than most of those tests do."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # tests without a browser do not pay for it
    from playwright.sync_api import Browser

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (tests/browser.sh)")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = (
    30_000  # for `expect` and for clicks: a wait ends when the thing is there, so that only a failure takes so long
)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser itself. Nothing is shared through it: every test opens a context of its own, which is a fresh profile."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def without_the_loop_of_playwright(request: pytest.FixtureRequest) -> Iterator[None]:
    """Its loop runs in the main thread from the first browser test to the last, and a test without a browser may want one of its own."""
    if "chromium" in request.fixturenames:
        yield
        return
    running = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(running)
