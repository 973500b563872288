"""django-oauth-toolkit on PostgreSQL, under granian with four threads."""

from __future__ import annotations

import shutil
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from benchmarks.browser import PASSWORD, REDIRECT_URI, USERNAME
from benchmarks.peers import python
from benchmarks.peers.base import Command, Machine, Peer, run

WANTED = ("django-oauth-toolkit==3.4.1", "django==5.2.19", "psycopg[binary]==3.3.9", "granian==2.8.7")


class Toolkit(Peer):
    """The usual choice of Django projects."""

    name = "django-oauth-toolkit"
    note = "opaque tokens in SQL only, ID tokens RS256, client secrets kept plain (hashed ones cost 0.5 s each)"
    most_rounds = 3
    discovery, jwks_path = "/o/.well-known/openid-configuration", "/o/.well-known/jwks.json"
    authorize_path, token_path = "/o/authorize/", "/o/token/"
    introspection_path, userinfo_path = "/o/introspect/", "/o/userinfo/"

    def install(self) -> str:
        """Into an environment of its own."""
        return python.install(self.folder, WANTED)

    def prepare(self) -> None:
        """Fill the database."""
        shutil.copy(Path(__file__).parent / "toolkit" / "bench_site.py", self.folder)
        self._env = self._environment()
        program, env = python.program(self.folder, "python"), python.inherited(self._env)
        run(program, "bench_site.py", "fill", cwd=self.folder, env=env)
        self.machines["client_credentials_opaque"] = Machine(
            "bench-machine", "s" * 43, "grant_type=client_credentials&scope=read"
        )

    def command(self) -> Command:
        """One worker of granian."""
        return Command(python.granian(self.folder, "bench_site:application", self.port), self._env, self.folder)

    def _environment(self) -> dict[str, str]:
        url = self.stores.database("bench_toolkit")
        key = rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {
            "BENCH_DB_NAME": url.database or "",
            "BENCH_DB_USER": url.username or "",
            "BENCH_DB_PASSWORD": url.password or "",
            "BENCH_DB_HOST": str(url.query.get("host") or url.host or ""),
            "BENCH_DB_PORT": str(url.port or 5432),
            "BENCH_RSA_KEY": key.decode(),
            "BENCH_USERNAME": USERNAME,
            "BENCH_PASSWORD": PASSWORD,
            "BENCH_WEB_SECRET": self.web.secret,
            "BENCH_REDIRECT_URI": REDIRECT_URI,
            "PYTHONPATH": str(self.folder),
        }
