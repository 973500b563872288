"""config — TOML in, frozen settings out; whatever is unknown, mistyped or unsafe stops the start.

schema.py    every setting, its default and the sentence that explains it; protocol.py has those of the protocol
reading.py   file and environment → Settings; environment wins: `IDP_<SECTION>_<KEY>`, or `…_FILE` naming a file
checks.py    which settings do not go together, and which must not go into production; partners.py: those about others
writing.py   config.example.toml, and the view with secrets masked
"""

from __future__ import annotations

from idp import present
from idp.config.checks import SIGNING_ALGS, key_bytes
from idp.config.protocol import Resource, TrustedIssuer
from idp.config.reading import load
from idp.config.schema import RolePolicy, Settings
from idp.config.setting import ConfigError
from idp.config.writing import example, masked

__all__ = [
    "SIGNING_ALGS", "ConfigError", "Resource", "RolePolicy", "Settings", "TrustedIssuer", "example", "key_bytes", "load",
    "masked", "settings",
]  # fmt: skip


def settings() -> Settings:
    """Return the settings of the current application. Raises RuntimeError where there is none."""
    found: Settings = present.extension("idp.settings")
    return found
