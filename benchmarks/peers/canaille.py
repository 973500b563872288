"""Canaille on PostgreSQL, under granian with four threads as our own server."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from joserfc.jwk import ECKey, RSAKey

from benchmarks import machine
from benchmarks.browser import PASSWORD, REDIRECT_URI, USERNAME
from benchmarks.machine import Server
from benchmarks.peers import python
from benchmarks.peers.base import Machine, Peer, run

WANTED = ("canaille[front,oidc,postgresql]==0.3.6", "granian==2.8.7")


class Canaille(Peer):
    """The other provider that is made of Flask and Authlib."""

    name = "canaille"
    note = "opaque tokens in SQL only"
    authorize_path, token_path, introspection_path = "/oauth/authorize", "/oauth/token", "/oauth/introspect"
    userinfo_path, jwks_path = "/oauth/userinfo", "/oauth/jwks.json"

    def install(self) -> str:
        """Into an environment of its own."""
        return python.install(self.folder, WANTED)

    def start(self) -> Server:
        """Fill the database and serve."""
        shutil.copy(Path(__file__).parent / "canaille_site" / "bench_canaille.py", self.folder)
        port = machine.free_port()
        env = self._environment(port)
        run(
            python.program(self.folder, "python"),
            "bench_canaille.py",
            "fill",
            cwd=self.folder,
            env=python.inherited(env),
        )
        self.machines["client_credentials_opaque"] = Machine(
            "bench-machine", "s" * 43, "grant_type=client_credentials&scope=profile"
        )
        argv = python.granian(self.folder, "bench_canaille:application", port)
        url, log = f"http://127.0.0.1:{port}", self.folder / "server.log"
        self.server = machine.start(argv, url=url, ready=self.discovery, log=log, env=env, cwd=self.folder)
        return self.server

    def _environment(self, port: int) -> dict[str, str]:
        database = self.stores.database("bench_canaille").set(drivername="postgresql+psycopg2")
        keys = (ECKey.generate_key("P-256", {"alg": "ES256"}), RSAKey.generate_key(2048, {"alg": "RS256"}))
        return {
            "BENCH_PORT": str(port),
            "BENCH_DATABASE": database.render_as_string(hide_password=False),
            "BENCH_JWKS": json.dumps(
                [key.as_dict(private=True) | {"kid": key.thumbprint(), "use": "sig"} for key in keys]
            ),
            "BENCH_USERNAME": USERNAME,
            "BENCH_PASSWORD": PASSWORD,
            "BENCH_WEB_SECRET": self.web.secret,
            "BENCH_REDIRECT_URI": REDIRECT_URI,
            "PYTHONPATH": str(self.folder),
        }
