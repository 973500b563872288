"""A real `idp serve` in a process of its own, for tests that kill it, drain it or talk to it from outside."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from click.testing import CliRunner, Result

from idp.cli import main
from tests.conftest import fresh_key

_numbers = itertools.count()


_FIRST, _LAST = (
    20_000,
    32_000,
)  # below those that Linux gives to whoever asks for any: a connection of a neighbour is one of them
_ports = itertools.cycle(random.SystemRandom().sample(range(_FIRST, _LAST), 2_000))


def free_port() -> int:
    """A port that nobody has just now, that nobody is given by chance, and that this process was not told before."""
    for port in _ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("the cycle ends")


def was_read(server: Server, connection: socket.socket) -> bool:
    """Whether the server has taken all that was sent on this connection, as /proc/net/tcp tells it."""
    ours, theirs = f":{server.port:04X}", f":{connection.getsockname()[1]:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, queues, *_ = line.split()
        if local.endswith(ours) and remote.endswith(theirs):
            return state == "01" and queues.endswith(":00000000")
    return False


def write_config(folder: Path, *, database_url: str, redis_url: str, port: int, **sections: dict[str, Any]) -> Path:
    """A configuration in development mode; `sections` adds or changes settings: limits={"global_per_minute": 9}."""
    wanted: dict[str, dict[str, Any]] = {
        "server": {"issuer": f"http://localhost:{port}", "port": port, "workers": 2, "drain_s": 30},
        "database": {"url": database_url},
        "redis": {"url": redis_url, "prefix": f"s{os.getpid()}:{next(_numbers)}:"},
        "secrets": {"sealing_keys": [fresh_key("s1")], "peppers": [fresh_key("p1")]},
        "passwords": {"bcrypt_cost": 4},
        "audit": {"checkpoint_file": str(folder / "checkpoints.jsonl"), "seal_interval_s": 0.2},
        "factors": {"require_second": False},
    }
    for section, values in sections.items():
        wanted[section] = wanted.get(section, {}) | values
    lines = ['mode = "development"']
    for section, values in wanted.items():
        lines += [f"[{section}]", *(f"{name} = {_toml(value)}" for name, value in values.items())]
    file = folder / "config.toml"
    file.write_text("\n".join(lines) + "\n")
    file.chmod(0o600)
    return file


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return str(value) if isinstance(value, int | float) else f'"{value}"'


class Server:
    """One `idp serve`, leader of a process group of its own."""

    def __init__(self, config_file: Path) -> None:
        self.config_file = config_file
        self.url = str(re.search(r'issuer = "(.+)"', config_file.read_text())[1])  # type: ignore[index]
        self.log = config_file.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self, *, within_s: float = 150.0) -> Server:
        """Start and wait until it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*IDP, "--config", str(self.config_file), "serve"],
                stdout=log,
                stderr=log,
                env=clean_environment(),
                start_new_session=True,
            )
        self.wait_until_ready(within_s=within_s)
        return self

    def wait_until_ready(self, *, within_s: float = 150.0) -> None:
        deadline = time.monotonic() + within_s
        while not self.is_ready():
            assert self.process is not None
            assert self.process.poll() is None, f"idp serve ended:\n{self.log.read_text()}"
            assert time.monotonic() < deadline, f"idp serve is not ready:\n{self.log.read_text()}"
            time.sleep(0.05)

    def is_ready(self) -> bool:
        try:  # without the authorities of the world, which take 30 ms of CPU to read at every try
            return httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False, verify=False).status_code == 200
        except httpx.HTTPError:
            return False

    def idp(self, *words: str) -> Result:
        """Run another command on the same installation, in this process."""
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        try:
            return CliRunner().invoke(main, ["--config", str(self.config_file), *words])
        finally:
            logging.captureWarnings(False)
            root.handlers[:], root.level = handlers, level

    def refuses(self) -> subprocess.CompletedProcess[str]:
        """Run `idp serve` where it is expected to end by itself."""
        return subprocess.run(
            [*IDP, "--config", str(self.config_file), "serve"],
            capture_output=True, text=True, env=clean_environment(), timeout=180,
        )  # fmt: skip

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        return [int(found) for found in re.findall(r"Spawning worker-\d+ with PID: (\d+)", self.log.read_text())]

    def kill_everything(self) -> None:
        """SIGKILL for the parent and every worker at once, as a machine that loses power."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, *, within_s: float = 90.0) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(within_s)
        finally:
            if self.process.poll() is None:
                self.kill_everything()


IDP = (sys.executable, "-c", "from idp.cli import main; main()")


def clean_environment() -> dict[str, str]:
    """Nothing of the outside decides a test."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("IDP_", "PROMETHEUS_"))}
