"""Records: frozen dataclasses that are put together late, and are no different for it."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from idp import record
from idp.record import Record


class Kept(Record):
    """Stands in the module, where pickle finds it."""

    name: str
    numbers: tuple[int, ...] = ()


def fresh() -> Any:
    """A class that nobody has used yet."""

    class Point(Record):
        """A point."""

        x: int
        y: int = 2
        more: list[int] = dataclasses.field(default_factory=list, compare=False)

        def sum(self) -> int:
            return self.x + self.y

    return Point


def test_it_is_what_the_decorator_would_have_made() -> None:
    made, twin = fresh(), Point
    one, other = made(1, y=3), twin(1, y=3)
    assert dataclasses.asdict(one) == dataclasses.asdict(other) == {"x": 1, "y": 3, "more": []}
    assert hash(one) == hash(other) == hash((1, 3)) and one.sum() == 4
    assert repr(one).rpartition(".")[2] == repr(other).rpartition(".")[2]
    assert one == made(1, 3) and one != made(1, 4) and one != other
    assert made.__match_args__ == ("x", "y", "more") and made(1).more is not made(1).more
    assert dataclasses.replace(one, x=5) == made(5, 3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.x = 2
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        fresh()()


@dataclasses.dataclass(frozen=True)
class Point:
    """The same, by the decorator."""

    x: int
    y: int = 2
    more: list[int] = dataclasses.field(default_factory=list, compare=False)


def test_nothing_is_compiled_before_the_first_is_made() -> None:
    made = fresh()
    assert made in record._PENDING
    assert made(1).y == 2
    assert made not in record._PENDING
    assert {"__init__", "__eq__", "__hash__", "__repr__", "__setattr__", "__delattr__"} <= set(vars(made))


def test_a_class_that_nobody_has_used_tells_its_fields() -> None:
    assert [one.name for one in dataclasses.fields(fresh())] == ["x", "y", "more"]
    assert dataclasses.is_dataclass(fresh()) and not dataclasses.is_dataclass(Record)


def test_fields_may_go_by_keyword_only() -> None:
    class Named(Record, kw_only=True):
        x: int = 1
        y: int

    assert Named(y=2) == Named(x=1, y=2)
    with pytest.raises(TypeError):
        Named(1, 2)  # type: ignore[misc]


def test_one_that_was_not_made_by_a_call_is_whole_too() -> None:
    raw = pickle.dumps(Kept("a", (1,)))
    assert pickle.loads(raw) == Kept("a", (1,)) == copy.deepcopy(Kept("a", (1,)))
    for ask in (hash, repr, lambda one: one == one):
        one = object.__new__(fresh())  # as copying makes them
        vars(one).update(x=1, more=[])
        assert ask(one)


def test_a_record_has_no_heirs() -> None:
    with pytest.raises(TypeError, match="from Record alone"):

        class Heir(Kept):
            pass


def test_one_that_cannot_be_a_dataclass_says_so_and_stays_so() -> None:
    class Wrong(Record):
        x: int = 1
        y: int  # type: ignore[misc]

    try:
        for _ in range(2):
            with pytest.raises(TypeError, match="non-default argument 'y'"):
                Wrong(1, 2)
    finally:
        record._PENDING.pop(Wrong, None)


def test_threads_that_come_at_once_wait_until_it_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = record.dataclass, []

    def slow(**how: Any) -> Callable[[type], type]:
        def decorate(kind: type) -> type:
            calls.append(kind)
            time.sleep(0.02)
            return real(**how)(kind)

        return decorate

    monkeypatch.setattr(record, "dataclass", slow)
    made, found, begin = fresh(), [], threading.Barrier(8)

    def work() -> None:
        begin.wait()
        found.append({made(1, 2): "seen"}.get(made(1, 2)))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found, calls) == (["seen"] * 8, [made])


def test_every_record_can_be_completed() -> None:
    record.complete_all()
    assert not record._PENDING
