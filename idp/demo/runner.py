"""runner — `idp demo`: the identity provider and two services on loopback, with nothing to install and nothing left behind.

Starts the bundled Valkey and three server processes, says where they are and who can sign in, and stops everything in order at
Ctrl-C or SIGTERM. Each child also ends by itself when this process is killed (`embedded.Child`).
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click
import httpx

from idp import embedded
from idp.demo import stage
from idp.demo.facts import Facts, Ports

START_TIMEOUT_S = 60.0
OURS = ("config.toml", "demo.json", "idp.db", "idp.db-wal", "idp.db-shm", "checkpoints.jsonl", "valkey", "log")


class DemoFailed(Exception):
    """The demo cannot run; the message says why and what to do."""


@dataclass(frozen=True)
class Part:
    """A server process of the demo."""

    name: str
    health_url: str
    child: embedded.Child
    log: Path


def main(
    var: Path = Path("var"),
    *,
    port: int = 8000,
    claims_port: int = 8001,
    patients_port: int = 8002,
    reset: bool = False,
) -> int:
    """Run the demo with its state in `var` until a signal ends it; returns the exit status."""
    stopping = threading.Event()
    _on_signals(stopping)
    ports = Ports(idp=port, claims=claims_port, patients=patients_port)
    try:
        _run(var.resolve(), ports, reset=reset, stopping=stopping)
    except (DemoFailed, embedded.EmbeddedError) as failed:
        click.echo(f"idp demo: {failed}", err=True)
        return 1
    return 0


def _run(var: Path, ports: Ports, *, reset: bool, stopping: threading.Event) -> None:
    var.mkdir(parents=True, exist_ok=True, mode=0o700)
    var.chmod(0o700)
    if reset:
        _forget(var)
    with embedded.start(var / "valkey"):
        _refuse_taken_ports(ports)
        app, facts = stage.prepare(var, ports)
        parts: list[Part] = []
        try:
            parts += _start(var, ports, facts)
            stage.populate(app, facts)
            _wait_until_healthy(parts, stopping)
            if not stopping.is_set():
                click.echo(_told(var, facts))
            _watch(parts, stopping)
        finally:
            _stop(parts)


def _forget(var: Path) -> None:
    """Remove what earlier starts left, by name: the directory may hold other things."""
    embedded.start(var / "valkey", persist=False).stop()  # raises while another demo runs here
    for name in OURS:
        path = var / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _refuse_taken_ports(ports: Ports) -> None:
    options = (("--port", ports.idp), ("--claims-port", ports.claims), ("--patients-port", ports.patients))
    if len({port for _, port in options}) < len(options):
        raise DemoFailed("The three servers need three different ports.")
    for option, port in options:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as trouble:
                raise DemoFailed(
                    f"Port {port} cannot be used ({trouble.strerror}). Stop the program that has it, or choose "
                    f"another port: idp demo {option} {port + 10}"
                ) from None


# --- processes -----------------------------------------------------------------------------------------------


def _start(var: Path, ports: Ports, facts: Facts) -> list[Part]:
    """Three children, each with its own log below `var/log`."""
    logs = var / "log"
    logs.mkdir(exist_ok=True, mode=0o700)
    parts: list[Part] = []
    try:
        serve = f"from idp.cli import main; main(['--config', {str(var / 'config.toml')!r}, 'serve'])"
        parts.append(
            _part("identity provider", [sys.executable, "-c", serve], logs / "idp.log", f"{facts.issuer}/readyz",
                  DEMO_FACTS=str(var / "demo.json"))
        )  # fmt: skip
        parts.append(
            _part("claims service", _service("claims", facts, ports.claims), logs / "claims.log",
                  f"{facts.claims_url}/healthz", DEMO_CLIENT_SECRET=facts.clients["claims"].client_secret)
        )  # fmt: skip
        parts.append(
            _part("patient service", _service("patients", facts, ports.patients), logs / "patients.log",
                  f"{facts.patients_url}/healthz", DEMO_CLIENT_SECRET=facts.clients["patients"].client_secret,
                  DEMO_PARTNER_SECRET=facts.clients["partner"].client_secret)
        )  # fmt: skip
    except BaseException:
        _stop(parts)
        raise
    return parts


def _service(name: str, facts: Facts, port: int) -> list[str]:
    mine, peer = (facts.claims_url, facts.patients_url) if name == "claims" else (facts.patients_url, facts.claims_url)
    options = {
        "issuer": facts.issuer,
        "base-url": mine,
        "resource": facts.claims_resource if name == "claims" else facts.patients_resource,
        "client-id": facts.clients[name].client_id,
        "peer-url": peer,
        "port": str(port),
    }
    if name == "patients":
        options["partner-id"] = facts.clients["partner"].client_id
    arguments = [part for option, value in options.items() for part in (f"--{option}", value)]
    return [sys.executable, "-m", f"idp.demo.{name}", *arguments]


def _part(name: str, argv: Sequence[str], log: Path, health_url: str, **environ: str) -> Part:
    """Settings of the outside (`IDP_…`) are for other installations and stay outside."""
    log.unlink(missing_ok=True)
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("IDP_", "DEMO_"))}
    return Part(name, health_url, embedded.Child(argv, log=log, environ=inherited | environ), log)


def _wait_until_healthy(parts: Sequence[Part], stopping: threading.Event) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    with httpx.Client(trust_env=False, timeout=2.0) as http:
        for part in parts:
            while not _healthy(http, part) and not stopping.is_set():
                _refuse_dead(parts)
                if time.monotonic() > deadline:
                    raise DemoFailed(_about(part, "does not answer"))
                stopping.wait(0.05)


def _healthy(http: httpx.Client, part: Part) -> bool:
    try:
        return http.get(part.health_url).status_code == 200
    except httpx.HTTPError:
        return False


def _watch(parts: Sequence[Part], stopping: threading.Event) -> None:
    while not stopping.wait(0.5):
        _refuse_dead(parts)


def _refuse_dead(parts: Sequence[Part]) -> None:
    for part in parts:
        status = part.child.poll()
        if status is not None:
            raise DemoFailed(_about(part, f"ended with status {status}"))


def _about(part: Part, what: str) -> str:
    return f"The {part.name} {what}. The end of {part.log}:\n{embedded.tail(part.log)}"


def _stop(parts: Sequence[Part]) -> None:
    """Services first, then the provider, which finishes what it is doing; the database server comes last, in `_run`."""
    for part in reversed(parts):
        part.child.ask_to_stop()
    for part in reversed(parts):
        part.child.stop(timeout_s=25.0)


def _on_signals(stopping: threading.Event) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


# --- what the newcomer reads ---------------------------------------------------------------------------------


def _told(var: Path, facts: Facts) -> str:
    places = [
        ("Claims service", facts.claims_url, "begin here"),
        ("Patient service", facts.patients_url, "the same sign-in"),
        ("A third party", facts.partner_url, "has to ask for your consent"),
        ("Identity provider", facts.issuer, "your account"),
        ("Codes and mails", facts.codes_url, "everybody's authenticator app and mailbox"),
    ]
    people = [
        (
            person.username,
            person.password or "invited",
            "code" if person.totp_secret else "enrols first",
            _who(person.who, person.npi),
        )
        for person in facts.people
    ]
    near = _relative(var)
    return "\n".join(
        [
            "",
            click.style("idp demo runs. Everybody and everything in it is invented.", bold=True),
            "",
            *_aligned(places),
            "",
            *_aligned([("Username", "Password", "Second step", "Who"), *people], heading=True),
            "",
            f"For scripts: {near / 'demo.json'}    Logs: {near / 'log'}    "
            "The trail: idp audit tail, idp audit verify    Stop: Ctrl-C",
            "",
        ]
    )


def _who(who: str, npi: str) -> str:
    return f"{who}, NPI {npi}" if npi else who


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _aligned(rows: Sequence[Sequence[str]], *, heading: bool = False) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  " + "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    if heading:
        lines[0] = click.style(lines[0], bold=True)
    return lines
