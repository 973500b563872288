"""The page where a newcomer presents tokens in the wrong places."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("slug", "verdict", "says"),
    [
        ("own", "200 OK", "&#34;id&#34;: &#34;"),
        ("peer", "401 Unauthorized", "&#34;reason&#34;: &#34;aud&#34;"),
        ("id-token", "401 Unauthorized", "&#34;reason&#34;: &#34;typ&#34;"),
        ("tampered", "401 Unauthorized", "&#34;reason&#34;: &#34;signature&#34;"),
        ("none", "401 Unauthorized", "WWW-Authenticate: Bearer"),
    ],
)
@pytest.mark.parametrize("service", ["claims_url", "patients_url"])
def test_each_experiment_shows_what_the_api_answered(world, service, slug, verdict, says):
    page = world.browser.get(f"{getattr(world, service)}/try/{slug}")
    assert page.status_code == 200
    assert verdict in page.text
    assert says in page.text
    assert "unexpected" not in page.text


def test_the_member_that_does_not_fit_is_marked(world):
    page = world.browser.get(f"{world.claims_url}/try/peer").text
    row = page[page.index('class="suspect"') :][:200]
    assert ">aud<" in row
    assert world.claims_resource in row


def test_an_unknown_experiment_is_404(world):
    assert world.browser.get(f"{world.claims_url}/try/else").status_code == 404
