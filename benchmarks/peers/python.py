"""What peers written in Python have in common: an environment of their own, and granian with four threads in front."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.base import run

_STAMP = "installed.txt"


def install(folder: Path, wanted: Sequence[str]) -> str:
    """Make the environment if it is not as wanted, and return the versions. Raises NotInstalled."""
    told, stamp = ", ".join(wanted), folder / _STAMP
    if not stamp.exists() or stamp.read_text("utf-8") != told:
        run(sys.executable, "-m", "venv", "--clear", folder / "venv", cwd=folder)
        run(
            program(folder, "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            *wanted,
            cwd=folder,
        )
        stamp.write_text(told, "utf-8")
    return told.replace("==", " ") + f", Python {sys.version.split()[0]}"


def program(folder: Path, name: str) -> Path:
    """Return a program of that environment."""
    return folder / "venv" / "bin" / name


def granian(folder: Path, application: str, port: int) -> list[str]:
    """Return the command that serves a WSGI application: one worker, four threads, no access log."""
    return [
        *(str(program(folder, "granian")), "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", "1", "--blocking-threads", "4", "--no-access-log", "--log-level", "error", application),
    ]


def inherited(env: dict[str, str]) -> dict[str, str]:
    """Return our environment without what is about our own Python, and with this."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | env
