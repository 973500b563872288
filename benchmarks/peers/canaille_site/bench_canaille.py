"""Canaille with OpenID Connect on PostgreSQL. `python bench_canaille.py fill` makes what it needs."""

import datetime
import json
import os
import sys

from canaille import create_app

CONFIG = {
    "SECRET_KEY": "benchmarks-only-benchmarks-only-0123456789",
    "SERVER_NAME": f"127.0.0.1:{os.environ['BENCH_PORT']}",
    "PREFERRED_URL_SCHEME": "http",
    "CANAILLE": {
        "LOGGING": {"version": 1, "disable_existing_loggers": True},
        "ENABLE_PASSWORD_COMPROMISSION_CHECK": False,
    },
    "CANAILLE_SQL": {"DATABASE_URI": os.environ["BENCH_DATABASE"]},
    "CANAILLE_OIDC": {"ACTIVE_JWKS": json.loads(os.environ["BENCH_JWKS"]), "TRUSTED_DOMAINS": ["127.0.0.1"]},
}


def fill() -> None:
    """Tables, a person and two clients; the web client is trusted, so nobody is asked for consent."""
    from canaille.app import models
    from canaille.backends import Backend

    app = create_app(config=CONFIG)
    with app.app_context():
        Backend.instance.install(app)
        with Backend.instance.session():
            person = models.User(
                user_name=os.environ["BENCH_USERNAME"],
                formatted_name="Bench Mark",
                family_name="Mark",
                emails=[os.environ["BENCH_USERNAME"]],
                password=os.environ["BENCH_PASSWORD"],
            )
            Backend.instance.save(person)
            common = {
                "client_id_issued_at": datetime.datetime.now(datetime.UTC),
                "client_uri": "http://127.0.0.1",
                "token_endpoint_auth_method": "client_secret_basic",
                "id_token_signed_response_alg": "ES256",
            }
            web = models.Client(
                client_id="bench-web", client_secret=os.environ["BENCH_WEB_SECRET"], client_name="web",
                redirect_uris=[os.environ["BENCH_REDIRECT_URI"]], grant_types=["authorization_code", "refresh_token"],
                response_types=["code"], scope=["openid", "profile"], **common,
            )  # fmt: skip
            machine = models.Client(
                client_id="bench-machine", client_secret="s" * 43, client_name="machine", redirect_uris=[],
                grant_types=["client_credentials"], response_types=[], scope=["profile"], **common,
            )  # fmt: skip
            for client in (web, machine):
                Backend.instance.save(client)
                client.audience = [client]
                Backend.instance.save(client)


if __name__ == "__main__":
    if sys.argv[1:] == ["fill"]:
        fill()
else:
    application = create_app(config=CONFIG)
