"""oidcc-basic-certification-test-plan."""

import pytest

from tests.oauth.conformance import plans


@pytest.mark.parametrize(("module", "variant"), plans.basic())
def test_module(module, variant, provider, begin):
    module(begin(provider, variant))
