"""metrics — counters and timings for Prometheus, in a registry of our own.

Several workers serve one `/metrics`: each writes its numbers into memory-mapped files in one private directory (prometheus_client's
multiprocess mode), and whichever worker is scraped adds them up. `tally.shared` must name the directory before this module is loaded.
Labels never hold what a stranger sent: routes are templates, methods and outcomes come from short lists.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from idp import tally

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_GRANTS = {
    "code.redeemed": "authorization_code",
    "token.refreshed": "refresh_token",
    "token.issued": "client_credentials",
}
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

REGISTRY = CollectorRegistry(auto_describe=True)
REQUESTS = Counter(
    "idp_http_requests", "Answers by route, method and status.", ("route", "method", "status"), registry=REGISTRY
)
LATENCY = Histogram("idp_http_request_seconds", "Time to answer, by route.", ("route",), buckets=_SECONDS,
                    registry=REGISTRY)  # fmt: skip
EVENTS = Counter("idp_audit_events", "Audit events by name and outcome.", ("event", "outcome"), registry=REGISTRY)
SIGN_INS = Counter("idp_sign_ins", "Finished sign-ins by outcome.", ("outcome",), registry=REGISTRY)
TOKENS = Counter("idp_tokens_issued", "Token answers by grant type.", ("grant",), registry=REGISTRY)
REFUSALS = Counter("idp_limit_refusals", "Attempts that a limit refused, by scope.", ("scope",), registry=REGISTRY)
VIOLATIONS = Counter("idp_csp_violations", "What browsers refused on our pages.", registry=REGISTRY)
HASH_WAITING = Gauge("idp_password_hash_waiting", "Sign-ins that wait for the password hash or run it.",
                     multiprocess_mode="livesum", registry=REGISTRY)  # fmt: skip
HASH_SECONDS = Histogram("idp_password_hash_seconds", "Time of one password hash, waiting included.",
                         buckets=_SECONDS, registry=REGISTRY)  # fmt: skip


def count_event(event: str, *, outcome: str, details: Mapping[str, object]) -> None:
    """Count one audit event; sign-ins, tokens and refusals get a series of their own as well."""
    _events(event, outcome).inc()
    if event in ("login.succeeded", "login.failed"):
        SIGN_INS.labels(event.removeprefix("login.")).inc()
    elif event in _GRANTS:
        _tokens(str(details.get("grant_type") or _GRANTS[event])[:80]).inc()
    elif event == "limit.exceeded":
        REFUSALS.labels(str(details.get("scope") or "unknown")[:80]).inc()


@functools.lru_cache(maxsize=128)
def _tokens(grant: str) -> Counter:
    return TOKENS.labels(grant)


@functools.lru_cache(maxsize=1024)
def _events(event: str, outcome: str) -> Counter:
    return EVENTS.labels(event, outcome)


def install(app: Flask) -> None:
    """Count and time every answer. Install before `web`, so that this sees the answer as it leaves."""

    @app.before_request
    def begin() -> None:
        g.idp_metrics_began_at = time.perf_counter()

    @app.after_request
    def end(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "unmatched"
        count_answer(route, request.method, response.status_code, began_at=g.get("idp_metrics_began_at"))
        return response


def count_answer(route: str, method: str, status: int, *, began_at: float | None) -> None:
    """Count one answer, and the time since `began_at` (of time.perf_counter)."""
    _requests(route, method if method in _METHODS else "other", status).inc()
    if began_at:
        _latency(route).observe(time.perf_counter() - began_at)


@functools.lru_cache(maxsize=1024)
def _requests(route: str, method: str, status: int) -> Counter:
    return REQUESTS.labels(route, method, str(status))


@functools.lru_cache(maxsize=512)
def _latency(route: str) -> Histogram:
    return LATENCY.labels(route)


def exposition(extra: Iterable[Metric] = ()) -> bytes:
    """Return everything in Prometheus text format: all workers of this node, and the `extra` metrics of the caller."""
    directory = tally.directory()
    if directory is None:
        return generate_latest(REGISTRY) + generate_latest(_just(extra))
    shared = CollectorRegistry()
    _forget_dead_workers(directory)
    MultiProcessCollector(shared, path=str(directory))  # type: ignore[no-untyped-call]
    return generate_latest(shared) + generate_latest(_just(extra))


def _forget_dead_workers(directory: Path) -> None:
    """Drop the gauges of workers that are gone; their counters stay, or rates would jump."""
    for file in directory.glob("gauge_live*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdigit() and not _runs(int(pid)):
            file.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class _Fixed(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _just(metrics: Iterable[Metric]) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_Fixed(metrics))
    return registry


def gauge(name: str, documentation: str, label: str, values: Mapping[str, float]) -> Metric:
    """Build a gauge from values that somebody else keeps, for `exposition(extra=…)`."""
    family = GaugeMetricFamily(name, documentation, labels=[label])
    for value_of, value in values.items():
        family.add_metric([value_of], value)
    return family
