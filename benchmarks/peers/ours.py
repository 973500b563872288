"""This provider, as `idp serve` runs it: one worker, PostgreSQL, Valkey; audit, limits, replay checks and validation on."""

from __future__ import annotations

import base64
import json
import secrets
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks import machine
from benchmarks.browser import PASSWORD, REDIRECT_URI, USERNAME
from benchmarks.machine import Server
from benchmarks.peers.base import KEY, Machine, Peer
from benchmarks.workloads import SignIn, Target, Workload

JWT_API, OPAQUE_API = "https://jwt.example.org/api", "https://opaque.example.org/api"
_PLENTY = 10**9


class Ours(Peer):
    """idp."""

    name = "idp"
    authorize_path, token_path, introspection_path = "/authorize", "/token", "/introspect"
    userinfo_path, jwks_path = "/userinfo", "/jwks"

    def install(self) -> str:
        """It is the program that this harness belongs to."""
        names = ("flask", "authlib", "joserfc", "granian")
        return f"idp {version('idp')}, Python {sys.version.split()[0]}, " + ", ".join(
            f"{n} {version(n)}" for n in names
        )

    def start(self) -> Server:
        """Make a database, clients and a person; then serve."""
        port = machine.free_port()
        config_file = self._configuration(port)
        self._fill(config_file)
        url, env = f"http://127.0.0.1:{port}", {"IDP_CONFIG": str(config_file)}
        program = shutil.which("idp", path=str(Path(sys.executable).parent)) or "idp"
        self.server = machine.start(
            [program, "serve"], url=url, ready=self.discovery, log=self.folder / "server.log", env=env
        )
        return self.server

    def target(self, workload: Workload, *, seconds: float) -> Target | None:
        """What the others have, and signing in."""
        if workload.name == "sign_in":
            fields = urlencode({"identifier": USERNAME, "password": PASSWORD})
            return SignIn("/login", fields, done="/", failed="/login")
        return super().target(workload, seconds=seconds)

    def _configuration(self, port: int) -> Path:
        def key(name: str) -> str:
            return f"{name}:{base64.b64encode(secrets.token_bytes(32)).decode()}"

        database = self.stores.database("bench_idp").render_as_string(hide_password=False)
        limits = dict.fromkeys(
            ("account_free_attempts", "address_per_minute", "network_per_minute", "global_per_minute"), _PLENTY
        )
        sections: dict[str, dict[str, Any]] = {
            "server": {"issuer": f"http://127.0.0.1:{port}", "port": port, "workers": 1},
            "database": {"url": database},
            "redis": {"url": self.stores.redis_url, "prefix": f"bench{port}:"},
            "secrets": {"sealing_keys": [key("s1")], "peppers": [key("p1")]},
            "factors": {"require_second": False},
            "limits": limits,  # they count as always and never say no
            "audit": {"checkpoint_file": str(self.folder / "checkpoints.jsonl")},
        }
        lines = ['mode = "development"  # plain http on loopback; nothing else differs on these paths']
        for name, values in sections.items():
            lines += [f"[{name}]", *(f"{field} = {json.dumps(value)}" for field, value in values.items())]
        for identifier, scope, form in ((JWT_API, "jwt.read", "jwt"), (OPAQUE_API, "opaque.read", "opaque")):
            lines += ["[[resources]]", f'identifier = "{identifier}"', f'name = "{form}"']
            lines += [f'scopes = {{ "{scope}" = "Read" }}', f'token_format = "{form}"']
        file = self.folder / "config.toml"
        file.write_text("\n".join(lines) + "\n", "utf-8")
        file.chmod(0o600)
        return file

    def _fill(self, config_file: Path) -> None:
        from idp import clients, config, create_app, keys, users
        from idp.authn.factors import password
        from idp.db import committing, db, upgrade

        app = create_app(config.load(config_file, {}))
        with app.app_context():
            upgrade()
            with committing():
                keys.ensure()
                person = users.create(
                    username=USERNAME, display_name="Bench Mark", emails=(USERNAME,), email_verified=True
                )
                password.set_password(person, PASSWORD, actor=person.sub)
                clients.create(self._web_metadata(), client_id=self.web.client_id, secret=self._secret(self.web))
                for workload, metadata, form in self._machines():
                    found = Machine(f"bench-{workload.replace('_', '-')}", "s" * 43, form)
                    clients.create(metadata, client_id=found.client_id, secret=found.secret)
                    self.machines[workload] = found
                self._assertion_client(clients)
            db.session.remove()
            db.engine.dispose()

    def _secret(self, of: Machine) -> str:
        self.web = Machine(of.client_id, of.secret.ljust(43, "0"))
        return self.web.secret

    def _web_metadata(self) -> dict[str, Any]:
        return {
            "client_name": "Bench",
            "redirect_uris": [REDIRECT_URI],
            "grant_types": ["authorization_code", "refresh_token"],
            "scope": "openid profile email",
            "first_party": True,
        }

    def _machines(self) -> tuple[tuple[str, dict[str, Any], str], ...]:
        def asks(resource: str, scope: str) -> tuple[dict[str, Any], str]:
            metadata: dict[str, Any] = {
                "client_name": "Bench",
                "grant_types": ["client_credentials"],
                "resources": [resource],
                "scope": scope,
            }
            form = urlencode({"grant_type": "client_credentials", "scope": scope}).replace("+", " ")
            return metadata, form

        jwt, opaque = asks(JWT_API, "jwt.read"), asks(OPAQUE_API, "opaque.read")
        opaque[0]["serves"] = [OPAQUE_API]
        return ("client_credentials_jwt", *jwt), ("client_credentials_opaque", *opaque)

    def _assertion_client(self, clients: Any) -> None:
        jwt = self._machines()[0]
        metadata = jwt[1] | {
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [KEY.as_dict(private=False)]},
        }
        clients.create(metadata, client_id="bench-assertion")
        self.keyed = Machine("bench-assertion", "", jwt[2])
