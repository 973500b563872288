"""The gateway: a request takes a thread only when it is here, and waiting sign-ins never take the last threads."""

from __future__ import annotations

import asyncio
import gc
import shutil
import socket
import threading
import weakref
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import httptools
import httpx
import pytest

from idp import environ, gateway, http1
from tests.ops.test_server import until
from tests.serving import Server, free_port, was_read, write_config

pytestmark = pytest.mark.xdist_group("server")
OTHER_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def server(migrated_sqlite: Path, kv_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker with four threads, and passwords that are slow to check."""
    folder = tmp_path_factory.mktemp("gateway")
    shutil.copy(migrated_sqlite, folder / "idp.db")
    file = write_config(
        folder, database_url=f"sqlite:///{folder / 'idp.db'}", redis_url=kv_url, port=free_port(),
        server={"workers": 1, "threads": 4}, passwords={"bcrypt_cost": 12},
        limits={"address_per_minute": 5000, "network_per_minute": 5000, "account_free_attempts": 5000},
    )  # fmt: skip
    made = Server(file).start()
    yield made
    made.stop()


def is_healthy(server: Server) -> None:
    """Ask /healthz, on a new connection."""
    assert httpx.get(f"{server.url}/healthz", timeout=60, trust_env=False, verify=False).status_code == 200


def has_answer(connection: socket.socket) -> bool:
    """Whether it was sent anything by now, or is closed."""
    try:
        connection.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK)
    except BlockingIOError:
        return False
    return True


def dawdler(server: Server) -> socket.socket:
    """A client that announces a body and sends one byte of it."""
    slow = socket.create_connection(("127.0.0.1", server.port))
    head = f"POST /token HTTP/1.1\r\nHost: localhost:{server.port}\r\nContent-Length: 60000\r\n"
    slow.sendall(f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\ng".encode())
    return slow


def test_attack_141_slow_bodies_take_no_thread_and_end_with_408(server: Server) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(dawdler(server)) for _ in range(32)]
        until(lambda: all(was_read(server, one) for one in slow))
        is_healthy(server)
        answer = httpx.post(
            f"{server.url}/token", content=b"x=1", headers=OTHER_FORM, timeout=60, trust_env=False, verify=False
        )
        assert answer.status_code in (400, 401)
        assert not any(has_answer(one) for one in slow), "others are served meanwhile"
        for one in slow:
            one.sendall(b"r")
        slow[0].settimeout(http1.BODY_WITHIN_S + 60)
        assert slow[0].recv(4096).startswith(b"HTTP/1.1 408")
        until(lambda: all(is_closed(one) for one in slow), within_s=90)


def is_closed(connection: socket.socket) -> bool:
    connection.settimeout(1)
    try:
        while connection.recv(4096):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def test_attack_143_waiting_sign_ins_leave_threads_to_everybody_else(server: Server) -> None:
    with ThreadPoolExecutor(30) as crowd:
        trying = [crowd.submit(wrong_login, server.url) for _ in range(60)]
        until(lambda: any(one.done() for one in trying))
        between = [(is_healthy(server), sum(one.done() for one in trying))[1] for _ in range(6)]
        assert min(after - before for before, after in pairwise(between)) < 10, "thirty are waiting for their turn"
        answers = [one.result() for one in trying]
    assert {answer.status_code for answer in answers} == {401, 503}
    refused = [answer for answer in answers if answer.status_code == 503]
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)


def wrong_login(url: str) -> httpx.Response:
    with httpx.Client(base_url=url, trust_env=False, timeout=90, follow_redirects=True, verify=False) as http:
        page = http.get("/login")
        token = page.text.partition('name="csrf" value="')[2].partition('"')[0]
        form = {"csrf": token, "identifier": "nobody", "password": "Wrong-Horse-42-Battery"}
        return http.post(f"/login/password?{page.url.query.decode()}", data=form)


# --- what the application sees --------------------------------------------------------------------------------


GIVEN = {"REMOTE_ADDR": "2001:db8::1", "REMOTE_PORT": "7"}


def seen_of(*headers: tuple[bytes, bytes], url: bytes = b"/") -> dict[str, Any]:
    return environ.environ_of(b"GET", url, list(headers), GIVEN)


def test_addresses_paths_and_cookies_arrive_as_wsgi_wants_them() -> None:
    seen = seen_of(
        (b"Cookie", b"a=1"), (b"cookie", b"b=2"), (b"content-length", b"3"), url="/Zoë%20%2F?a=%20#x".encode()
    )
    assert (seen["REMOTE_ADDR"], seen["REMOTE_PORT"]) == ("2001:db8::1", "7")
    assert (seen["PATH_INFO"].encode("latin-1").decode(), seen["QUERY_STRING"]) == ("/Zoë /", "a=%20")
    assert (seen["HTTP_COOKIE"], seen["CONTENT_LENGTH"]) == ("a=1; b=2", "3")


def test_attack_70_two_hosts_are_no_host_of_ours_and_a_whole_url_counts() -> None:
    assert seen_of((b"host", b"localhost"), (b"host", b"evil.example.com"))["HTTP_HOST"] != "localhost"
    whole = seen_of((b"host", b"localhost"), url=b"http://evil.example.com:81/a?b")
    assert (whole["HTTP_HOST"], whole["PATH_INFO"], whole["QUERY_STRING"]) == ("evil.example.com:81", "/a", "b")
    for neither in (b"*", b"evil.example.com:443", b"?a", b""):
        with pytest.raises((ValueError, httptools.HttpParserError)):
            seen_of(url=neither)


def test_a_name_with_an_underscore_does_not_pass_for_what_a_proxy_sets() -> None:
    assert "HTTP_X_FORWARDED_FOR" not in seen_of((b"x_forwarded_for", b"192.0.2.1"))


# --- bodies and methods that only raw sockets send ----------------------------------------------------------------------


def raw(server: Server, head: str, body: bytes = b"", *, cut: bool = False) -> str:
    """Send bytes as they are; `cut` closes our side afterwards, as a client does that goes away."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        lines = f"{head}\r\nHost: localhost:{server.port}\r\nConnection: close\r\n"
        connection.sendall(lines.encode() + b"Content-Type: application/x-www-form-urlencoded\r\n" + body)
        if cut:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer.decode()


def test_a_body_in_chunks_is_told_to_say_its_length(server: Server) -> None:
    """Too many programs on the way do not tell the end of such a body from a cut: half a form would pass for a whole one."""
    form = b"grant_type=nothing"
    chunks = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(form), form)
    answer = raw(server, "POST /token HTTP/1.1", chunks)
    assert " 411 " in answer.splitlines()[0] and "Content-Length" in answer


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 50\r\n\r\ngrant_type=nothing",
        b"Transfer-Encoding: chunked\r\n\r\n40\r\ngrant_type=nothing",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\ngrant_type=nothing\r\n0\r\n\r\n",
    ],
)
def test_attack_145_a_body_that_is_cut_off_is_no_body(server: Server, body: bytes) -> None:
    answer = raw(server, "POST /token HTTP/1.1", body, cut=True)
    assert "grant_type" not in answer and (not answer or answer.split()[1] in ("400", "411"))


