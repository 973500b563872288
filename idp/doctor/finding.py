"""One line of the doctor's report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from idp.config import Settings

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """What was found. `warn` works today and should be mended; `fail` keeps people from signing in or breaks a promise."""

    check: str
    state: State
    message: str
    remedy: str = ""


Check = Callable[[Settings], Iterable[Finding]]
