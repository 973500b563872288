"""What work costs, told so that a slow or busy machine tells the same: CPU seconds, and one piece of work against another."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ROUNDS = 4


@contextmanager
def within(cpu_s: float) -> Iterator[None]:
    """What is done inside takes this thread fewer CPU seconds: a bound many times above what it takes, and far below a square."""
    began = time.thread_time()
    yield
    spent_s = time.thread_time() - began
    assert spent_s < cpu_s, f"{spent_s:.2f} s of CPU"


def alike(first: Callable[[], None], second: Callable[[], None], *, within: float, times: int = 40) -> float:
    """How many times the first costs this process what the second does; both in turns, so that the machine's moods meet both.

    What differs differs in every round; what a busy machine does to one round it does not do to all: the first round inside of
    1/within … within decides, or else the last one.
    """
    ratio = 0.0
    for _ in range(ROUNDS):
        pairs = [(_cpu_s(first), _cpu_s(second)) for _ in range(times)]
        one, other = (statistics.median(column) for column in zip(*pairs[5:], strict=True))
        ratio = one / other
        if 1 / within < ratio < within:
            break
    return ratio


def _cpu_s(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