def test_attack_85_methods_are_spelled_in_capitals(server: Server) -> None:
    assert "405" in raw(server, "get /help HTTP/1.1", b"\r\n").splitlines()[0]


def test_attack_70_what_is_kept_is_not_given_to_a_request_with_two_hosts(server: Server) -> None:
    get(server)
    for hosts in ("Host: evil.example.com\r\n", f"Host: localhost:{server.port}\r\n"):
        assert " 400 " in raw(server, "GET /jwks HTTP/1.1", f"{hosts}\r\n".encode()).splitlines()[0]


# --- documents that are kept for a second ---------------------------------------------------------------------------


def get(server: Server, path: str = "/jwks", **headers: str) -> httpx.Response:
    return httpx.get(f"{server.url}{path}", headers=headers, timeout=60, trust_env=False, verify=False)


def test_a_public_document_is_answered_again_without_asking_the_application(server: Server) -> None:
    seen = [get(server)]

    def answered_anew_and_again() -> bool:
        seen.append(get(server))  # on a busy machine a second may pass between the two
        return ["X-Request-Id" in one.headers for one in seen[-2:]] == [True, False]

    until(answered_anew_and_again)
    asked, again = seen[-2:]
    dropped = {"x-request-id", "date"}
    assert [one for one in asked.headers.items() if one[0] not in dropped] == [
        one for one in again.headers.items() if one[0] not in dropped
    ]
    assert asked.content == again.content
    until(lambda: "X-Request-Id" in get(server).headers)  # a second later the application is asked again


