"""Canaille on PostgreSQL, under granian with four threads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from joserfc.jwk import ECKey, RSAKey

from benchmarks.browser import PASSWORD, REDIRECT_URI, USERNAME
from benchmarks.peers import python
from benchmarks.peers.base import Command, Machine, Peer, run

WANTED = ("canaille[front,oidc,postgresql]==0.3.6", "granian==2.8.7")


class Canaille(Peer):
    """The other provider that is made of Flask and Authlib."""

    name = "canaille"
    note = "opaque tokens in SQL only"
    most_rounds = 3
    authorize_path, token_path, introspection_path = "/oauth/authorize", "/oauth/token", "/oauth/introspect"
    userinfo_path, jwks_path = "/oauth/userinfo", "/oauth/jwks.json"

    def install(self) -> str:
        """Into an environment of its own."""
        return python.install(self.folder, WANTED)

    def prepare(self) -> None:
        """Fill the database."""
        shutil.copy(Path(__file__).parent / "canaille_site" / "bench_canaille.py", self.folder)
        self._env = self._environment()
        program, env = python.program(self.folder, "python"), python.inherited(self._env)
        run(program, "bench_canaille.py", "fill", cwd=self.folder, env=env)
        self.machines["client_credentials_opaque"] = Machine(
            "bench-machine", "s" * 43, "grant_type=client_credentials&scope=profile"
        )

    def command(self) -> Command:
        """One worker of granian."""
        return Command(python.granian(self.folder, "bench_canaille:application", self.port), self._env, self.folder)

    def _environment(self) -> dict[str, str]:
        database = self.stores.database("bench_canaille").set(drivername="postgresql+psycopg2")
        keys = (ECKey.generate_key("P-256", {"alg": "ES256"}), RSAKey.generate_key(2048, {"alg": "RS256"}))
        return {
            "BENCH_PORT": str(self.port),
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
