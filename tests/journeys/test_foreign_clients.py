"""Relying parties that nobody here wrote sign people in against the running demo: openid-client and mod_auth_openidc."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import pytest

from tests.journeys.wire import Browser, Page, free_ports

pytestmark = pytest.mark.xdist_group("demo")
HERE = Path(__file__).parent
CALLBACK = "http://localhost:9/callback"  # nobody listens there: the browser stops before it


def register(demo: Any, **metadata: Any) -> dict[str, Any]:
    """Make a client with the command that an app owner would use."""
    command = [sys.executable, "-c", "from idp.cli import main; main()", "--config", str(demo.var / "config.toml")]
    made = subprocess.run(
        [*command, "client", "create", "--from-json", "-", "--json"],
        input=json.dumps(metadata),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)


# --- openid-client (npm) -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def openid_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program with its library installed, outside the checkout."""
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("npm is missing: openid-client was not tried")
    folder = tmp_path_factory.mktemp("openid-client")
    for name in ("package.json", "package-lock.json", "relying_party.mjs"):
        shutil.copy(HERE / "openid-client" / name, folder)
    done = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True, timeout=180, check=False
    )
    if done.returncode:
        pytest.skip(f"openid-client could not be installed: {done.stderr[-300:]}")
    return folder / "relying_party.mjs"


