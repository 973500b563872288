"""web.call — forms and queries are read as the standard library reads them, also on the short way for those without escapes."""

from __future__ import annotations

from urllib.parse import parse_qsl

from idp.web.call import Call
from tests.each import on_each

TEXTS = [
    "", "a", "a=", "=b", "=", "&", "a=b", "a=b&", "&&a=b&&c=d", "a=b=c", "a=b&a=c", "a;b=c", "a= b", "a=b+c", "a=%41", "%61=b",
    "a=%", "a=%zz", "a=%ff&b=c", "a=é", "token=oat_x-y.z~&token_type_hint=access_token",
]  # fmt: skip


@on_each("text", TEXTS)
def test_a_form_and_a_query_hold_what_the_standard_library_finds(text: str) -> None:
    sent = Call({"REQUEST_METHOD": "POST", "PATH_INFO": "/token", "QUERY_STRING": text}, text.encode())
    assert sent.form == sent.query == parse_qsl(text, keep_blank_values=True)
