"""oidcc-rp-initiated-logout-certification-test-plan."""

import pytest

from tests.oauth.conformance import plans


@pytest.mark.parametrize(("module", "variant"), plans.rp_initiated_logout())
def test_module(module, variant, provider, begin):
    module(begin(provider, variant))
