"""npi — National Provider Identifiers (45 CFR 162.406): public numbers with a check digit; never a secret, never a factor."""

from __future__ import annotations

import re

_PREFIX_SUM = 24  # what the card prefix 80840 adds to every NPI's Luhn sum


def valid_npi(raw: str) -> bool:
    """Say whether this is a well-formed NPI: ten ASCII digits, first 1 or 2, Luhn over 80840 and the number (H-35)."""
    if not re.fullmatch(r"[12][0-9]{9}", raw):
        return False
    digits = [int(character) for character in raw]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[0::2])
    return (_PREFIX_SUM + sum(doubled) + sum(digits[1::2])) % 10 == 0
