"""Trials as processes of this machine."""
import os
from collections import deque
from typing import Optional

from ..errors import SearchError
from .base import Job, Outcome, Watched

_THREADS = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS')


class LocalExecutor:
    """A pool of slots, one trial in each.

    The GPUs that can be seen are shared out evenly: a trial sees those of
    its slot alone. So are the cores, as threads, unless OMP_NUM_THREADS is
    set.

    Args:
        workers (int): Slots. Defaults to 1.
        gpus (Sequence[str], optional): GPUs to share out, as in
            CUDA_VISIBLE_DEVICES. Defaults to None, those that can be seen.

    Raises:
        SearchError: If there are more slots than GPUs.
    """

    def __init__(self, workers: int = 1,
                 gpus: Optional[list[str]] = None) -> None:
        self.slots = workers
        devices = _visible_gpus() if gpus is None else [str(g) for g in gpus]
        if 0 < len(devices) < workers:
            raise SearchError(
                f'{workers} workers for {len(devices)} GPUs: give --workers '
                f'{len(devices)} at most, or let trials share one by naming '
                "it more than once: executor=dict(gpus=['0', '0'])")
        share = len(devices) // workers
        self._devices = [devices[i * share:(i + 1) * share]
                         for i in range(workers)]
        self._free = deque(range(workers))
        self._running: dict[int, tuple[int, Watched]] = {}
        self._waiting: deque[Job] = deque()
        self._ended: list[Outcome] = []

    def submit(self, job: Job) -> None:
        """Start a job in a free slot, or keep it for the next one.

        Args:
            job (Job): The job.

        Raises:
            SearchError: If it needs more GPUs than a slot has.
        """
        share = len(self._devices[0])
        if job.gpus > share > 0:
            raise SearchError(f'a trial needs {job.gpus} GPUs, a slot has '
                              f'{share}: give fewer --workers')
        self._waiting.append(job)
        self._fill()

    def poll(self) -> list[Outcome]:
        """Those that ended since the last call."""
        for number, (slot, watched) in list(self._running.items()):
            outcome = watched.poll()
            if outcome is not None:
                del self._running[number]
                self._free.append(slot)
                self._ended.append(outcome)
        self._fill()
        ended, self._ended = self._ended, []
        return ended

    def cancel(self, number: int) -> None:
        """End a job; its outcome follows.

        Args:
            number (int): Number of its trial.
        """
        if number in self._running:
            self._running[number][1].stop('cancelled')
            return
        for job in list(self._waiting):
            if job.number == number:
                self._waiting.remove(job)
                self._ended.append(Outcome(number, None, 'cancelled'))

    def close(self) -> None:
        """End all jobs at once."""
        self._waiting.clear()
        for _, watched in self._running.values():
            watched.kill()
        self._running.clear()

    def _fill(self) -> None:
        while self._waiting and self._free:
            slot = self._free.popleft()
            job = self._waiting.popleft()
            job.env.update({**self._environment(slot), **job.env})
            try:
                watched = Watched(job)
            except BaseException:
                self._free.appendleft(slot)
                raise
            self._running[job.number] = (slot, watched)

    def _environment(self, slot: int) -> dict[str, str]:
        env = {}
        if self._devices[slot]:
            env['CUDA_VISIBLE_DEVICES'] = ','.join(self._devices[slot])
        if 'OMP_NUM_THREADS' not in os.environ:
            threads = max(1, len(os.sched_getaffinity(0)) // self.slots)
            env.update(dict.fromkeys(_THREADS, str(threads)))
        return env


def _visible_gpus() -> list[str]:
    named = os.environ.get('CUDA_VISIBLE_DEVICES')
    if named is not None:
        return [one for one in named.split(',') if one.strip()]
    import torch
    # Asking for the number does not start CUDA in this process.
    return [str(i) for i in range(torch.cuda.device_count())]
