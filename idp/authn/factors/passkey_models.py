"""Models of authenticators: names that people recognise, and what a certificate says (WebAuthn section 8.2.1)."""

from __future__ import annotations

from collections.abc import Collection

from idp.language import gettext

_AAGUID_EXTENSION = "1.3.6.1.4.1.45724.1.1.4"  # id-fido-gen-ce-aaguid
_NAMES = {
    "ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4": "Google Password Manager",
    "fbfc3007-154e-4ecc-8c0b-6e020557d7bd": "Apple Passwords",
    "dd4ec289-e01d-41c9-bb89-70fa845d4bf2": "Apple Passwords",
    "adce0002-35bc-c60a-648b-0b25f1f05503": "Chrome on Mac",
    "08987058-cadc-4b81-b6e1-30de50dcbe96": "Windows Hello",
    "9ddd1817-af5a-4672-a2b9-3e3dd95000a9": "Windows Hello",
    "6028b017-b1d4-4c02-b4b3-afcdafc96bb2": "Windows Hello",
    "bada5566-a7aa-401f-bd96-45619a55120d": "1Password",
    "d548826e-79b4-db40-a3d8-11116f7e8349": "Bitwarden",
    "531126d6-e717-415c-9320-3d9aa6981239": "Dashlane",
    "53414d53-554e-4700-0000-000000000000": "Samsung Pass",
}


def first_name(aaguid: str, transports: Collection[str], taken: Collection[str]) -> str:
    """Return a name for a new passkey that its person does not use yet: its model, or what kind of thing it is."""
    portable = {"usb", "nfc", "ble"} & set(transports)
    kind = _NAMES.get(aaguid) or (gettext("Security key") if portable else gettext("Passkey"))
    number = 1
    while (name := kind if number == 1 else f"{kind} {number}") in taken:
        number += 1
    return name


def certified(leaf: bytes, aaguid: str) -> bool:
    """Say whether the certificate names no model, or this one (WebAuthn section 8.2.1)."""
    from cryptography import x509

    extensions = x509.load_der_x509_certificate(leaf).extensions
    named = next((one.value for one in extensions if one.oid.dotted_string == _AAGUID_EXTENSION), None)
    if named is None:
        return True
    octets = named.value if isinstance(named, x509.UnrecognizedExtension) else b""
    return octets[:2] == b"\x04\x10" and octets[2:].hex() == aaguid.replace("-", "")
