"""blocklist — passwords that everybody guesses first: the frequency lists that the `zxcvbn` package carries (N-6, ASVS 6.2.4).

Offline, compared whole and without regard to case. About 94 000 entries: in a set they would take 10 MB of every worker, and the package
makes 20 MB of them; as one sorted text they take one, and a look-up some 20 µs.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_loader
from pathlib import Path


def is_listed(word: str) -> bool:
    """Say whether a case-folded word is a leaked password, a dictionary word or a name."""
    wanted = word.encode("utf-8", "surrogatepass")
    text = _sorted_text()
    low, high = 0, len(text)  # text[low:high] is whole lines, and each turn leaves out one at least
    while low < high:
        middle = (low + high) // 2
        begin, end = text.rfind(b"\n", low, middle) + 1 or low, text.index(b"\n", middle)
        found = text[begin:end]
        if found == wanted:
            return True
        low, high = (end + 1, high) if found < wanted else (low, begin)
    return False


def warm() -> None:
    """Read the lists now, so that the first person who chooses a password need not wait 0.1 s for them."""
    _sorted_text()


@lru_cache(maxsize=1)
def _sorted_text() -> bytes:
    words = {word.casefold().encode() for words in _lists().values() for word in words}
    return b"\n".join(sorted(words)) + b"\n"


def _lists() -> dict[str, list[str]]:
    """Read the lists and keep no module: the package's own index of them is larger than everything else that a worker loads."""
    package = find_spec("zxcvbn")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("zxcvbn")
    name = "idp.authn._frequency_lists"
    spec = spec_from_loader(name, SourceFileLoader(name, str(Path(package.origin).with_name("frequency_lists.py"))))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    lists: dict[str, list[str]] = module.FREQUENCY_LISTS
    return lists
