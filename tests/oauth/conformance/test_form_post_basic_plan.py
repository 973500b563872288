"""oidcc-formpost-basic-certification-test-plan: the Basic plan with response_mode=form_post."""

import pytest

from tests.oauth.conformance import plans


@pytest.mark.parametrize(("module", "variant"), plans.basic(form_post=True))
def test_module(module, variant, provider, begin):
    module(begin(provider, variant))
