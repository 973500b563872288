"""node-oidc-provider (npm `oidc-provider`) with a Redis adapter of ours, one process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks.browser import REDIRECT_URI
from benchmarks.peers.base import KEY, Command, Machine, NotInstalled, Peer, run

VERSIONS = {"oidc-provider": "9.13.3", "ioredis": "6.0.0"}
API = "https://jwt.example.org/api"


class Node(Peer):
    """The peer to beat."""

    name = "node-oidc-provider"
    note = "sessions, codes and stored tokens in the same Valkey as ours; no audit and no limits"
    authorize_path, token_path, introspection_path = "/auth", "/token", "/token/introspection"
    userinfo_path, jwks_path = "/me", "/jwks"

    def install(self) -> str:
        """Install from npm beside the server's two files."""
        if not shutil.which("npm"):
            raise NotInstalled("npm is missing")
        for file in (Path(__file__).parent / "node").glob("*.mjs"):
            shutil.copy(file, self.folder)
        (self.folder / "package.json").write_text('{"private": true, "type": "module"}')
        if not self._is_there():
            wanted = [f"{name}@{version}" for name, version in VERSIONS.items()]
            run("npm", "install", "--no-audit", "--no-fund", "--silent", *wanted, cwd=self.folder)
        return f"oidc-provider {VERSIONS['oidc-provider']}, node {run('node', '--version', cwd=self.folder).strip()}"

    def _is_there(self) -> bool:
        try:
            found = json.loads((self.folder / "node_modules/oidc-provider/package.json").read_text())
        except (OSError, ValueError):
            return False
        return bool(found["version"] == VERSIONS["oidc-provider"])

    def prepare(self) -> None:
        """It keeps its clients in memory; only we have to know them."""
        self.machines = {
            "client_credentials_jwt": Machine(
                "bench-jwt", "s" * 43, f"grant_type=client_credentials&resource={API}&scope=jwt.read"
            ),
            "client_credentials_opaque": Machine(
                "bench-opaque", "s" * 43, "grant_type=client_credentials&scope=opaque.read"
            ),
        }
        self.keyed = Machine("bench-assertion", "", self.machines["client_credentials_jwt"].form)

    def command(self) -> Command:
        """One process of node."""
        env = {
            "BENCH_PORT": str(self.port),
            "BENCH_REDIS_SOCKET": self.stores.socket,
            "BENCH_CLIENTS": json.dumps(self._clients()),
            "NODE_ENV": "production",
        }
        return Command(["node", "server.mjs"], env, self.folder)

    def _clients(self) -> list[dict[str, Any]]:
        machines: list[dict[str, Any]] = [
            {"client_id": one.client_id, "client_secret": one.secret, "grant_types": ["client_credentials"],
             "redirect_uris": [], "response_types": []}
            for one in self.machines.values()
        ]  # fmt: skip
        web: dict[str, Any] = {
            "client_id": self.web.client_id,
            "client_secret": self.web.secret,
            "redirect_uris": [REDIRECT_URI],
            "grant_types": ["authorization_code", "refresh_token"],
            "id_token_signed_response_alg": "ES256",
        }
        keyed: dict[str, Any] = {
            "client_id": "bench-assertion",
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [KEY.as_dict(private=False)]},
            "grant_types": ["client_credentials"],
            "redirect_uris": [],
            "response_types": [],
        }
        return [*machines, web, keyed]
