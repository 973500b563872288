"""strict_json: what is refused (I-JSON, RFC 7493; attacks 19, 50, 144), and that the short way and the long one read the same."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from idp import strict_json

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats()
    | st.text(st.characters(codec=None), max_size=6)  # half a surrogate pair among them
)
NAMES = st.sampled_from(["a", "b", ":", '"', "\\", "a:", "é", "\ud800", ""]) | st.text(max_size=3)
VALUES = st.recursive(
    LEAVES, lambda inside: st.lists(inside, max_size=3) | st.dictionaries(NAMES, inside, max_size=3), max_leaves=12
)
PIECES = st.sampled_from(
    [
        '{', '}', '[', ']', ':', ',', '"', '"a"', '"a":', '"\\u0061":1', '"b":2', '\\', '\\"', '\\\\', '":', '",', ' ', '\n', '\t', '\x0b',
        '0', '-0', '1', '-', '+1', '01', '1.', '.5', '1.0', '1e5', '1E-5', '1e999', '-1e999', '9007199254740991', '9007199254740992',
        '-9007199254740991', '-9007199254740992', '18446744073709551616', '9' * 400, 'NaN', 'Infinity', '-Infinity', 'null', 'true',
        'nul', '"\\ud800"', '"\\ud83d\\ude00"', '"\\udc00"', '\ud800', '\ufeff', '\x00', '\x7f', '"\x1f"', '\u2028', '"é"', '/*', "'a'",
    ]
)  # fmt: skip
NASTY = st.lists(PIECES, max_size=9).map("".join)

SAME_EACH_TIME = "FUZZ" not in os.environ


def read(function, *given_, **named):
    """The value as it prints, types and all, or that it was refused."""
    try:
        return repr(function(*given_, **named))
    except ValueError:
        return "refused"


def same(text: str, max_depth: int = strict_json.MAX_DEPTH) -> str:
    """Read a text both ways, and as bytes; they must agree. Returns what they say."""
    short, long_ = (
        read(strict_json.loads, text, max_depth=max_depth),
        read(strict_json.read_digits, text, max_depth=max_depth),
    )
    assert short == long_
    assert read(strict_json.loads, text.encode("utf-8", "surrogatepass"), max_depth=max_depth) == long_
    return short


@given(
    VALUES, st.sampled_from([None, 1]), st.booleans(), st.sampled_from([(",", ":"), (", ", " : "), (" ,\n", "\t: ")])
)
@settings(max_examples=150, deadline=None, derandomize=SAME_EACH_TIME)
def test_rfc7493_both_ways_read_the_same_values(value, indent, plain, separators):
    same(json.dumps(value, indent=indent, ensure_ascii=plain, separators=separators))


@given(NASTY, st.integers(0, 3))
@example('{"a":1,"\\u0061":2}', 16)
@example('{"a":":","a":1}', 16)
@example('{"a":{"b":1},"b":[{"a":1,"a":2}]}', 16)
@example('["x",":"]', 16)
@example('{"a\\\\":1,"a\\\\":"\\":"}', 16)
@example("[" * 5000, 16)
@example("[" * 900 + "]" * 900, 16)
@settings(max_examples=500, deadline=None, derandomize=SAME_EACH_TIME)
def test_rfc7493_both_ways_refuse_the_same_texts(text, max_depth):
    same(text, max_depth)


@given(st.lists(st.tuples(NAMES, st.integers(0, 3) | NAMES), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None, derandomize=SAME_EACH_TIME)
def test_attack_50_a_member_that_comes_twice_is_always_seen(pairs):
    text = "{" + ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in pairs) + "}"
    if len({name for name, _ in pairs}) != len(pairs):
        assert same(text) == "refused"
    else:
        same(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":1}', '{"a":1,"\\u0061":2}', '[{"x":{"a":":","a":0}}]', "NaN", "[Infinity]", "-Infinity", "1e999", "9007199254740992",
        "-9007199254740992", "18446744073709551616", '{"exp":99999999999999999999999}', '"\\ud800"', '{"\\udc00":1}', '"\ud800"', "",
        "[1,]", "{'a':1}", "01", "+1", "1 2", "\ufeff{}", '"\x00"', "[" * 17 + "]" * 17, "[" * 100_000, '{"a":' * 17 + "1" + "}" * 17,
    ],
)  # fmt: skip
def test_attack_144_what_two_readers_could_read_in_two_ways_is_refused(text):
    assert same(text) == "refused"


def test_what_is_not_utf_8_is_refused():
    for raw in (b"\xff\xfe", b'"\xed\xa0\x80"', b'"\xc0\xaf"', '"é"'.encode("latin-1"), "{}".encode("utf-16")):
        with pytest.raises(ValueError):
            strict_json.loads(raw)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a":":\\"a\\":1","b":[1.5,{"a":2}]}', {"a": ':"a":1', "b": [1.5, {"a": 2}]}),
        ("-9007199254740991", -(2**53 - 1)),
        ("1e2", 100.0),
        ('"\\ud83d\\ude00"', "😀"),
        ("[" * 16 + "]" * 16, json.loads("[" * 16 + "]" * 16)),
        (" [ true , null ]\n", [True, None]),
    ],
)
def test_rfc7493_what_everybody_reads_the_same_is_read(text, value):
    assert strict_json.loads(text) == value
    assert same(text) == repr(value)