def test_what_is_kept_answers_nothing_but_the_same_question(server: Server) -> None:
    etag = get(server).headers["ETag"]
    assert get(server, **{"If-None-Match": etag}).status_code == 304
    assert get(server, Host="evil.example.com").status_code == 400
    assert "Access-Control-Allow-Origin" not in get(server).headers
    assert get(server, Origin="https://spa.example.org").headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Origin" not in get(server).headers
    assert httpx.post(f"{server.url}/jwks", timeout=60, trust_env=False, verify=False).status_code == 405
    assert httpx.head(f"{server.url}/jwks", timeout=60, trust_env=False, verify=False).content == b""


def test_pages_are_never_kept(server: Server) -> None:
    assert all("X-Request-Id" in get(server, path).headers for path in ("/help", "/help", "/healthz", "/healthz"))


# --- answers that wait ------------------------------------------------------------------------------------------------


class Asked:
    """A request, and what is told to it."""

    def __init__(self, path: str = "/token") -> None:
        self.environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", "HTTP_HOST": "localhost"}
        self.answer: tuple[int, bytes] | None = None

    def ask(self, front: gateway.Gateway) -> asyncio.Future[None]:
        told = asyncio.get_running_loop().create_future()

        def tell(answer: http1.Answer) -> None:
            self.answer = (answer.status, answer.body)
            told.set_result(None)

        front.answer(self.environ, b"", tell)
        return told


def behind(*held: Future[None]) -> gateway.Gateway:
    """A gateway before an application whose answer must wait for these."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ[gateway.HELD].extend(held)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"a token"]

    return gateway.Gateway(application, threads=1)


def run(story: Coroutine[Any, Any, None]) -> None:
    """Not in the main thread, where the loop of Playwright may be running."""
    with ThreadPoolExecutor(1) as aside:
        aside.submit(asyncio.run, story).result()


def test_l_3_an_answer_leaves_when_what_it_waits_for_is_done_and_holds_no_thread_meanwhile() -> None:
    async def story() -> None:
        first, second = Future[None](), Future[None]()
        front, one, other = behind(first, second), Asked(), Asked()
        waiting = asyncio.gather(one.ask(front), other.ask(front))
        await asyncio.sleep(0.1)
        first.set_result(None)
        await asyncio.sleep(0.1)
        assert one.answer is None and other.answer is None
        second.set_result(None)
        await asyncio.wait_for(waiting, 60)
        assert one.answer == other.answer == (200, b"a token")

    run(story())


def test_l_3_an_answer_whose_event_could_not_be_written_is_not_given() -> None:
    async def story() -> None:
        broken = Future[None]()
        broken.set_exception(OSError("disk full"))
        asked = Asked()
        await asyncio.wait_for(asked.ask(behind(broken)), 60)
        assert asked.answer is not None and asked.answer[0] == 503 and b"a token" not in asked.answer[1]

    run(story())


def test_an_answer_leaves_nothing_behind_that_only_the_garbage_collector_finds() -> None:
    work = [Future[None]() for _ in range(3)]
    seen = [weakref.ref(one) for one in work]

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ[gateway.HELD].extend(work)
        start_response("200 OK", [])
        return [b"a token"]

    async def story() -> None:
        told = Asked().ask(gateway.Gateway(application, threads=1))
        await asyncio.sleep(0.1)
        while work:
            work.pop().set_result(None)
        await asyncio.wait_for(told, 60)

    gc.disable()
    try:
        run(story())
        assert [one() for one in seen] == [None] * 3
    finally:
        gc.enable()


def test_attack_143_pages_that_are_stuck_keep_no_thread_from_tokens() -> None:
    go_on = threading.Event()

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/login":
            assert go_on.wait(60)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"].encode()]

    async def story() -> None:
        front = gateway.Gateway(application, threads=1, for_programs={"/token"})
        page, token = Asked("/login"), Asked("/token")
        stuck = page.ask(front)
        await asyncio.sleep(0.05)
        await asyncio.wait_for(token.ask(front), 60)
        assert token.answer == (200, b"/token") and page.answer is None
        go_on.set()
        await asyncio.wait_for(stuck, 60)
        assert page.answer == (200, b"/login")

    run(story())
