"""Local law that no linter knows (house.md, section 6)."""

import ast
import re
from pathlib import Path

from idp import config

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "idp").rglob("*.py"))


def test_every_setting_is_explained_in_the_example():
    assert (ROOT / "config.example.toml").read_text(encoding="utf-8") == config.example(), (
        "run `idp config example > config.example.toml`"
    )


def test_only_the_clock_reads_the_time():
    offenders = [
        path.relative_to(ROOT)
        for path in SOURCES
        if path.name != "clock.py"
        and "demo" not in path.parts
        and re.search(r"datetime\.(now|utcnow)\(|\btime\.time\(", path.read_text(encoding="utf-8"))
    ]
    assert not offenders


def test_every_file_says_what_it_is():
    silent = [
        path.relative_to(ROOT) for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not silent


def test_files_stay_readable():
    long = {
        str(path.relative_to(ROOT)): count for path in SOURCES if (count := len(path.read_text().splitlines())) > 400
    }
    assert not long, "look for the missing room"


def test_no_room_imports_inside_a_function_but_to_defer_a_heavy_library():
    offenders = []
    for path in SOURCES:
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                offenders += [
                    f"{path.relative_to(ROOT)}:{node.lineno}"
                    for node in ast.walk(function)
                    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("idp")
                ]
    allowed = ("idp/cli/", "idp/__init__.py", "idp/demo/runner.py")
    assert not [offender for offender in offenders if not offender.startswith(allowed)]


def test_the_lock_files_hold_hashes_and_no_addresses():
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "--hash=sha256:" in text
        assert "://" not in text
