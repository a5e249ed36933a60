"""Who works on a study, and who has died.

The journal storage of Optuna has no heartbeat. Each process that searches
keeps one attribute of the study alive for all its trials: a counter that it
raises every few seconds. Others take a process for dead when its counter has
stood still for the length of a lease on *their* clock, so that clocks of
different machines need not agree; on the same machine they ask the kernel,
which answers at once.
"""
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, Optional

from optuna import Study

from .processes import machine, process_start

#: Beginning of the names of these attributes.
PREFIX = 'lease:'


class Lease:
    """The sign of life of this process.

    Args:
        study (Study): The study.
        seconds (float): Others take over this process's trials when it has
            been silent for so long. Defaults to 60.

    Attributes:
        owner (str): Name of this process, as trials carry it.
    """

    def __init__(self, study: Study, seconds: float = 60.) -> None:
        self.study = study
        self.seconds = seconds
        # Sorts by time: who came first decides where two could.
        self.owner = f'{time.time_ns():020d}-{uuid.uuid4().hex[:8]}'
        self.error: Optional[Exception] = None
        self._count = 0
        self._stop = threading.Event()
        self._thread: Optional[threading.Thread] = None
        self._seen: dict[str, tuple[Any, float]] = {}
        self._first: dict[str, int] = {}

    def start(self) -> None:
        """Enter the study and stay alive in the background."""
        self._renew()
        self._thread = threading.Thread(
            target=self._keep, name='lease', daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Leave the study, so that others need not wait for the lease."""
        self.abandon()
        self.study.set_user_attr(PREFIX + self.owner, None)

    def abandon(self) -> None:
        """Give no further sign of life."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def is_certain(self, owner: Optional[str]) -> bool:
        """Whether a process is known, not just taken, to be alive.

        Args:
            owner (str, optional): Its name.

        Returns:
            bool: False too while its counter has not been seen to move.
        """
        state = self.study.user_attrs.get(f'{PREFIX}{owner}')
        if state is None:
            return False
        if state['place'] == machine():
            return self._lives(state, 0.)
        first = self._first.setdefault(str(owner), state['count'])
        return first != state['count']

    def living(self) -> list[str]:
        """The processes that work on the study, oldest first.

        Returns:
            list[str]: Names of owners, this one among them.
        """
        now = time.monotonic()
        alive = [self.owner]
        for name, state in self.study.user_attrs.items():
            owner = name[len(PREFIX):]
            if (not name.startswith(PREFIX) or state is None
                    or owner == self.owner):
                continue
            count, since = self._seen.get(owner, (None, now))
            if count != state['count']:
                self._seen[owner] = (state['count'], now)
                since = now
            if self._lives(state, now - since):
                alive.append(owner)
        return sorted(alive)

    def _lives(self, state: dict[str, Any], silence: float) -> bool:
        if state['place'] == machine():
            return process_start(state['pid']) == state['start']
        return silence < max(self.seconds, state['seconds'])

    def _renew(self) -> None:
        self._count += 1
        self.study.set_user_attr(PREFIX + self.owner, dict(
            host=socket.gethostname(), place=machine(), pid=os.getpid(),
            start=process_start(os.getpid()), count=self._count,
            seconds=self.seconds))

    def _keep(self) -> None:
        while not self._stop.wait(self.seconds / 4):
            try:
                self._renew()
                self.error = None
            except Exception as error:
                # The loop will meet the same storage and say so.
                self.error = error


def retry_storage(call: Callable[[], Any], tries: int = 6,
                  pause: float = 1.) -> Any:
    """Call a storage that may be away for a moment.

    Args:
        call (Callable): What to do; may run several times.
        tries (int): How often to try. Defaults to 6.
        pause (float): Seconds before the second try, doubled each time.
            Defaults to 1, half a minute in all.

    Returns:
        Any: What the call returned.

    Raises:
        StorageInternalError: If the storage does not come back.
    """
    from optuna.exceptions import StorageInternalError
    for attempt in range(tries):
        try:
            return call()
        except StorageInternalError:
            if attempt == tries - 1:
                raise
            time.sleep(pause * 2**attempt)
    raise AssertionError('unreachable')
