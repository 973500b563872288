"""Helpers of the key tests."""

from __future__ import annotations

import pytest
from flask import Flask

from idp import keys
from idp.db import committing


@pytest.fixture
def ready(app: Flask) -> Flask:
    """An application that has its keys."""
    with committing():
        keys.ensure()
    return app
