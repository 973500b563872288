"""One test for many cases: every case is tried, and one failure names all that went wrong.

`@on_each("page", cases)` is `pytest.mark.parametrize` for checks of microseconds: the machinery of a test costs a thousand of them.
Cases share the fixtures, so only checks that leave nothing behind may use it.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterable
from typing import Any

import pytest

Check = Callable[..., None]


def on_each(names: str, cases: Iterable[Any], *, called: Callable[..., str] | None = None) -> Callable[[Check], Check]:
    """Try the decorated check with each case under these argument names; `called` says what a case is called in a failure.

    Stacked, the inner one is tried whole for every case of the outer one. Fixtures are asked for as in any test.
    """
    arguments = [name.strip() for name in names.split(",")]
    tried = list(cases)
    assert tried, "no cases: a check that cannot fail"

    def decorate(check: Check) -> Check:
        def test(**fixtures: Any) -> None:
            wrong = []
            for case in tried:
                values = (case,) if len(arguments) == 1 else tuple(case)
                given = dict(zip(arguments, values, strict=True))
                try:
                    check(**given, **fixtures)
                except (Exception, pytest.fail.Exception) as error:
                    wrong.append(f"{called(*values) if called else _spoken(values)}: {_told(error)}")
            if wrong:
                raise AssertionError(f"{len(wrong)} of {len(tried)} cases:\n" + "\n".join(wrong))

        signature = inspect.signature(check)
        left = [one for name, one in signature.parameters.items() if name not in arguments]
        assert len(left) == len(signature.parameters) - len(arguments), f"{check.__name__} does not take {arguments}"
        test.__name__, test.__qualname__ = check.__name__, check.__qualname__
        test.__module__, test.__doc__ = check.__module__, check.__doc__
        test.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
        return test

    return decorate


def _spoken(values: tuple[Any, ...]) -> str:
    return " ".join(f"{value}"[:80] for value in values)


def _told(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in line {last.lineno} ({last.line}): {error}"
