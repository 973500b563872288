"""oidcc-formpost-implicit-certification-test-plan: the Implicit plan with response_mode=form_post."""

import pytest

from tests.oauth.conformance import plans


@pytest.mark.parametrize(("module", "variant"), plans.implicit(form_post=True))
def test_module(module, variant, legacy_provider, begin):
    module(begin(legacy_provider, variant))
