"""A corpus of breached passwords: built of any lines, looked into without loading it, and never wrong about a good password."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from idp.authn import corpus
from idp.authn.corpus import Built, Corpus, NotACorpus, build

WORDS = ["tr0ub4dor", "Quiet-Lamp-93-Orbit", "café au lait", "  spaces stay  ", "пароль-1234", "x" * 300]


def hashed(word: str) -> bytes:
    return hashlib.sha1(word.encode()).hexdigest().encode()


def made(tmp_path: Path, lines: list[bytes], *, end: bytes = b"\n") -> tuple[Built, Corpus]:
    out = tmp_path / "corpus"
    built = build(io.BytesIO(end.join(lines) + end), out)
    return built, Corpus(out)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_plaintext_lines_are_found_letter_by_letter_and_nothing_else(tmp_path, end):
    built, found = made(tmp_path, [word.encode() for word in WORDS], end=end)
    assert built == Built(len(WORDS), "plaintext")
    assert all(found.holds(word) for word in WORDS)
    near = [word + "x" for word in WORDS] + [word.upper() + "!" for word in WORDS] + ["", "my tr0ub4dor", "\ud800"]
    assert not any(found.holds(word) for word in near), "N-6: the whole password is compared"


@pytest.mark.parametrize("dress", [bytes.lower, bytes.upper, lambda line: line + b":17"])
def test_lines_of_sha1_in_any_order_with_or_without_counts(tmp_path, dress):
    built, found = made(tmp_path, [dress(hashed(word)) for word in WORDS])
    assert built == Built(len(WORDS), "sha1")
    assert all(found.holds(word) for word in WORDS) and not found.holds("another")


def test_n4_both_spellings_of_a_letter_are_one_password(tmp_path):
    _, found = made(tmp_path, ["caf\u00e9-au-lait".encode()])
    assert found.holds("cafe\u0301-au-lait")
    _, decomposed = made(tmp_path, ["cafe\u0301-au-lait".encode()])
    assert decomposed.holds("caf\u00e9-au-lait")


def test_many_pieces_are_merged_and_doubles_are_kept_once(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "CHUNK", 7)
    words = [f"word-{number % 300}" for number in range(1000)]
    built, found = made(tmp_path, [word.encode() for word in words])
    assert (built.count, found.count) == (300, 300)
    assert all(found.holds(f"word-{number}") for number in range(300))
    assert not any(found.holds(f"word-{number}") for number in range(300, 400))
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"], "no pieces stay behind"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "not one line"),
        (b"\n\n\n", "not one line"),
        (hashed("a") + b"\nhunter2\n", "line 2 is not a SHA-1"),
        (b"x" * 2000 + b"\n", "not one password"),
    ],
)
def test_what_is_no_list_of_passwords_is_refused_and_leaves_no_file(tmp_path, text, told):
    with pytest.raises(NotACorpus, match=told):
        build(io.BytesIO(text), tmp_path / "corpus")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bytes_", [b"", b"idp", corpus.MAGIC, corpus.MAGIC.ljust(32, b"\0"), b"\0" * 44])
def test_another_file_is_not_taken_for_a_corpus(tmp_path, bytes_):
    path = tmp_path / "other"
    path.write_bytes(bytes_)
    with pytest.raises(NotACorpus, match="idp passwords corpus build"):
        Corpus(path)


def test_a_replaced_file_is_noticed(tmp_path):
    made(tmp_path, [b"first"])
    path = str(tmp_path / "corpus")
    assert corpus.find(path).holds("first") and corpus.find(path) is corpus.find(path)
    made(tmp_path, [b"second", b"third"])
    assert corpus.find(path).holds("second") and not corpus.find(path).holds("first")
    assert corpus.find("") is None


def test_lines_in_other_encodings_are_kept_as_they_are(tmp_path):
    built, found = made(tmp_path, [b"plain", b"caf\xe9"])
    assert built.count == 2 and found.holds("plain") and not found.holds("café")
