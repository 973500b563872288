"""The bounded pool for slow hashes (C-3, attack 143)."""

import threading
import time

import pytest

from idp.authn.hash_pool import HashPool, sizes
from idp.errors import Unavailable


class Gate:
    """Work that waits until it is let through, and notes the order."""

    def __init__(self):
        self.opened, self.order, self.running, self.most = threading.Event(), [], 0, 0
        self.lock = threading.Lock()

    def work(self, label):
        def run():
            with self.lock:
                self.running += 1
                self.most = max(self.most, self.running)
                self.order.append(label)
            assert self.opened.wait(60)
            with self.lock:
                self.running -= 1
            return label

        return run


def start(pool, gate, label, lane, *, wait=True):
    """Hand in a job from a thread of its own, and wait until the pool has it."""
    result = []

    def call():
        try:
            result.append(pool.run(gate.work(label), lane=lane))
        except Unavailable as error:
            result.append(error)

    before = pool.waiting + len(gate.order)
    thread = threading.Thread(target=call)
    thread.start()
    deadline = time.monotonic() + 60
    while wait and pool.waiting + len(gate.order) == before and not result and time.monotonic() < deadline:
        time.sleep(0.001)
    return thread, result


def until(condition):
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    assert condition()


def test_results_and_exceptions_come_back():
    pool = HashPool(concurrency=2, queue=4)
    assert pool.run(lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        pool.run(lambda: 1 // 0)
    assert pool.run(lambda: 43) == 43


def test_attack_143_who_would_be_sent_away_is_told_before_any_work():
    pool, gate = HashPool(concurrency=1, queue=2), Gate()
    pool.insist_on_room("flood")
    calls = [start(pool, gate, 0, "flood")]
    pool.insist_on_room("flood")
    calls += [start(pool, gate, number, "flood") for number in (1, 2)]
    with pytest.raises(Unavailable) as refused:
        pool.insist_on_room("flood")
    assert refused.value.retry_after_s
    pool.insist_on_room("somebody else")  # for whom the newest of the flood would give way
    assert pool.waiting == 2 and not any(result for _, result in calls), "to ask changes nothing"
    gate.opened.set()
    for thread, _ in calls:
        thread.join()
    pool.insist_on_room("flood")


def test_c3_no_more_run_at_once_than_allowed():
    pool, gate = HashPool(concurrency=3, queue=50), Gate()
    calls = [start(pool, gate, number, f"lane{number}") for number in range(12)]
    until(lambda: len(gate.order) == 3)
    assert pool.waiting == 9
    gate.opened.set()
    for thread, _ in calls:
        thread.join()
    assert gate.most == 3
    assert sorted(result[0] for _, result in calls) == list(range(12))


def test_attack_143_a_full_queue_answers_at_once_with_a_time_to_come_back():
    pool, gate = HashPool(concurrency=1, queue=3), Gate()
    calls = [start(pool, gate, number, "one") for number in range(4)]
    until(lambda: pool.waiting == 3)
    with pytest.raises(Unavailable) as busy:
        pool.run(lambda: None, lane="one")
    assert (busy.value.status, busy.value.retry_after_s) == (503, 5)
    gate.opened.set()
    for thread, result in calls:
        thread.join()
        assert isinstance(result[0], int)


def test_attack_143_lanes_take_turns():
    pool, gate = HashPool(concurrency=1, queue=50), Gate()
    calls = [start(pool, gate, f"flood{number}", "flood") for number in range(6)]
    calls += [start(pool, gate, "alice", "a"), start(pool, gate, "bob", "b")]
    gate.opened.set()
    for thread, _ in calls:
        thread.join()
    assert gate.order[:4] == ["flood0", "flood1", "alice", "bob"]


def test_attack_143_in_a_full_queue_the_flood_gives_way_to_somebody_else():
    pool, gate = HashPool(concurrency=1, queue=3), Gate()
    flood = [start(pool, gate, f"flood{number}", "flood") for number in range(4)]
    until(lambda: pool.waiting == 3)
    alice = start(pool, gate, "alice", "a", wait=False)
    until(lambda: any(result for _, result in flood))
    assert [bool(result) for _, result in flood] == [False, False, False, True]
    assert isinstance(flood[3][1][0], Unavailable)
    gate.opened.set()
    alice[0].join()
    assert alice[1] == ["alice"]
    for thread, _ in flood:
        thread.join()


def test_who_waits_too_long_is_sent_away_and_forgotten():
    pool, gate = HashPool(concurrency=1, queue=3, patience_s=0.05), Gate()
    first = start(pool, gate, "first", "a")
    until(lambda: gate.order == ["first"])
    with pytest.raises(Unavailable):
        pool.run(gate.work("late"), lane="b")
    assert pool.waiting == 0
    gate.opened.set()
    first[0].join()
    assert first[1] == ["first"]  # what runs is waited for
    assert gate.order == ["first"]


def test_no_thread_stays_behind_when_there_is_no_work():
    pool = HashPool(concurrency=4, queue=50)
    callers = [threading.Thread(target=pool.run, args=(lambda: time.sleep(0.01),)) for _ in range(20)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    until(lambda: not any(thread.name == "hash" for thread in threading.enumerate()))
    assert pool.run(lambda: "again") == "again"


@pytest.mark.parametrize(
    ("threads", "concurrency", "queue", "expected"),
    [
        (8, 0, 32, (1, 5)),
        (4, 1, 32, (1, 1)),
        (3, 1, 32, (1, 0)),
        (1, 4, 32, (1, 0)),
        (40, 2, 32, (2, 32)),
        (8, 9, 9, (6, 0)),
    ],
)
def test_attack_143_two_threads_of_a_worker_never_wait_for_passwords(threads, concurrency, queue, expected):
    assert sizes(threads=threads, concurrency=concurrency, queue=queue) == expected


def test_attack_143_without_a_queue_the_second_is_sent_away_at_once():
    pool, gate = HashPool(concurrency=1, queue=0), Gate()
    first, kept = start(pool, gate, "first", "a")
    second, refused = start(pool, gate, "second", "b")
    second.join(60)
    assert isinstance(refused[0], Unavailable) and refused[0].retry_after_s
    gate.opened.set()
    first.join(60)
    assert kept == ["first"]
