"""`idp demo` as a newcomer meets it: starts, tells, keeps its state, complains clearly, leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from idp import config, embedded
from idp.demo import facts, runner, stage
from idp.users import valid_npi
from tests.journeys.wire import Browser, Phone, RunningDemo, free_ports

pytestmark = pytest.mark.xdist_group("demo")


def descendants(pid: int) -> list[int]:
    """The processes below this one, as /proc tells it."""
    children = [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [one for child in children for one in (child, *descendants(child))]


def alive(pids: list[int]) -> list[int]:
    """Those of them that still run."""
    return [pid for pid in pids if state(pid) not in ("", "Z", "X")]


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def wait_until(true, within_s: float = 90.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.1)
    return False


def test_it_tells_ends_without_a_trace_comes_back_elsewhere_and_dies_whole(tmp_path):
    var = tmp_path / "var"
    first = RunningDemo(var).wait()
    before, marisol, processes = first.facts, first.person("marisol"), descendants(first.process.pid)
    with Browser() as browser:
        tells_everything(first)
        page = browser.sign_in(browser.open(before["claims_url"]), marisol, Phone(marisol["totp_secret"]))
        assert "Hello, Marisol Quint" in page.text
        assert first.stop() == 0
        left_nothing(first, processes)
        is_private(var)

        second = RunningDemo(var).wait()  # on other ports
        assert second.ports != first.ports
        assert second.facts["people"] == before["people"]
        page = browser.open(second.facts["claims_url"])  # the SSO session was kept, the service's own was not
        assert page.url == f"{second.facts['claims_url']}/dashboard"
        assert "Hello, Marisol Quint" in page.text
        assert not [step for step in page.path if "/login" in step]

    processes = descendants(second.process.pid)
    second.process.send_signal(signal.SIGKILL)
    second.process.wait()
    assert wait_until(lambda: not alive(processes)), alive(processes)


def tells_everything(demo):
    for url in (demo.facts["issuer"], demo.facts["claims_url"], demo.facts["patients_url"], demo.facts["codes_url"]):
        assert url in demo.output
    for person in demo.facts["people"]:
        assert person["username"] in demo.output
        assert (person["password"] or "invited") in demo.output


def left_nothing(demo, processes):
    assert len(processes) >= 4
    assert not alive(processes)
    assert not list(demo.var.rglob("*.sock"))
    for port in demo.ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


def is_private(var):
    assert var.stat().st_mode & 0o777 == 0o700
    for name in ("demo.json", "config.toml"):
        assert (var / name).stat().st_mode & 0o777 == 0o600


def test_reset_begins_anew_and_a_server_that_dies_ends_the_demo_and_shows_its_log(tmp_path):
    var = tmp_path / "var"
    var.mkdir()
    (var / "idp.db").write_text("not a database any more")
    demo = RunningDemo(var, options=("--reset",)).wait()
    processes = descendants(demo.process.pid)
    victim = next(pid for pid in processes if b"idp.demo.claims" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(victim, signal.SIGKILL)
    assert demo.process.wait(120) == 1
    assert wait_until(lambda: "claims service ended" in demo.output)
    assert "claims.log" in demo.output
    assert not alive(processes)


def test_a_taken_port_is_named_with_the_way_out(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        demo = RunningDemo(tmp_path / "var", ports=[*free_ports(2), port])
        assert demo.process.wait(120) == 1
    assert wait_until(lambda: f"Port {port} cannot be used" in demo.output)
    assert "--patients-port" in demo.output
    assert "Traceback" not in demo.output


def test_a_second_demo_on_the_same_directory_is_refused(tmp_path):
    with embedded.start(tmp_path / "var" / "valkey"):
        demo = RunningDemo(tmp_path / "var")
        assert demo.process.wait(120) == 1
    assert wait_until(lambda: "Another idp runs on" in demo.output)


def test_one_port_for_two_servers_is_refused(tmp_path, capsys):
    with pytest.raises(runner.DemoFailed, match="three different ports"):
        runner._refuse_taken_ports(facts.Ports(idp=9, claims=9, patients=10))


def test_reset_forgets_what_is_ours_and_nothing_else(tmp_path):
    (tmp_path / "idp.db").write_text("old")
    (tmp_path / "notes.txt").write_text("mine")
    runner._forget(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_settings_of_another_installation_stay_outside(tmp_path, monkeypatch):
    monkeypatch.setenv("IDP_DATABASE_URL", "postgresql://elsewhere")
    part = runner._part("echo", ["/usr/bin/env"], tmp_path / "log", "http://localhost:1/", DEMO_FACTS="here")
    assert wait_until(lambda: part.child.poll() == 0)
    part.child.stop()
    said = part.log.read_text()
    assert "DEMO_FACTS=here" in said
    assert "elsewhere" not in said


def test_everybody_is_invented_and_every_npi_is_well_formed():
    for person in stage.PEOPLE:
        assert not person.email or person.email.endswith("@example.org")
        assert not person.npi or valid_npi(person.npi)
    assert {"Physician", "Biller", "Security officer", "Administrator"} <= {one.who for one in stage.PEOPLE}


def test_the_configuration_is_a_demo_on_loopback_and_edits_survive(tmp_path):
    ports = facts.Ports(idp=9000, claims=9001, patients=9002)
    stage._write_configuration(tmp_path, ports)
    path = tmp_path / "config.toml"
    settings = config.load(path, {})
    assert settings.demo
    assert settings.server.issuer == "http://localhost:9000"
    assert settings.server.bind == "127.0.0.1"
    assert [resource.identifier for resource in settings.resources] == [
        "http://localhost:9001/api",
        "http://localhost:9002/api",
    ]
    path.write_text(path.read_text() + "\n# mine\n")
    stage._write_configuration(tmp_path, ports)
    assert path.read_text().endswith("# mine\n")
    stage._write_configuration(tmp_path, facts.Ports(idp=9010, claims=9011, patients=9012))
    again = config.load(path, {})
    assert again.server.issuer == "http://localhost:9010"
    assert again.secrets == settings.secrets


def test_facts_that_were_cut_off_are_made_anew(tmp_path):
    path = tmp_path / "demo.json"
    assert facts.load(path) is None
    path.write_text('{"issuer": "http://loc')
    assert facts.load(path) is None
    path.write_text("[]")
    assert facts.load(path) is None


def test_the_services_import_nothing_of_the_provider():
    for name in ("claims", "patients"):
        code = (
            f"import sys, idp.demo.{name}; "
            "print(sorted(m for m in sys.modules if m.startswith('idp.') and not m.startswith('idp.demo')))"
        )
        program = (
            "import sys, types; p = types.ModuleType('idp'); p.__path__ = ['idp']; sys.modules['idp'] = p; " + code
        )
        told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert told.stdout.strip() == "[]", told.stdout + told.stderr
