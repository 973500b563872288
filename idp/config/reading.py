"""TOML and environment in, frozen settings out; an error names the line and the remedy."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import re
import tomllib
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from idp.config.checks import problems_anywhere, problems_in_production
from idp.config.protocol import Resource, TrustedIssuer
from idp.config.schema import RolePolicy, Settings
from idp.config.setting import ConfigError


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read `path` (or nothing but the environment), check everything, and return frozen settings.

    Raises ConfigError: an unknown key, a wrong type, a number out of range, a setting that is unsafe in production.
    """
    text = _read(path) if path else ""
    place = _Place(str(path or "the environment"), text)
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{place.name}: not valid TOML: {error}") from None
    built = _build(raw, environ, place)
    _refuse_unsafe(built, place)
    return built


def _refuse_unsafe(built: Settings, place: _Place) -> None:
    for section, key, remedy in problems_anywhere(built):
        raise place.refuse(section, key, remedy)
    if not built.development:
        for section, key, remedy in problems_in_production(built):
            raise place.refuse(section, key, remedy)


@dataclass(frozen=True)
class _Place:
    """Where a setting came from, for messages."""

    name: str
    text: str

    def line_of(self, section: str, key: str) -> str:
        """Return "file, line 12" for a key in a section, or only the file when it is not written there."""
        current = ""
        for number, line in enumerate(self.text.splitlines(), start=1):
            header = re.match(r"\s*\[+\s*([\w.]+)\s*\]+", line)
            if header:
                current = header[1]
            matches_key = bool(key) and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line) is not None
            if (matches_key and current == section) or (not key and header and current == section):
                return f"{self.name}, line {number}"
        return self.name

    def refuse(self, section: str, key: str, remedy: str) -> ConfigError:
        """Build the error for one setting."""
        dotted = ".".join(part for part in (section, key) if part)
        return ConfigError(f"{self.line_of(section, key)}: {dotted} {remedy}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; `idp config example > {path}` makes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None


def _build(raw: dict[str, Any], environ: Mapping[str, str], place: _Place) -> Settings:
    hints = get_type_hints(Settings)
    values: dict[str, Any] = {}
    known = {field.name for field in dataclasses.fields(Settings)}
    for key in raw:
        if key not in known:
            kind = key if isinstance(raw[key], dict) else ""
            raise place.refuse(kind, "" if kind else key, f"is not a setting; {_nearest(key, known)}")
    for field in dataclasses.fields(Settings):
        hint = hints[field.name]
        if field.name in _TABLES:
            values[field.name] = _tables(field.name, raw.get(field.name, []), place)
        elif dataclasses.is_dataclass(hint):
            values[field.name] = _section(hint, field.name, raw.get(field.name, {}), environ, place)
        else:
            given = _from_environment("", field.name, hint, environ)
            value = given if given is not None else raw.get(field.name, _default(field))
            values[field.name] = _checked(value, hint, field, "", place)
    return Settings(**values)


def _section(kind: Any, name: str, raw: Any, environ: Mapping[str, str], place: _Place) -> Any:
    if not isinstance(raw, dict):
        raise place.refuse("", name, f"must be a table: [{name}]")
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in raw:
        if key not in fields:
            raise place.refuse(name, key, f"is not a setting; {_nearest(key, set(fields))}")
    values = {}
    for key, field in fields.items():
        given = _from_environment(name, key, hints[key], environ)
        value = given if given is not None else raw.get(key, _default(field))
        values[key] = _checked(value, hints[key], field, name, place)
    return kind(**values)


_TABLES = {"resources": Resource, "policies": RolePolicy, "trusted_issuers": TrustedIssuer}


def _tables(name: str, raw: Any, place: _Place) -> tuple[Any, ...]:
    if not isinstance(raw, list):
        raise place.refuse("", name, f"must be tables: [[{name}]]")
    return tuple(_section(_TABLES[name], name, entry, {}, place) for entry in raw)


def _from_environment(section: str, key: str, hint: Any, environ: Mapping[str, str]) -> Any:
    name = "_".join(part for part in ("IDP", section, key) if part).upper()
    text = environ.get(name)
    if text is None and (file := environ.get(f"{name}_FILE")):
        try:
            text = Path(file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(f"{name}_FILE: {file} cannot be read: {error.strerror}") from None
    return None if text is None else _parsed(text, hint, name)


def _parsed(text: str, hint: Any, name: str) -> Any:
    if get_origin(hint) is tuple:
        return [part.strip() for part in text.split(",") if part.strip()]
    if hint in (int, float, bool):
        try:
            return json.loads(text.lower())
        except ValueError:
            raise ConfigError(f"{name}: must be a {hint.__name__}, not {text[:40]!r}") from None
    return text


def _checked(value: Any, hint: Any, field: dataclasses.Field[Any], section: str, place: _Place) -> Any:
    converted = _convert(value, hint)
    if converted is _WRONG:
        raise place.refuse(section, field.name, f"must be {_in_words(hint)}")
    at_least = field.metadata.get("at_least")
    if at_least is not None and converted is not None and converted < at_least:
        raise place.refuse(section, field.name, f"must be at least {at_least:g}")
    return converted


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default is not dataclasses.MISSING else {}


_WRONG = object()


def _convert(value: Any, hint: Any) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value if value in args else _WRONG
    if origin in (Union, types.UnionType):
        return None if value is None else _convert(value, next(arg for arg in args if arg is not type(None)))
    if origin is tuple:
        good = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
        return tuple(value) if good else _WRONG
    if isinstance(origin, type) and issubclass(origin, Mapping):
        good = isinstance(value, Mapping) and all(isinstance(item, str) for item in value.values())
        return types.MappingProxyType(dict(value)) if good else _WRONG
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value if type(value) is hint else _WRONG


def _in_words(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(f'"{choice}"' for choice in get_args(hint))
    words = {str: "a text in quotes", int: "a whole number", float: "a number", bool: "true or false"}
    if hint in words:
        return words[hint]
    return (
        'a list of texts: ["…"]' if get_origin(hint) is tuple else "a value of the right type (see config.example.toml)"
    )


def _nearest(key: str, known: set[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known here: {', '.join(sorted(known))}"
