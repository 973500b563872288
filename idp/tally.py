"""tally — the private directory in which the processes of one node write their numbers down (prometheus_client's multiprocess mode).

The library decides when it is imported whether numbers are shared, so the directory must be named before `idp.metrics` is loaded.
That is all that this module is for: it loads nothing.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # the name is the library's


@contextmanager
def shared() -> Iterator[Path]:
    """Name a fresh directory for this process and all that it starts; it is gone when they have ended."""
    directory = Path(tempfile.mkdtemp(prefix="idp-metrics-"))
    os.environ[_VARIABLE] = str(directory)
    try:
        yield directory
    finally:
        os.environ.pop(_VARIABLE, None)
        shutil.rmtree(directory, ignore_errors=True)


def directory() -> Path | None:
    """Return the directory, or None where numbers are not shared."""
    named = os.environ.get(_VARIABLE, "")
    return Path(named) if named and Path(named).is_dir() else None
