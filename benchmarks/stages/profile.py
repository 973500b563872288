"""Where the CPU of a request goes, library by library: what to look at when a goal is missed."""

from __future__ import annotations

import cProfile
import pstats
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from benchmarks.bench import Bench, Fact, Found
from benchmarks.openloop import fresh_refresh_token
from benchmarks.peers.ours import Ours
from benchmarks.workloads import BY_NAME, CodeFlow, Fixed, Refresh, Workload
from idp import config, create_app, keys
from idp.gateway import HELD

ASKED = (
    "client_credentials_jwt",
    "client_credentials_assertion",
    "client_credentials_opaque",
    "introspection",
    "userinfo",
    "refresh",
    "code_flow",
)
TIMES, NAMED = 300, 7
_OF_PYTHON = ("site", "sitecustomize", "usercustomize")


def run(bench: Bench) -> Found:
    """Ask the application in this process, without HTTP, under a profiler that counts CPU and no waiting."""
    ours = bench.ours()
    app = create_app(config.load(ours.config_file, {}))
    with app.app_context():
        keys.warm()
    facts = [_profiled(app.wsgi_app, ours, BY_NAME[name]) for name in ASKED] + [_loading()]
    note = (
        f"{TIMES} requests each, in one thread, without connections. CPU of that thread; in brackets how it falls on packages, by the time in each "
        "one's own functions, C functions with their callers' package where they have no file. The profiler itself slows Python down more than C."
    )
    return Found("profile", "Where the CPU of a request goes", note, [], facts)


def _profiled(app: Callable[..., Any], ours: Ours, workload: Workload) -> Fact:
    ask = _asking(app, ours, workload)
    for _ in range(TIMES // 10):
        ask()
    began = time.thread_time()
    for _ in range(TIMES):
        ask()
    plain_ms = (time.thread_time() - began) / TIMES * 1e3
    profiler = cProfile.Profile(time.thread_time)
    profiler.runcall(lambda: [ask() for _ in range(TIMES)])
    shares = by_package(pstats.Stats(profiler).stats)  # type: ignore[attr-defined]
    told = ", ".join(f"{name} {share:.0%}" for name, share in shares.most_common(NAMED))
    return Fact(
        workload.name, plain_ms, "ms", f"{workload.title}: {plain_ms:.3f} ms ({told})", dict(shares.most_common(NAMED))
    )


def _asking(app: Callable[..., Any], ours: Ours, workload: Workload) -> Callable[[], None]:
    target = ours.target(workload, seconds=1.0)
    if isinstance(target, CodeFlow):
        return _flowing(app, ours, target)
    assert isinstance(target, Fixed | Refresh)
    method = target.method if isinstance(target, Fixed) else "POST"
    asked = EnvironBuilder(
        target.path, f"http://127.0.0.1:{ours.port}", method=method, headers=Headers(target.headers)
    ).get_environ()
    if isinstance(target, Refresh):
        token = [target.tokens[0]]

        def refresh() -> None:
            form = f"grant_type=refresh_token&refresh_token={token[0]}"
            token[0] = fresh_refresh_token(_answer(app, asked, form.encode())) or ""

        return refresh
    bodies, body = iter(target.bodies), target.body

    def fixed() -> None:
        _answer(app, asked, next(bodies, body).encode())

    return fixed


def _flowing(app: Callable[..., Any], ours: Ours, flow: CodeFlow) -> Callable[[], None]:
    at, (path, _, query) = f"http://127.0.0.1:{ours.port}", flow.authorize.partition("?")
    first = EnvironBuilder(path, at, query_string=query, headers=Headers({"Cookie": flow.cookie})).get_environ()
    then = EnvironBuilder(flow.path, at, method="POST", headers=Headers(flow.headers)).get_environ()

    def whole() -> None:
        sent = _told(app, first, b"", "303")[0]
        code = dict(parse_qsl(urlsplit(sent["location"]).query))["code"]
        _answer(app, then, f"{flow.form}&code={code}".encode())

    return whole


def _answer(app: Callable[..., Any], asked: dict[str, Any], body: bytes) -> bytes:
    return _told(app, asked, body, "200")[1]


def _told(app: Callable[..., Any], asked: dict[str, Any], body: bytes, wanted: str) -> tuple[dict[str, str], bytes]:
    held: list[Future[None]] = []
    heads: list[tuple[str, dict[str, str]]] = []

    def start(status: str, headers: list[tuple[str, str]], *_: object) -> None:
        heads.append((status, {name.lower(): value for name, value in headers}))

    environ = asked | {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body)), HELD: held}
    answer = b"".join(app(environ, start))
    for future in held:
        future.result()
    status, headers = heads[0]
    if not status.startswith(wanted):
        raise RuntimeError(f"{asked['PATH_INFO']}: {status} {answer[:200]!r}")
    return headers, answer


def _loading() -> Fact:
    """What a start loads, module by module, as Python itself times it: a share is of the time in a package's own modules."""
    argv = [sys.executable, "-X", "importtime", "-c", "import idp.server, idp.cli"]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stderr
    shares = by_module(told)
    names = ", ".join(f"{name} {share:.0%}" for name, share in shares.most_common(NAMED))
    whole_ms = sum(own_us for own_us, _ in _imports(told)) / 1e3
    return Fact(
        "cold_start",
        whole_ms,
        "ms",
        f"Loading at a cold start: {whole_ms:.0f} ms ({names})",
        dict(shares.most_common(NAMED)),
    )


def _imports(told: str) -> list[tuple[int, str]]:
    found = re.findall(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$", told, re.MULTILINE)
    return [(int(own_us), name) for own_us, name in found]


def by_module(told: str) -> Counter[str]:
    """Return the share of each package of what `python -X importtime` printed; what comes with Python is one."""
    found: Counter[str] = Counter()
    for own_us, name in _imports(told):
        top = name.partition(".")[0]
        found["Python" if top.lstrip("_") in _OF_PYTHON or top in sys.stdlib_module_names else top] += own_us
    whole = sum(found.values()) or 1
    return Counter({name: own_us / whole for name, own_us in found.items()})


def by_package(stats: dict[tuple[str, int, str], Any]) -> Counter[str]:
    """Return the share of each package; what is built in counts where it was called from."""
    found: Counter[str] = Counter()
    for (file, _, _), (_, _, own_s, _, callers) in stats.items():
        if file != "~":
            found[_package(file)] += own_s
            continue
        for (caller, _, _), (_, _, part_s, _) in callers.items():
            found[_package(caller) if caller != "~" else "built in"] += part_s
    whole = sum(found.values()) or 1.0
    return Counter({name: own_s / whole for name, own_s in found.items()})


def _package(file: str) -> str:
    parts = Path(file).parts
    for place in ("site-packages", "idp"):
        if place in parts[:-1]:
            at = len(parts) - 1 - parts[::-1].index(place)
            name = parts[at + 1].removesuffix(".py")
            return f"idp.{name}" if place == "idp" else name
    return "benchmarks" if "benchmarks" in parts else "Python"
