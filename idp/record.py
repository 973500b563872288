"""record — frozen dataclasses that are put together when the first of them is made.

`dataclasses` writes and compiles six functions for each class. We have more than a hundred, which took a tenth of a start, and most are of
no use before somebody signs in. A class that inherits from Record is what `@dataclass(frozen=True)` would have made of it, only later.
"""

from __future__ import annotations

import threading
from dataclasses import Field, dataclass, field
from typing import Any, ClassVar, cast, dataclass_transform

_PENDING: dict[type[Record], bool] = {}  # and whether its fields go by keyword only
_LOCK = threading.RLock()  # what a field's default makes may be a record


class _Fields:
    """Completes a class of which somebody wants to know the fields, as `dataclasses.fields` does."""

    def __get__(self, _record: Record | None, kind: type[Record]) -> dict[str, Field[Any]]:
        if kind is Record:
            raise AttributeError("Record itself has no fields")
        return cast(dict[str, Field[Any]], vars(complete(kind))["__dataclass_fields__"])


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Record:
    """Base of frozen dataclasses: `class Point(Record)`, `class Point(Record, kw_only=True)`. A record has no heirs.

    What stands here answers until a class is complete; a thread that comes while another completes it waits.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]] = cast(Any, _Fields())

    def __init_subclass__(cls, *, kw_only: bool = False) -> None:
        if cls.__bases__ != (Record,):
            raise TypeError(f"{cls.__name__}: a record inherits from Record alone")
        _PENDING[cls] = kw_only

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        complete(type(self)).__init__(self, *args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return bool(complete(type(self)).__eq__(self, other))

    def __hash__(self) -> int:
        return int(complete(type(self)).__hash__(self))

    def __repr__(self) -> str:
        return str(complete(type(self)).__repr__(self))


def complete(kind: type[Record]) -> Any:
    """Put a class together, unless that was done, and return it. Raises TypeError where it cannot be a dataclass."""
    with _LOCK:
        if kind in _PENDING:
            dataclass(frozen=True, kw_only=_PENDING[kind])(kind)
            del _PENDING[kind]
    return kind


def complete_all() -> None:
    """Put together what nobody has asked for yet."""
    for kind in list(_PENDING):
        complete(kind)
