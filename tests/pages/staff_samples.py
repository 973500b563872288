"""The staff's pages in every state: see samples.py."""

from __future__ import annotations

from types import SimpleNamespace as Shape
from typing import Any

MENU = [
    Shape(
        name="recovery",
        path="/admin/recovery",
        label="Recovery",
        about="Help somebody who lost their second step back in.",
    ),
]
STAFF: dict[str, Any] = {"menu": MENU, "notice": None}

CASES: dict[tuple[str, str], dict[str, Any]] = {
    ("admin_home.html", "first"): {**STAFF, "station": "home", "name": "Priya Raman"},
    ("admin_home.html", "nothing"): {**STAFF, "menu": [], "station": "home", "name": "Priya Raman"},
    ("admin_refused.html", "error"): {"names": ["Help desk", "Administrator"], "username": "maren.oduya@example.org"},
}
