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
from benchmarks.peers.base import KEY, Command, Machine, Peer
from benchmarks.workloads import BY_NAME, MIX, SIGN_IN, Mix, Refresh, SignIn, Target, Workload

JWT_API, OPAQUE_API = "https://jwt.example.org/api", "https://opaque.example.org/api"
MIX_SHARES = {"refresh": 16, "code_flow": 2, "introspection": 1, "sign_in": 1}
MANY = 64
_PLENTY = 10**9


class Ours(Peer):
    """idp."""

    name = "idp"
    authorize_path, token_path, introspection_path = "/authorize", "/token", "/introspect"
    userinfo_path, jwks_path = "/userinfo", "/jwks"
    bcrypt_cost = 12  # the default

    def install(self) -> str:
        """It is the program that this harness belongs to."""
        names = ("flask", "authlib", "joserfc", "httptools")
        return f"idp {version('idp')}, Python {sys.version.split()[0]}, " + ", ".join(
            f"{n} {version(n)}" for n in names
        )

    def prepare(self) -> None:
        """Make a database, clients and a person."""
        self.config_file = self._configuration()
        self._fill(self.config_file)

    def command(self) -> Command:
        """`idp serve`, as anybody starts it."""
        program = shutil.which("idp", path=str(Path(sys.executable).parent)) or "idp"
        return Command([program, "serve"], {"IDP_CONFIG": str(self.config_file)})

    def another(self, *, workers: int, on: set[int]) -> Server:
        """Start one more node of this installation, with so many workers on these cores."""
        how, port = self.command(), machine.free_port()
        env = how.env | {"IDP_SERVER_PORT": str(port), "IDP_SERVER_WORKERS": str(workers)}
        log, host = self.folder / f"server-{port}.log", f"127.0.0.1:{self.port}"
        return machine.start(how.argv, port=port, host=host, ready=self.discovery, log=log, env=env, on=on)

    def _lasting(self, workload: Workload) -> Target:
        """What the others have, and what only we are asked for."""
        sign_in = SignIn("/login", urlencode({"identifier": USERNAME, "password": PASSWORD}), done="/", failed="/login")
        return sign_in if workload is SIGN_IN else super()._lasting(workload)

    def target(self, workload: Workload, *, seconds: float) -> Target:
        """The mix has a story of each kind for each connection."""
        if workload is not MIX:
            return super().target(workload, seconds=seconds)
        parts: dict[str, Any] = {"refresh": self._refresh(workload.connections)}
        parts |= {name: self.target(BY_NAME[name], seconds=seconds) for name in MIX_SHARES if name not in parts}
        return Mix(parts, tuple(name for name, cards in MIX_SHARES.items() for _ in range(cards)))

    def many_tokens(self) -> Refresh:
        """Return refresh tokens for a generator that does not wait for answers."""
        return self._refresh(MANY)

    def _configuration(self) -> Path:
        def key(name: str) -> str:
            return f"{name}:{base64.b64encode(secrets.token_bytes(32)).decode()}"

        port, database = (
            self.port,
            self.stores.database(f"bench_{self.folder.name}").render_as_string(hide_password=False),
        )
        limits = dict.fromkeys(
            ("account_free_attempts", "address_per_minute", "network_per_minute", "global_per_minute"), _PLENTY
        )
        sections: dict[str, dict[str, Any]] = {
            "server": {"issuer": f"http://127.0.0.1:{port}", "port": port, "workers": 1},
            "database": {"url": database},
            "redis": {"url": self.stores.redis_url, "prefix": f"bench{port}:"},
            "secrets": {"sealing_keys": [key("s1")], "peppers": [key("p1")]},
            "factors": {"require_second": False},
            "passwords": {"bcrypt_cost": self.bcrypt_cost},
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
