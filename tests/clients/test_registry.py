"""The registry: secrets that nobody reads again, rotation with overlap, the cache and its counter."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa

from idp import clients, kv
from idp.clients import registry
from idp.db import committing, db
from idp.errors import BadInput, Conflict, NotFound
from tests.conftest import in_threads

WEB = {"client_name": "Claims", "redirect_uris": ["https://rp.example.org/cb"]}


def register(**changes):
    with committing():
        return clients.create(WEB | changes)


def test_attack_131_a_secret_is_told_once_and_kept_as_a_digest(app, audit_trail):
    client, raw_secret = register()
    assert len(raw_secret) == 43  # 256 bits
    stored = db.session.execute(sa.text("SELECT secrets FROM clients")).scalar_one()
    assert raw_secret not in stored
    assert raw_secret not in repr(client) and client.secrets[0].digest not in repr(client)
    assert "secrets" not in client.metadata()
    assert clients.get(client.client_id).check_secret(raw_secret)
    assert "client.created" in audit_trail


def test_a_wrong_secret_is_no_secret(app):
    client, raw_secret = register()
    for wrong in ("", raw_secret[:-1], raw_secret + "x", raw_secret.swapcase()):
        assert not client.check_secret(wrong)


def test_a_public_client_has_no_secret(app):
    client, raw_secret = register(token_endpoint_auth_method="none")
    assert raw_secret is None and client.is_public
    assert not client.check_secret("")
    with pytest.raises(BadInput):
        clients.rotate_secret(client.client_id)


def test_two_secrets_overlap_during_a_rotation_and_never_three(app, travel, audit_trail):
    client, first = register()
    with committing():
        second = clients.rotate_secret(client.client_id, overlap_s=3600)
    rotated = clients.get(client.client_id)
    assert rotated.check_secret(first) and rotated.check_secret(second)
    with committing():
        third = clients.rotate_secret(client.client_id, overlap_s=3600)
    rotated = clients.get(client.client_id)
    assert not rotated.check_secret(first) and rotated.check_secret(second) and rotated.check_secret(third)
    travel(3601)
    assert not rotated.check_secret(second) and rotated.check_secret(third)
    assert "client.secret_rotated" in audit_trail


def test_a_rotation_without_overlap_ends_the_old_secret_at_once(app):
    client, first = register()
    with committing():
        second = clients.rotate_secret(client.client_id, overlap_s=0)
    assert not clients.get(client.client_id).check_secret(first)
    assert clients.get(client.client_id).check_secret(second)


def test_a_chosen_id_and_secret_are_checked(app):
    with committing():
        client, raw = clients.create(WEB, client_id="claims-web", secret="s" * 40)
    assert client.client_id == "claims-web" and raw == "s" * 40
    for bad in ("x", "_abcdefgh", "a b c", "a" * 65, "client:x", "ü-client"):
        with pytest.raises(BadInput):
            clients.create(WEB, client_id=bad)
    for weak in ("short", "s" * 31, "s" * 39 + "\n"):
        with pytest.raises(BadInput):
            clients.create(WEB, client_id="other-web", secret=weak)
    with pytest.raises(Conflict):
        clients.create(WEB, client_id="claims-web")


def test_of_twenty_who_take_one_id_one_has_it(app):
    def take(_number):
        with committing():
            return clients.create(WEB, client_id="contested")

    results = in_threads(20, app, take)
    assert sum(isinstance(result, tuple) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 19


def test_update_changes_what_it_names_and_checks_the_whole(app, audit_trail):
    client, raw = register(scope="openid claims.read", contacts=["dev@example.org"])
    with committing():
        changed = clients.update(client.client_id, {"client_name": "Claims 2", "contacts": []})
    assert changed.client_name == "Claims 2" and changed.contacts == () and changed.scope == "openid claims.read"
    assert clients.get(client.client_id).check_secret(raw)
    with pytest.raises(clients.InvalidMetadata):
        clients.update(client.client_id, {"redirect_uris": []})
    with pytest.raises(clients.InvalidMetadata):
        clients.update(client.client_id, {"token_endpoint_auth_method": "none"})
    assert "client.updated" in audit_trail


def test_delete_forgets(app, audit_trail):
    client, _ = register()
    assert clients.find(client.client_id)
    with committing():
        clients.delete(client.client_id)
    assert clients.find(client.client_id) is None
    with pytest.raises(NotFound):
        clients.delete(client.client_id)
    with pytest.raises(NotFound):
        clients.get(client.client_id)
    assert "client.deleted" in audit_trail


def test_what_was_rolled_back_is_not_remembered(app):
    client, _ = register()
    clients.update(client.client_id, {"client_name": "Never"})
    assert clients.get(client.client_id).client_name == "Never"
    db.session.rollback()
    assert clients.get(client.client_id).client_name == "Claims"


def test_search_pages_by_name_and_id(app):
    for name in ("Alpha", "Beta", "Gamma 100%"):
        register(client_name=name)
    assert [client.client_name for client in clients.search().clients] == ["Alpha", "Beta", "Gamma 100%"]
    page = clients.search(limit=1, offset=1)
    assert [client.client_name for client in page.clients] == ["Beta"] and page.total == 3
    assert clients.search("beta").total == 1
    assert clients.search("100%").total == 1 and clients.search("%").total == 1


def test_a_found_client_costs_no_query(app):
    client, _ = register()
    clients.get(client.client_id)
    db.session.rollback()
    seen = []
    sa.event.listen(db.engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
    assert clients.get(client.client_id).client_id == client.client_id
    assert seen == []


def test_a_client_that_is_not_known_yet_costs_one_statement_and_no_transaction(app):
    client, _ = register()
    db.session.commit()
    db.session.remove()
    app.extensions["idp.clients"].forget()
    seen = []
    sa.event.listen(db.engine, "begin", lambda *args: seen.append("begin"))
    assert clients.get(client.client_id) == client
    assert not seen and not db.session.registry.has()


def test_thousands_of_clients_share_what_they_have_in_common(app):
    one, other = (clients.get(register()[0].client_id) for _ in range(2))
    assert one is not other and one.token_endpoint_auth_method is other.token_endpoint_auth_method
    assert not hasattr(one, "__dict__"), "a client takes no more than its fields"


def test_a_full_cache_forgets_the_client_that_came_first_and_no_other(app, monkeypatch):
    monkeypatch.setattr(registry, "_CACHE_SIZE", 2)
    ids = [register()[0].client_id for _ in range(3)]
    db.session.commit()
    for client_id in ids:
        clients.get(client_id)
    assert list(app.extensions["idp.clients"].clients) == ids[1:]


def test_another_worker_sees_a_change_within_a_second(app, make_app):
    """Two applications on one database and one Redis prefix stand for two workers."""
    client, raw_secret = register()
    assert clients.get(client.client_id)
    other = registry._Cache()  # what this process knew; the change below comes from elsewhere
    mine = app.extensions["idp.clients"]
    with committing():
        app.extensions["idp.clients"] = other
        clients.rotate_secret(client.client_id, overlap_s=0)
    app.extensions["idp.clients"] = mine
    time.sleep(registry._CHECK_EVERY_S)
    assert not clients.get(client.client_id).check_secret(raw_secret)


def test_without_redis_the_database_answers(app, monkeypatch):
    client, raw_secret = register()
    app.extensions["idp.kv"] = kv.connect("unix:///nonexistent/valkey.sock", timeout_s=0.1)
    assert clients.get(client.client_id).check_secret(raw_secret)
    with committing():
        clients.rotate_secret(client.client_id, overlap_s=0)
    assert not clients.get(client.client_id).check_secret(raw_secret)


@pytest.mark.parametrize("client_id", ["", "\x00", "' OR 1=1 --", "a" * 10_000, "ü"])
def test_nonsense_is_nobody(app, client_id):
    assert clients.find(client_id) is None
