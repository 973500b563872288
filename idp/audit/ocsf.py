"""audit.ocsf — an event in the Open Cybersecurity Schema Framework 1.8, category IAM, for SIEMs (standards 8.1)."""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version
from typing import Any

import orjson
from sqlalchemy.engine import RowMapping

from idp.audit.events import Event

_UNKNOWN_TYPE = 300299
_HIGH, _MEDIUM, _INFORMATIONAL = 4, 3, 1


def ocsf(row: RowMapping) -> dict[str, Any]:
    """Return the OCSF object of one row of `audit_events`."""
    event = Event.named(row["event"])
    type_uid = event.ocsf if event else _UNKNOWN_TYPE
    class_uid = type_uid // 100
    failed = row["outcome"] == "failure"
    found = {
        "activity_id": type_uid % 100,
        "category_uid": 3,
        "class_uid": class_uid,
        "type_uid": type_uid,
        "severity_id": _HIGH if event and event.alarm else _MEDIUM if failed else _INFORMATIONAL,
        "status_id": 2 if failed else 1,
        "status_detail": row["reason"],
        "time": _milliseconds(row["time"]),
        "message": event.sentence if event else row["event"],
        "metadata": _metadata(row),
        "user": {"uid": row["subject"] or "unknown"},
        "actor": {"user": {"uid": row["actor"]}} if row["actor"] else None,
        "src_endpoint": {"ip": row["address"]} if row["address"] else None,
        "http_request": {"user_agent": row["user_agent"]} if row["user_agent"] else None,
        "session": {"uid": row["sid"]} if row["sid"] else None,
        "service": {"uid": row["client_id"]} if row["client_id"] else None,
        "is_mfa": "mfa" in row["amr"].split() if class_uid == 3002 else None,
        "unmapped": _unmapped(row),
    }
    found |= _of_class(class_uid, row)
    return {name: value for name, value in found.items() if value is not None}


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _metadata(row: RowMapping) -> dict[str, Any]:
    found = {
        "version": "1.8.0",
        "product": {"name": "idp", "vendor_name": "idp", "version": version("idp")},
        "uid": row["event_id"],
        "event_code": row["event"],
        "sequence": row["seq"],
        "correlation_uid": row["request_id"],
    }
    return {name: value for name, value in found.items() if value is not None}


def _unmapped(row: RowMapping) -> dict[str, Any]:
    chain = {name: row[name] for name in ("prev_hash", "hash")}
    assurance = {name: row[name] for name in ("acr", "amr") if row[name]}
    return {"details": orjson.loads(row["details"]), **assurance, **chain}


def _of_class(class_uid: int, row: RowMapping) -> dict[str, Any]:
    """Add what a class requires beyond the base fields."""
    if class_uid == 3004:
        noun = row["event"].partition(".")[0]
        return {"entity": {"type": noun, "uid": row["client_id"] or row["subject"] or noun}}
    if class_uid == 3005:
        details = orjson.loads(row["details"])
        granted = details.get("scopes") or details.get("role") or details.get("roles") or []
        return {"privileges": granted if isinstance(granted, list) else [str(granted)]}
    return {}
