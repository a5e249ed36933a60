"""Trials on a Ray cluster, through Ray Core alone."""
import os
from typing import Any, Optional

from ..errors import SearchError
from .base import Job, Outcome, supervise


class RayExecutor:
    """One Ray task a trial, which watches over the trial's process.

    Ray does the placing alone: records, retries and limits are the
    search's. A task is never retried by Ray, so that no trial runs twice
    without a record. The work directory has to be on a file system that all
    nodes share.

    Args:
        workers (int): Trials at once.
        address (str, optional): Address of the cluster. Defaults to None:
            RAY_ADDRESS, or a running cluster of this machine, or a new one.
        num_cpus (float): CPUs that a trial takes. Defaults to 1.
        resources (dict[str, float], optional): Further resources of Ray
            that it takes. Defaults to None.

    Raises:
        SearchError: If Ray is not installed, or does not answer.
    """

    def __init__(self, workers: int, address: Optional[str] = None,
                 num_cpus: float = 1,
                 resources: Optional[dict[str, float]] = None) -> None:
        try:
            import ray
        except ImportError as error:
            raise SearchError('--executor ray needs Ray, which is not '
                              "installed: pip install 'mmvision_ext[ray]'"
                              ) from error
        self.slots = workers
        self._ray = ray
        self._owner = not ray.is_initialized()
        if self._owner:
            try:
                ray.init(address=address or os.environ.get('RAY_ADDRESS'),
                         log_to_driver=False, configure_logging=False)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise SearchError(f'--executor ray: no cluster at {address}:'
                                  f' {error}') from error
        self._task = ray.remote(
            num_cpus=num_cpus, max_retries=0, max_calls=1,
            resources=resources)(_run)
        self._running: dict[Any, int] = {}
        self._cancelled: set[int] = set()

    def submit(self, job: Job) -> None:
        """Hand a job to the cluster.

        Args:
            job (Job): The job.
        """
        task = self._task.options(
            num_gpus=job.gpus, name=f'trial {job.number}')
        self._running[task.remote(job, os.getcwd())] = job.number

    def poll(self) -> list[Outcome]:
        """Those that ended since the last call."""
        if not self._running:
            return []
        done, _ = self._ray.wait(
            list(self._running), num_returns=len(self._running), timeout=0)
        return [self._outcome(reference) for reference in done]

    def _outcome(self, reference: Any) -> Outcome:
        number = self._running.pop(reference)
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except (errors.TaskCancelledError, errors.WorkerCrashedError,
                errors.NodeDiedError, errors.OwnerDiedError,
                errors.RayError) as error:
            if number in self._cancelled:
                self._cancelled.discard(number)
                return Outcome(number, None, 'cancelled')
            reason = str(error).strip().partition('\n')[0]
            return Outcome(number, None, 'lost',
                           f'{type(error).__name__}: {reason}')

    def cancel(self, number: int) -> None:
        """End a job; its outcome follows.

        Args:
            number (int): Number of its trial.
        """
        for reference, running in self._running.items():
            if running == number:
                self._cancelled.add(number)
                self._ray.cancel(reference, force=True)

    def close(self) -> None:
        """End all jobs; leave the cluster if this joined it."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._running.clear()
        if self._owner:
            self._ray.shutdown()


def _run(job: Job, cwd: str) -> Outcome:
    # Paths in configs are relative to where the search was started.
    os.chdir(cwd)
    return supervise(job)
