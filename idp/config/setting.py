"""How a setting is declared: its default, its sentence for the operator, and what it may be."""

from __future__ import annotations

import dataclasses
from typing import Any


class ConfigError(Exception):
    """The configuration cannot be used; the message names the place and the remedy."""


def setting(default: Any, doc: str, *, secret: bool = False, at_least: float | None = None) -> Any:
    """Declare one setting: its default, its sentence for the operator, and what it may be."""
    metadata = {"doc": doc, "secret": secret, "at_least": at_least}
    if isinstance(default, dict | list):
        raise TypeError("a setting's default must be immutable")
    return dataclasses.field(default=default, metadata=metadata)
