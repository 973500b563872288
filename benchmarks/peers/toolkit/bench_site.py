"""A Django project in one file: django-oauth-toolkit with OpenID Connect on PostgreSQL. `python bench_site.py fill` makes what it needs."""

import os
import sys

from django.conf import settings

if not settings.configured:
    settings.configure(
        DEBUG=False,
        SECRET_KEY="benchmarks-only",
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF=__name__,
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        LOGGING_CONFIG=None,
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "oauth2_provider",
        ],
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "loaders": [
                        (
                            "django.template.loaders.locmem.Loader",
                            {
                                "registration/login.html": '<form method="post">{% csrf_token %}{{ form }}<button>Sign in</button></form>',
                            },
                        )
                    ]
                },
            }
        ],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": os.environ["BENCH_DB_NAME"],
                "USER": os.environ["BENCH_DB_USER"],
                "PASSWORD": os.environ.get("BENCH_DB_PASSWORD", ""),
                "HOST": os.environ["BENCH_DB_HOST"],
                "PORT": os.environ["BENCH_DB_PORT"],
                "CONN_MAX_AGE": None,
            }
        },
        OAUTH2_PROVIDER={
            "OIDC_ENABLED": True,
            "OIDC_RSA_PRIVATE_KEY": os.environ["BENCH_RSA_KEY"],
            "PKCE_REQUIRED": True,
            "ROTATE_REFRESH_TOKEN": True,
            "ACCESS_TOKEN_EXPIRE_SECONDS": 600,
            "SCOPES": {"openid": "Sign in", "profile": "Name", "read": "Read"},
        },
    )
    settings.TEMPLATES[0]["APP_DIRS"] = False

import django

django.setup()

from django.contrib.auth.views import LoginView  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import include, path  # noqa: E402

urlpatterns = [
    path("accounts/login/", LoginView.as_view()),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]


def fill() -> None:
    """Tables, a person and two clients. Client secrets are kept plain: hashed ones cost half a second a request."""
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from oauth2_provider.models import Application

    call_command("migrate", verbosity=0)
    person = User.objects.create_user(os.environ["BENCH_USERNAME"], password=os.environ["BENCH_PASSWORD"])
    common = {"client_type": "confidential", "hash_client_secret": False}
    Application.objects.create(
        name="web", client_id="bench-web", client_secret=os.environ["BENCH_WEB_SECRET"], algorithm="RS256", user=person,
        authorization_grant_type="authorization-code", redirect_uris=os.environ["BENCH_REDIRECT_URI"],
        skip_authorization=True, **common,
    )  # fmt: skip
    Application.objects.create(
        name="machine", client_id="bench-machine", client_secret="s" * 43,
        authorization_grant_type="client-credentials", **common,
    )  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:] == ["fill"]:
        fill()
else:
    application = get_wsgi_application()
