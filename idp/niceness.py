"""niceness — work that can wait leaves the core to requests that cannot."""

from __future__ import annotations

import contextlib
import os
import sys
import threading


def step_back(by: int) -> None:
    """Lower the priority of the running thread (0 is usual, 19 the lowest). Linux knows it by thread; elsewhere it would be that of the
    whole process, so nothing is done there. Nor is it where the system does not allow it, or the priority is lower already."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, max(by, os.getpriority(os.PRIO_PROCESS, thread)))
