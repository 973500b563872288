"""The bundled Valkey: one socket, data that survives, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from idp import embedded


def gone(pid: int, within_s: float = 60.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_answers_on_a_private_socket_and_on_no_port(tmp_path):
    with embedded.start(tmp_path) as server:
        client = redis.Redis.from_url(server.url)
        assert client.ping()
        assert client.config_get("port") == {"port": "0"}
        assert server.socket.stat().st_mode & 0o777 == 0o700
        client.close()
        pid = server.pid
    assert not server.socket.exists()
    assert gone(pid)


def test_data_survives_a_restart_even_a_violent_one(tmp_path):
    first = embedded.start(tmp_path)
    with redis.Redis.from_url(first.url) as client:
        client.set("sso:1", "alive")
    os.kill(first.pid, signal.SIGKILL)
    first.stop()
    with embedded.start(tmp_path) as second, redis.Redis.from_url(second.url) as client:
        assert client.get("sso:1") == b"alive"


def test_a_stale_socket_is_cleared_away(tmp_path):
    server = embedded.start(tmp_path)
    os.kill(server.pid, signal.SIGKILL)
    server._child.process.wait()
    assert server.socket.exists()
    server._lock.close()  # as if our process had died with it
    with embedded.start(tmp_path) as second:
        assert embedded.answers(second.socket)
    server.stop()


def test_a_second_owner_of_the_same_directory_is_told_so(tmp_path):
    with (
        embedded.start(tmp_path) as first,
        pytest.raises(embedded.EmbeddedError, match="Another idp runs on"),
    ):
        embedded.start(tmp_path)
    assert first.poll() is None


def test_a_path_too_long_for_a_socket_falls_back_to_a_short_private_directory(tmp_path):
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    assert embedded.socket_path(deep) == embedded.socket_path(deep)
    with embedded.start(deep) as server:
        assert len(os.fsencode(server.socket)) <= embedded.MAX_SOCKET_PATH
        assert server.socket.parent.stat().st_mode & 0o777 == 0o700
        assert embedded.answers(server.socket)
        assert (deep / "appendonlydir").is_dir()
    server.socket.parent.rmdir()


def test_a_short_directory_that_others_can_read_is_refused(tmp_path):
    deep = tmp_path / ("f" * 60) / ("g" * 60)
    parent = embedded.socket_path(deep).parent
    parent.chmod(0o755)
    with pytest.raises(embedded.EmbeddedError, match="not a private directory"):
        embedded.start(deep)
    parent.rmdir()


def test_nothing_is_left_when_the_parent_is_killed(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from idp import embedded;"
        "s = embedded.start(Path(sys.argv[1])); print(s.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert parent.stdout
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone(pid)
    with embedded.start(tmp_path) as again:
        assert embedded.answers(again.socket)


def test_a_child_that_ignores_sigterm_is_killed_with_its_group(tmp_path):
    child = embedded.Child(["/bin/sh", "-c", f"trap '' TERM; touch {tmp_path}/deaf; sleep 60 & wait; sleep 60"])
    while not (tmp_path / "deaf").exists():
        time.sleep(0.01)
    child.stop(timeout_s=0.3)
    assert child.poll() == -signal.SIGKILL


def test_a_server_that_cannot_start_says_why(tmp_path):
    blocker = tmp_path / "appendonlydir"
    blocker.write_text("not a directory")
    with pytest.raises(embedded.EmbeddedError, match="did not start"):
        embedded.start(tmp_path)
    with pytest.raises(embedded.EmbeddedError, match="did not start"):
        embedded.start(tmp_path)  # and the lock was let go
