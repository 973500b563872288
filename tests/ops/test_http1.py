"""Connections: what is refused, in what order answers come, who is waited for and how long (RFC 9112; attacks 82, 141, 145)."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from idp import http1, replies
from idp.environ import Environ
from idp.http1 import Answer, Listener, Tell

LONG = 3 * 1024 * 1024


class Served:
    """A listener in a thread with a loop of its own; its application says what it was asked."""

    def __init__(self, **limits: Any) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        self.later: list[tuple[Tell, Answer]] = []
        self.asked: list[str] = []
        self.listener = Listener(self._answer, max_body=100, **limits)
        self.loop = asyncio.new_event_loop()
        begun: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(begun,))
        self._thread.start()
        begun.result(10)

    def _run(self, begun: Future[None]) -> None:
        async def begin() -> None:
            await self.listener.listen(self.listening)
            begun.set_result(None)

        self.loop.run_until_complete(begin())
        self.loop.run_forever()
        self.loop.run_until_complete(self.listener.drain(0))
        self.loop.close()

    def _answer(self, environ: Environ, body: bytes, tell: Tell) -> None:
        path = environ["PATH_INFO"]
        self.asked.append(path)
        said = f"{environ['REQUEST_METHOD']} {path} {body.decode()}".encode()
        headers = [("Content-Type", "text/plain")]
        if path == "/split":
            headers.append(("X-Said", "a\r\nSet-Cookie: evil=1"))
        answer = Answer(204 if path == "/nothing" else 200, headers, b"x" * LONG if path == "/long" else said)
        if path.startswith("/document"):
            answer = answer._replace(until=time.monotonic() + (60 if path == "/document" else -1))
        if path.startswith("/later"):
            self.later.append((tell, answer))
        else:
            tell(answer)

    def tell_later(self) -> None:
        for tell, answer in self.later:
            self.loop.call_soon_threadsafe(tell, answer)
        self.later.clear()

    def do(self, work: Callable[[], Any]) -> Any:
        done: Future[Any] = Future()
        self.loop.call_soon_threadsafe(lambda: done.set_result(work()))
        return done.result(10)

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(20)

    def open(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def say(self, raw: bytes, *, cut: bool = False) -> bytes:
        """Send bytes, and read until the server closes."""
        with self.open() as connection:
            connection.sendall(raw)
            if cut:
                connection.shutdown(socket.SHUT_WR)
            return rest_of(connection)


def rest_of(connection: socket.socket) -> bytes:
    whole = b""
    while piece := connection.recv(1 << 20):
        whole += piece
    return whole


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.end()


def get(path: str = "/", *headers: str, version: str = "1.1", method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: a", *headers, "", ""]).encode()


LAST = "Connection: close"


def test_requests_of_one_packet_are_answered_in_their_order(served: Served) -> None:
    bodies = b"".join(get(f"/{n}", "Content-Length: 1", method="POST") + b"%d" % n for n in range(9))
    answers = served.say(bodies + get("/last", LAST))
    assert [line for line in answers.replace(b"HTTP/1.1", b"\r\n").split(b"\r\n") if line[:4] in (b"POST", b"GET ")] == [
        *(b"POST /%d %d" % (n, n) for n in range(9)), b"GET /last ",
    ]  # fmt: skip
    assert answers.count(b"content-length: ") == 10 and answers.count(b"connection: close") == 1


def test_a_slow_answer_is_not_overtaken_and_a_client_that_sends_no_more_still_hears_it(served: Served) -> None:
    with served.open() as connection:
        connection.sendall(get("/later") + get("/second"))
        connection.shutdown(socket.SHUT_WR)
        until(lambda: served.later)
        served.tell_later()
        answers = rest_of(connection)
    assert answers.index(b"GET /later") < answers.index(b"GET /second")


def test_old_clients_are_closed_or_kept_as_they_say(served: Served) -> None:
    assert b"connection: close" in served.say(get(version="1.0"))
    with served.open() as connection:
        connection.sendall(get("/1", "Connection: keep-alive", version="1.0"))
        assert b"connection: keep-alive" in connection.recv(4096)
        connection.sendall(get("/2", version="1.0"))
        assert b"GET /2" in rest_of(connection)


def test_head_and_204_have_no_body(served: Served) -> None:
    answers = served.say(get("/seen", method="HEAD") + get("/nothing", LAST))
    first, _, second = answers.partition(b"\r\n\r\n")
    assert b"content-length: 11" in first and second.startswith(b"HTTP/1.1 204")
    assert second.endswith(b"\r\n\r\n") and b"content-length" not in second


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (get("/", "Transfer-Encoding: chunked", method="POST") + b"1\r\na\r\n0\r\n\r\n", b"411"),
        (get("/", "Content-Length: 1", "Transfer-Encoding: chunked", method="POST") + b"a", b"4"),
        (get("/", "Content-Length: 1", "Content-Length: 2", method="POST") + b"ab", b"400"),
        (get("/", "Content-Length: -1", method="POST"), b"400"),
        (get("/", "Content-Length: 1a", method="POST"), b"400"),
        (b"GET / HTTP/1.1\nHost: a\n\n", b"400"),
        (get("/", "X: a\r\n folded"), b"400"),
        (get("/", "X : a"), b"400"),
        (get("/", "X\x00: a"), b"400"),
        (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", b"400"),
        (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", b"405"),
        (b"GET /\r\n\r\n", b"505"),
        (get("/" + "a" * http1.HEAD_BYTES * 2), b"431"),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (get("/", "X: " + "a" * http1.HEAD_BYTES * 2), b"431"),
        (b"\x16\x03\x01\x02\x00\x01", b"405"),
    ],
    ids=range(17),
)  # fmt: skip
def test_attack_145_what_two_servers_could_read_in_two_ways_is_refused_and_ends_the_connection(
    served: Served, raw: bytes, status: bytes
) -> None:
    answers = served.say(raw + get("/smuggled"), cut=True)
    assert answers.startswith(b"HTTP/1.1 " + status), answers
    assert b"smuggled" not in answers and answers.count(b"HTTP/1.1 ") == 1


def test_attack_145_a_body_that_is_cut_off_is_no_body(served: Served) -> None:
    answers = served.say(get("/", "Content-Length: 9", method="POST") + b"half", cut=True)
    assert answers.startswith(b"HTTP/1.1 400") and b"half" not in answers


def test_a_body_that_is_too_long_is_answered_before_it_is_sent(served: Served) -> None:
    for length in ("101", "9" * 18):
        with served.open() as connection:
            connection.sendall(get("/x", f"Content-Length: {length}", "Expect: 100-continue", method="POST"))
            answer = rest_of(connection)
        assert b"POST /x " in answer and b"100 Continue" not in answer  # the application refuses by the length


def test_a_client_that_asks_first_is_told_to_go_on(served: Served) -> None:
    with served.open() as connection:
        connection.sendall(get("/", "Content-Length: 4", "Expect: 100-continue", LAST, method="POST"))
        assert connection.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"body")
        assert b"POST / body" in rest_of(connection)


def test_other_protocols_are_not_spoken(served: Served) -> None:
    answer = served.say(get("/seen", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"))
    assert answer.startswith(b"HTTP/1.1 200") and b"connection: close" in answer


def test_attack_82_a_line_end_in_a_header_is_no_header(served: Served) -> None:
    answer = served.say(get("/split", LAST))
    assert answer.startswith(b"HTTP/1.1 500") and b"evil" not in answer


def late(served: Served, name: str, value: float) -> None:
    """Let it be as late as that for every connection."""
    for one in list(served.listener.connections):
        setattr(one, name, value)


@pytest.mark.parametrize("begun", [b"GET / HT", get("/", "Content-Length: 9", method="POST") + b"half"])
def test_attack_141_who_does_not_go_on_hears_408(served: Served, begun: bytes) -> None:
    with served.open() as connection:
        connection.sendall(begun)
        until(lambda: any(one._is_reading for one in served.listener.connections))
        served.do(lambda: late(served, "due_at", 1e-9))
        assert rest_of(connection).startswith(b"HTTP/1.1 408")


def test_bytes_one_by_one_do_not_put_the_deadline_off(served: Served) -> None:
    with served.open() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        until(lambda: any(one._is_reading for one in served.listener.connections))
        due = served.do(lambda: next(iter(served.listener.connections)).due_at)
        connection.sendall(b"Host: a\r\n")
        time.sleep(0.2)
        assert served.do(lambda: next(iter(served.listener.connections)).due_at) == due


def test_an_idle_connection_ends_and_one_that_waits_for_its_answer_does_not(served: Served) -> None:
    with served.open() as idle, served.open() as waiting:
        waiting.sendall(get("/later", LAST))
        until(lambda: served.later and len(served.listener.connections) == 2)
        served.do(lambda: [setattr(one, "due_at", min(one.due_at, 1e-9)) for one in served.listener.connections])
        with pytest.raises(ConnectionError):
            assert idle.recv(1) == b""
            raise ConnectionError
        served.tell_later()
        assert b"GET /later" in rest_of(waiting)


def test_a_client_that_does_not_read_is_left_and_nothing_more_is_made_for_it(served: Served) -> None:
    with served.open() as connection:
        connection.sendall(get("/long") * 50)
        until(lambda: any(one._is_stuck for one in served.listener.connections))
        [one] = served.listener.connections
        assert len(one._ready) > 30
        served.do(lambda: late(served, "due_at", 1e-9))
        until(lambda: not served.listener.connections)


def test_a_client_that_reads_late_gets_all_of_it(served: Served) -> None:
    with served.open() as connection:
        connection.sendall(get("/long") * 4 + get("/last", LAST))
        until(lambda: any(one._is_stuck for one in served.listener.connections))
        answers = rest_of(connection)
    assert len(answers) > 4 * LONG and answers.endswith(b"GET /last ")


def test_when_all_places_are_taken_an_idle_one_is_given_away_but_none_that_is_served() -> None:
    served = Served(most=2)
    try:
        with served.open() as idle, served.open() as busy:
            busy.sendall(get("/later"))
            until(lambda: served.later and len(served.listener.connections) == 2)
            assert b"GET /new" in served.say(get("/new", LAST))
            with pytest.raises(ConnectionError):
                assert idle.recv(1) == b""
                raise ConnectionError
            with served.open() as second:
                second.sendall(get("/later2"))
                until(lambda: len(served.later) == 2)
                with pytest.raises(ConnectionError):
                    assert served.say(get("/new", LAST)) == b""
                    raise ConnectionError
    finally:
        served.end()


def test_who_has_just_come_is_not_sent_away_before_who_was_answered_and_stays() -> None:
    served = Served(most=2)
    try:
        with served.open() as old, served.open() as newcomer:
            old.sendall(get("/old"))
            assert b"GET /old" in old.recv(4096)
            until(lambda: len(served.listener.connections) == 2)
            assert b"GET /third" in served.say(get("/third", LAST))
            newcomer.sendall(get("/newcomer", LAST))
            assert b"GET /newcomer" in rest_of(newcomer)
            assert old.recv(1) == b"" or pytest.fail("the old one stays")
    except ConnectionError:  # how the old one is told
        pass
    finally:
        served.end()


def test_questions_that_are_sent_before_their_turn_stay_in_the_network(served: Served) -> None:
    with served.open() as connection:
        connection.sendall(get("/later"))
        until(lambda: served.later)
        [one] = served.listener.connections
        connection.sendall(get("/x") * 20)
        until(lambda: one._is_paused)
        connection.settimeout(1)
        with pytest.raises(TimeoutError):
            while True:
                connection.sendall(get("/y") * 5000)
        assert len(one._ready) <= http1.MOST_AHEAD and one._begun < 100
        served.tell_later()
        connection.settimeout(30)
        until(lambda: one._begun > 100)  # and now it reads on


def test_a_thousand_questions_in_one_packet_are_too_many(served: Served) -> None:
    with served.open() as connection:
        connection.sendall(get("/later") + get("/x") * 1000)
        until(lambda: served.later)
        [one] = served.listener.connections
        until(lambda: one._refused is not None)
        assert len(one._ready) <= http1.MOST_AHEAD


def test_bytes_that_ask_nothing_put_no_deadline_off(served: Served) -> None:
    with served.open() as connection:
        connection.sendall(get("/x"))
        assert b"GET /x" in connection.recv(4096)
        [one] = served.listener.connections
        due = served.do(lambda: one.due_at)
        connection.sendall(b"\r\n\r\n")
        time.sleep(0.2)
        assert one.due_at == due


def test_what_comes_after_a_refusal_is_not_read_for_ever(served: Served) -> None:
    with served.open() as connection, pytest.raises(ConnectionError):
        connection.sendall(b"nonsense\r\n\r\n")
        for _ in range(10_000):
            connection.sendall(b"x" * 65536)


# --- what lies ready ----------------------------------------------------------------------------------------------


@pytest.fixture
def reminded(served: Served) -> Served:
    """A server that does not forget what lies ready as each second ends."""
    served.do(lambda: setattr(served.listener.replies, "forget", lambda: None))
    return served


def ask(connection: socket.socket, raw: bytes) -> bytes:
    """Send bytes and read one short answer that says GET or POST at its end."""
    connection.sendall(raw)
    whole = b""
    while b"\r\n\r\n" not in whole or not whole.partition(b"\r\n\r\n")[2]:
        whole += connection.recv(4096)
    return whole


def test_the_same_bytes_are_answered_from_what_lies_ready_on_every_connection(reminded: Served) -> None:
    with reminded.open() as one, reminded.open() as other:
        first = ask(one, get("/document"))
        assert {ask(one, get("/document")), ask(other, get("/document")), ask(one, get("/document"))} == {first}
        assert reminded.asked == ["/document"]
        assert b"GET /document" in ask(one, get("/document", "Origin: https://spa.example.org"))
        assert b"POST /document" in ask(one, get("/document", method="POST"))
        assert b"GET /other" in ask(other, get("/other"))
    assert reminded.asked == ["/document", "/document", "/document", "/other"]


def test_what_lies_ready_says_how_long_the_connection_lives_as_ever(reminded: Served) -> None:
    for _ in range(2):
        assert b"connection: close" in reminded.say(get("/document", LAST))
        assert b"connection: close" in reminded.say(get("/document", version="1.0"))
    assert len(reminded.asked) == 4, "an answer that ends its connection is never ready"
    with reminded.open() as old:
        raw = get("/document", "Connection: keep-alive", version="1.0")
        assert ask(old, raw).count(b"connection: keep-alive") == ask(old, raw).count(b"connection: keep-alive") == 1
    assert len(reminded.asked) == 5


def test_what_may_not_be_given_again_is_asked_for_again(served: Served) -> None:
    with served.open() as connection:
        for path in ("/document/old", "/page"):
            for _ in range(2):
                ask(connection, get(path))
        assert served.asked == ["/document/old"] * 2 + ["/page"] * 2
        ask(connection, get("/document"))
        served.do(served.listener.replies.forget)  # as each second ends
        ask(connection, get("/document"))
    assert served.asked[4:] == ["/document"] * 2


def test_attack_145_bytes_that_lie_ready_are_read_where_they_are_no_request(reminded: Served) -> None:
    raw = get("/document")
    with reminded.open() as connection:
        ask(connection, raw)
        announced = get("/taken", f"Content-Length: {len(raw)}", method="POST")
        connection.sendall(announced)
        until(lambda: any(one._is_reading for one in reminded.listener.connections))
        assert ask(connection, raw).endswith(b"POST /taken " + raw), "it is the body of another request"
        connection.sendall(raw[:-2])
        until(lambda: any(one._is_reading for one in reminded.listener.connections))
        assert b" 400 " in ask(connection, raw), "and here the middle of a header"
    assert reminded.asked == ["/document", "/taken"]


def test_what_comes_while_an_answer_is_due_waits_for_its_turn(reminded: Served) -> None:
    raw = get("/document")
    with reminded.open() as connection:
        ask(connection, raw)
        connection.sendall(get("/later"))
        until(lambda: reminded.later)
        connection.sendall(raw)
        time.sleep(0.05)
        reminded.tell_later()
        connection.sendall(get("/last", LAST))
        answers = rest_of(connection)
    assert answers.index(b"GET /later") < answers.index(b"GET /document") < answers.index(b"GET /last")


def test_two_requests_in_one_packet_are_never_one_that_is_known(reminded: Served) -> None:
    for _ in range(2):
        assert reminded.say(get("/document") * 2 + get("/last", LAST)).count(b"200 OK") == 3
    assert len(reminded.asked) == 6
    assert reminded.listener.replies.find(get("/document")) is None


def test_few_and_short_requests_are_known(reminded: Served) -> None:
    with reminded.open() as connection:
        for number in range(100):
            ask(connection, get("/document", f"X-Number: {number}"))
        ask(connection, get("/document", f"X-Long: {'x' * 5000}"))
    known = reminded.listener.replies._known
    assert len(known) <= replies.MOST and max(map(len, known)) <= replies.LONGEST


def test_a_drain_lets_what_has_begun_be_answered(served: Served) -> None:
    with served.open() as idle, served.open() as busy, served.open() as sending:
        busy.sendall(get("/later"))
        sending.sendall(get("/", "Content-Length: 4", method="POST"))
        until(lambda: served.later and any(one._is_reading for one in served.listener.connections))
        drained = asyncio.run_coroutine_threadsafe(served.listener.drain(30), served.loop)
        assert idle.recv(1) == b""
        served.tell_later()
        assert b"connection: close" in rest_of(busy)
        assert not drained.done()
        sending.sendall(b"body")
        assert b"POST / body" in rest_of(sending)
        drained.result(30)
