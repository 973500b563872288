"""Whom a command means."""

from __future__ import annotations

from idp import users
from idp.cli.failures import Failure


def find(username: str) -> users.User:
    """Return the person with this username, address or subject. Raises Failure."""
    user = users.find_by_sub(username) or users.find_by_login(username)
    if user is None:
        raise Failure(f"There is nobody called {username}. `idp user list` shows who is there.")
    return user
