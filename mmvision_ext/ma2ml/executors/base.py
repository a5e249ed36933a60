"""What every executor does: jobs, and watching over the process of one."""
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional, Protocol

from ..processes import (
    end_processes,
    machine,
    memory_of,
    process_start,
)
from ..run_trial import PARENT
from ..trial_files import TRIAL_DIR, TrialFolder, read_json, write_json

#: File in the trial's folder that says which process runs it.
_PROCESS = 'process.json'
#: Seconds between SIGTERM and SIGKILL.
_GRACE = 5.


@dataclass(frozen=True)
class Job:
    """One attempt at a trial, as a process of its own.

    Args:
        number (int): Number of the trial.
        folder (str): Its folder.
        command (Sequence[str]): What to run.
        timeout (float, optional): Seconds that it may take.
        memory (int, optional): Bytes of main memory that the process and its
            children may have together; what they share counts once.
        gpus (int): GPUs that it needs. Defaults to 0.
        env (dict[str, str]): Further variables.
    """

    number: int
    folder: str
    command: Sequence[str]
    timeout: Optional[float] = None
    memory: Optional[int] = None
    gpus: int = 0
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How the process of a job ended.

    Args:
        number (int): Number of the trial.
        returncode (int, optional): Exit status, negative for a signal. None
            if the worker was lost with it.
        stopped (str, optional): 'timeout', 'memory' or 'cancelled' if the
            executor ended it, with 'lost' for a worker or node that died.
        message (str): More about it, in one line. Defaults to ''.
    """

    number: int
    returncode: Optional[int]
    stopped: Optional[str] = None
    message: str = ''


class Executor(Protocol):
    """Runs jobs somewhere."""

    #: How many at once.
    slots: int

    def submit(self, job: Job) -> None:
        """Start a job, at once or when there is room for it."""

    def poll(self) -> list[Outcome]:
        """Those that ended since the last call; returns at once."""

    def cancel(self, number: int) -> None:
        """End a job; its outcome follows."""

    def close(self) -> None:
        """End all jobs and give back what was taken."""


class Watched:
    """A running job and the limits that it has to keep.

    Args:
        job (Job): The job, started by this.

    Raises:
        OSError: If it cannot be started.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        folder = TrialFolder(job.folder)
        env = {**os.environ, **job.env, TRIAL_DIR: str(folder.path),
               PARENT: str(os.getpid())}
        with open(folder.log, 'wb') as log:
            self.process = subprocess.Popen(
                list(job.command), stdout=log, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, env=env, start_new_session=True)
        self._begin = time.monotonic()
        self._stopped: Optional[str] = None
        self._message = ''
        self._kill_at: Optional[float] = None
        self._next_look = 0.
        write_json(folder.path / _PROCESS, dict(
            host=socket.gethostname(), machine=machine(),
            pid=self.process.pid, start=process_start(self.process.pid)))

    def poll(self) -> Optional[Outcome]:
        """Look at the process and its limits.

        Returns:
            Outcome | None: None while it runs.
        """
        code = self.process.poll()
        if code is not None:
            # Loader workers and ranks that the process left behind.
            end_processes(self.process.pid, signal.SIGKILL)
            return Outcome(self.job.number, code, self._stopped,
                           self._message)
        now = time.monotonic()
        if self._kill_at is not None and now > self._kill_at:
            end_processes(self.process.pid, signal.SIGKILL)
        elif self._stopped is None:
            self._check_limits(now)
        return None

    def stop(self, why: str, message: str = '') -> None:
        """End the process: ask first, insist after some seconds.

        Args:
            why (str): As in :class:`Outcome`.
            message (str): More about it. Defaults to ''.
        """
        if self._stopped is None:
            self._stopped, self._message = why, message
            self._kill_at = time.monotonic() + _GRACE
            end_processes(self.process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once and wait for it."""
        end_processes(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _check_limits(self, now: float) -> None:
        job = self.job
        if job.timeout is not None and now - self._begin > job.timeout:
            self.stop('timeout', f'took longer than {job.timeout:g} s')
        elif job.memory is not None and now >= self._next_look:
            self._next_look = now + 0.5
            used = memory_of(self.process.pid)
            if used > job.memory:
                self.stop('memory', f'used {used / 2**20:.0f} MiB of main '
                          f'memory, the limit is {job.memory / 2**20:.0f}')


def supervise(job: Job, tick: float = 0.1) -> Outcome:
    """Run a job to its end, on whatever machine this is called.

    Args:
        job (Job): The job.
        tick (float): Seconds between two looks. Defaults to 0.1.

    Returns:
        Outcome: How it ended.
    """
    watched = Watched(job)
    try:
        while True:
            outcome = watched.poll()
            if outcome is not None:
                return outcome
            time.sleep(tick)
    except BaseException:
        watched.kill()
        raise


def end_left_over(folder: Path) -> bool:
    """End the process of a trial that a dead search left on this machine.

    Args:
        folder (Path): The trial's folder.

    Returns:
        bool: Whether there was one.
    """
    state = read_json(folder / _PROCESS)
    if (not state or state['machine'] != machine() or state['start'] is None
            or process_start(state['pid']) != state['start']):
        return False
    end_processes(state['pid'], signal.SIGKILL)
    return True
