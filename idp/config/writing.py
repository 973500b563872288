"""Settings as text: the explained example file, and the masked view for people."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

from idp.config.protocol import Resource, TrustedIssuer
from idp.config.schema import RolePolicy, Settings


def example() -> str:
    """Return the text of `config.example.toml`: every setting, explained, at its default."""
    parts = [
        "# Settings of idp. Everything here is the default: keep only what you change.",
        "# Each may also come from the environment: IDP_<SECTION>_<KEY>, or IDP_<SECTION>_<KEY>_FILE naming a file.",
        "# Check your file with `idp config check`; print fresh secrets with `idp config secrets`.",
        "",
    ]
    for field in dataclasses.fields(Settings):
        if field.name in ("resources", "policies", "trusted_issuers"):
            continue
        if "doc" in field.metadata:
            parts += [f"# {field.metadata['doc']}", f"{field.name} = {_toml(field.default)}", ""]
        else:
            parts += [
                f"# {(field.default.__doc__ or '').strip()}",
                f"[{field.name}]",
                *_example_lines(type(field.default)),
                "",
            ]
    parts += [f"# {(Resource.__doc__ or '').strip()}", "# One table per service.", "# [[resources]]"]
    parts += [
        '# identifier = "https://claims.example.org/api"',
        '# name = "Claims service"',
        '# scopes = { "claims.read" = "See claims and their status" }',
        "# access_token_s = 300   # optional: life of its access tokens, if not the general one",
        '# alg = "ES256"          # optional: signature algorithm, if not the default',
        '# token_format = "jwt"   # optional: or opaque, for a service that asks introspection',
        '# authorization_details = { "payment_release" = "Release one payment" }   # optional: types of RFC 9396',
        "",
        f"# {(RolePolicy.__doc__ or '').strip()}",
        "# One table per group of roles; every key but roles is optional.",
        "# [[policies]]",
        '# roles = ["administrator", "help_desk", "auditor"]',
        '# preset = "nist_800_63b_4"      # as passwords.preset; min_length and history too',
        "# min_length = 14",
        "# history = 5",
        "# require_second = true          # as factors.require_second",
        '# factors = ["passkey"]          # as factors.allowed',
        '# min_acr = "urn:idp:acr:phr"    # as factors.min_acr',
        "# idle_s = 600                   # as in [sessions]",
        "# absolute_s = 28800",
        "",
        f"# {(TrustedIssuer.__doc__ or '').strip()}",
        "# One table per issuer.",
        "# [[trusted_issuers]]",
        '# issuer = "https://partner.example.org"',
        '# jwks = "/etc/idp/partner.jwks.json"     # a JWK Set in a file, or the https URL where it is published',
        '# clients = ["partner-gateway"]           # the applications that may bring its assertions',
        '# subject = "email"                       # what its sub is here: sub, username, or email (a verified one)',
        '# scopes = ["claims.read"]                # what may be had on its word, of the resources that own these scopes',
        '# algs = ["ES256"]                        # optional: ES256, ES384, RS256, RS384, PS256, EdDSA if absent',
        "",
    ]
    return "\n".join(parts)


def _example_lines(kind: Any) -> list[str]:
    lines = []
    for field in dataclasses.fields(kind):
        lines += [f"# {field.metadata['doc']}", f"{field.name} = {_toml(field.default)}"]
    return lines


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def masked(built: Settings) -> dict[str, Any]:
    """Return the settings as plain data with every secret replaced, for `idp config show` and error reports."""
    shown: dict[str, Any] = {}
    for field in dataclasses.fields(built):
        value = getattr(built, field.name)
        shown[field.name] = _masked_section(value) if dataclasses.is_dataclass(value) else value
    shown["resources"] = [_masked_section(resource) for resource in built.resources]
    shown["policies"] = [_masked_section(policy) for policy in built.policies]
    shown["trusted_issuers"] = [_masked_section(issuer) for issuer in built.trusted_issuers]
    return shown


def _masked_section(section: Any) -> dict[str, Any]:
    return {field.name: _masked_value(field, getattr(section, field.name)) for field in dataclasses.fields(section)}


def _masked_value(field: dataclasses.Field[Any], value: Any) -> Any:
    if not field.metadata.get("secret") or not value:
        return dict(value) if isinstance(value, Mapping) else value
    if isinstance(value, tuple):
        return [f"{entry.partition(':')[0]}:•••" for entry in value]
    return re.sub(r"(?<=://)([^@/]*)@", "•••@", value) if "://" in value else "•••"
