"""NPI check digits (standards H-35)."""

import pytest

from idp.users.npi import valid_npi


@pytest.mark.parametrize("npi", ["1234567893", "1558598797", "1245319599"])
def test_h35_a_number_with_the_right_check_digit_is_an_npi(npi):
    assert valid_npi(npi)


@pytest.mark.parametrize(
    "text",
    [
        "1234567890",
        "0000000006",
        "１２３４５６７８９３",
        "123456789",
        "12345678933",
        "",
        "1234567893\n",
        " 1234567893",
        "3234567893",
    ],
)
def test_h35_anything_else_is_not(text):
    assert not valid_npi(text)


def test_h35_every_single_wrong_digit_is_noticed():
    for place in range(10):
        for digit in "0123456789":
            changed = "1234567893"[:place] + digit + "1234567893"[place + 1 :]
            assert valid_npi(changed) == (changed == "1234567893")
