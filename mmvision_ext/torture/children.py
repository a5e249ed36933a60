"""Children of this process that are killed on purpose."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path


def run_child(body: Callable[[], int | None], log: Path) -> int:
    """Run a function in a child process and wait for its end.

    The child starts with all that this process has imported, which saves the
    seconds that the mm packages take.

    Args:
        body (Callable): What to run; returns the exit status, None for 0.
        log (Path): File that its output is added to.

    Returns:
        int: Exit status; the negative number of the signal that killed it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)
    status = 1
    try:
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(handle, stream)
        # Loader workers must not outlive a parent that is killed.
        os.setsid()
        status = body() or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def kill_group() -> None:
    """Kill this process and its workers, as a machine that loses power."""
    os.killpg(os.getpgid(0), signal.SIGKILL)
