"""Migrations go both ways on both databases, and end where the models are."""

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from idp import db as database
from idp.db import Model, db


def revisions() -> list[str]:
    script = ScriptDirectory.from_config(database.alembic_config())
    return [revision.revision for revision in reversed(list(script.walk_revisions()))]


def test_revisions_form_one_numbered_line():
    found = revisions()
    assert found == [f"{number:04d}" for number in range(1, len(found) + 1)]


def test_every_migration_goes_down_and_up_again(app):
    for revision in [*reversed(revisions()[:-1]), "base"]:
        database.downgrade(revision)
        assert database.current() == (None if revision == "base" else revision)
    left = set(sa.inspect(db.engine).get_table_names()) - {"alembic_version"}
    assert not left, f"downgrade left tables behind: {left}"
    database.upgrade()
    assert database.current() == database.head()


def test_the_migrated_schema_is_what_the_models_say(app):
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False, "compare_server_default": False})
        differences = compare_metadata(context, Model.metadata)
    assert not differences