class Program:
    """The Node program; speaks JSON lines."""

    def __init__(self, script: Path) -> None:
        self.process = subprocess.Popen(
            ["node", str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def tell(self, **what: Any) -> dict[str, Any]:
        """Say something and hear the answer."""
        assert self.process.stdin
        assert self.process.stdout
        assert self.process.stderr
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        return json.loads(line)


def walk(browser: Browser, url: str, *, stop_at: str) -> Page:
    """Follow redirects like a browser, but stop before the address that begins with `stop_at`."""
    for _ in range(12):
        answer = browser.http.get(url, follow_redirects=False)
        if answer.is_redirect:
            url = urljoin(url, answer.headers["location"])
            if url.startswith(stop_at):
                return Page(httpx.Response(200, request=httpx.Request("GET", url)))
            continue
        return Page(answer)
    raise AssertionError(f"too many redirects, last to {url}")


def submit(browser: Browser, page: Page, action: str, *, stop_at: str, **values: str) -> Page:
    """Send a form and walk on."""
    form = page.form(action)
    answer = browser.http.post(urljoin(page.url, form.action), data=form.fields | values, follow_redirects=False)
    if not answer.is_redirect:
        return Page(answer)
    url = urljoin(page.url, answer.headers["location"])
    return (
        walk(browser, url, stop_at=stop_at)
        if not url.startswith(stop_at)
        else Page(httpx.Response(200, request=httpx.Request("GET", url)))
    )


def sign_in(browser: Browser, url: str, person: dict[str, Any], phone: Any, *, stop_at: str) -> Page:
    """From an authorization URL through password, code and consent to the callback."""
    page = walk(browser, url, stop_at=stop_at)
    page = submit(
        browser, page, "/login/password", stop_at=stop_at, identifier=person["username"], password=person["password"]
    )
    page = submit(browser, page, "/login/totp", stop_at=stop_at, code=phone.code())
    if "/consent" in page.url:
        page = submit(browser, page, "/consent", stop_at=stop_at, decision="allow")
    return page


@pytest.mark.parametrize(
    ("auth_method", "alg"),
    [("client_secret_basic", "ES256"), ("client_secret_post", "RS256"), ("client_secret_jwt", "RS256")],
)
def test_openid_client_signs_in_refreshes_and_signs_out(demo, phones, browser, openid_client, auth_method, alg):
    facts = demo.facts
    client = register(
        demo,
        client_name=f"Foreign {auth_method}",
        redirect_uris=[CALLBACK],
        post_logout_redirect_uris=["http://localhost:9/bye"],
        grant_types=["authorization_code", "refresh_token", "client_credentials"],
        token_endpoint_auth_method=auth_method,
        id_token_signed_response_alg=alg,
        scope="openid profile email offline_access claims.read",
        resources=[facts["claims_resource"]],
    )
    program = Program(openid_client)
    first = program.tell(
        issuer=facts["issuer"],
        client_id=client["client_id"],
        client_secret=client["client_secret"],
        auth_method=auth_method,
        id_token_signed_response_alg=alg,
        redirect_uri=CALLBACK,
        post_logout_redirect_uri="http://localhost:9/bye",
        scope="openid profile email offline_access",
        machine_scope="claims.read",
        machine_resource=facts["claims_resource"],
    )
    edda = demo.person("edda")
    back = sign_in(browser, first["visit"], edda, phones["edda"], stop_at=CALLBACK)
    assert back.url.startswith(CALLBACK), back.text
    assert parse_qs(urlsplit(back.url).query)["iss"] == [facts["issuer"]]
    told = program.tell(came_back_to=back.url)
    assert told["claims"]["amr"] == ["pwd", "otp", "mfa"]
    assert told["userinfo"]["email"] == edda["email"]
    assert told["userinfo"]["sub"] == told["claims"]["sub"]
    assert told["refreshed"] == {"sub": told["claims"]["sub"], "rotated": True}
    assert told["machine"] == {"token_type": "bearer", "scope": "claims.read"}
    gone = walk(browser, told["sign_out"], stop_at="http://localhost:9/bye")
    assert gone.url == "http://localhost:9/bye?state=bye"


# --- mod_auth_openidc (Apache) -------------------------------------------------------------------------------

MODULES = Path("/usr/lib/apache2/modules")
CONFIGURATION = """
ServerName localhost
ServerRoot {folder}
PidFile {folder}/httpd.pid
ErrorLog {folder}/error.log
Listen 127.0.0.1:{port}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authn_core_module {modules}/mod_authn_core.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule authz_user_module {modules}/mod_authz_user.so
LoadModule dir_module {modules}/mod_dir.so
LoadModule headers_module {modules}/mod_headers.so
LoadModule auth_openidc_module {modules}/mod_auth_openidc.so
{user}
DocumentRoot {folder}/htdocs
DirectoryIndex index.html
OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration
OIDCClientID {client_id}
OIDCClientSecret {client_secret}
OIDCRedirectURI http://localhost:{port}/callback
OIDCCryptoPassphrase {passphrase}
OIDCScope "openid profile email"
OIDCPKCEMethod S256
OIDCSSLValidateServer Off
<Location />
  AuthType openid-connect
  Require valid-user
  Header set X-Signed-In-As "expr=%{{REMOTE_USER}}"
  Header set X-Mail "expr=%{{env:OIDC_CLAIM_email}}"
</Location>
"""


@pytest.fixture
def apache(demo, tmp_path: Path) -> Iterator[str]:
    """Apache with mod_auth_openidc as a relying party of the demo."""
    program = shutil.which("apache2") or shutil.which("apache2", path="/usr/sbin")
    if not program or not (MODULES / "mod_auth_openidc.so").exists():
        pytest.skip("Apache with mod_auth_openidc is missing (Debian: libapache2-mod-auth-openidc): it was not tried")
    (port,) = free_ports(1)
    client = register(
        demo,
        client_name="Apache",
        redirect_uris=[f"http://localhost:{port}/callback"],
        scope="openid profile email",
        id_token_signed_response_alg="RS256",
    )
    (tmp_path / "htdocs").mkdir()
    (tmp_path / "htdocs" / "index.html").write_text("behind the door")
    for folder in (tmp_path, *tmp_path.parents):
        if os.access(folder, os.W_OK) and folder.is_relative_to(Path("/tmp")) and folder != Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o055)
    text = CONFIGURATION.format(
        folder=tmp_path,
        port=port,
        modules=MODULES,
        issuer=demo.facts["issuer"],
        client_id=client["client_id"],
        client_secret=client["client_secret"],
        passphrase="only-for-this-test",
        user="User www-data\nGroup www-data" if os.geteuid() == 0 else "",
    )
    (tmp_path / "httpd.conf").write_text(text)
    process = subprocess.Popen([program, "-f", str(tmp_path / "httpd.conf"), "-DFOREGROUND"])
    try:
        wait_for(f"http://localhost:{port}/", process, tmp_path / "error.log")
        yield f"http://localhost:{port}/"
    finally:
        process.terminate()
        process.wait(90)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server answers."""
    for _ in range(600):
        assert process.poll() is None, log.read_text() if log.exists() else "Apache ended"
        try:
            httpx.get(url, trust_env=False, timeout=10)
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_mod_auth_openidc_lets_a_signed_in_person_through(demo, phones, browser, apache):
    jonas = demo.person("jonas")
    page = browser.sign_in(browser.open(apache), jonas, phones["jonas"])
    page = browser.submit(page, "/consent", decision="allow")
    assert page.url == apache
    assert "behind the door" in page.text
    assert page.answer.headers["X-Signed-In-As"]
    assert page.answer.headers["X-Mail"] == jonas["email"]
