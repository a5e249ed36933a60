"""Trials as SLURM jobs, through submitit."""
from pathlib import Path
from typing import Any

from ..errors import SearchError
from .base import Job, Outcome, supervise


class SlurmExecutor:
    """One SLURM job a trial, which watches over the trial's process.

    The work directory has to be on a file system that all nodes share.

    Args:
        workers (int): Jobs at once.
        cluster (str): submitit's name of the scheduler. 'local' runs jobs
            as processes of this machine, which is how it is tested.
            Defaults to 'slurm'.
        folder (str): Where submitit keeps its files. Defaults to
            'submitit_jobs'.
        **parameters (Any): What submitit's executor takes, such as
            ``slurm_partition='gpu', cpus_per_task=8, mem_gb=32``.

    Raises:
        SearchError: If submitit is not installed, SLURM is not there, or a
            parameter is unknown.
    """

    def __init__(self, workers: int, cluster: str = 'slurm',
                 folder: str = 'submitit_jobs', **parameters: Any) -> None:
        try:
            import submitit
        except ImportError as error:
            raise SearchError('--executor slurm needs submitit, which is not '
                              "installed: pip install 'mmvision_ext[slurm]'"
                              ) from error
        self.slots = workers
        self._running: dict[int, Any] = {}
        self._cancelled: set[int] = set()
        try:
            self._executor = submitit.AutoExecutor(
                folder=Path(folder), cluster=cluster)
            self._parameters = dict(parameters)
            self._executor.update_parameters(name='ma2ml', **parameters)
        except (RuntimeError, NameError, TypeError, ValueError) as error:
            reason = str(error).strip().partition('\n')[0]
            raise SearchError(f'--executor slurm: {reason}') from error

    def submit(self, job: Job) -> None:
        """Queue a job.

        Args:
            job (Job): The job.
        """
        if job.gpus and 'gpus_per_node' not in self._parameters:
            self._executor.update_parameters(gpus_per_node=job.gpus)
        if job.timeout is not None:
            # The trial's own limit comes first, with its reason.
            minutes = int(job.timeout / 60) + 10
            self._executor.update_parameters(timeout_min=minutes)
        self._running[job.number] = self._executor.submit(supervise, job)

    def poll(self) -> list[Outcome]:
        """Those that ended since the last call."""
        ended = []
        for number, handle in list(self._running.items()):
            if handle.done():
                del self._running[number]
                ended.append(self._outcome(number, handle))
        return ended

    def _outcome(self, number: int, handle: Any) -> Outcome:
        error = handle.exception()
        if error is None:
            return handle.result()
        if number in self._cancelled:
            self._cancelled.discard(number)
            return Outcome(number, None, 'cancelled')
        lines = [one for one in str(error).splitlines() if one.strip()]
        reason = lines[-1].strip() if lines else type(error).__name__
        return Outcome(number, None, 'lost', f'job {handle.job_id}: {reason}')

    def cancel(self, number: int) -> None:
        """End a job; its outcome follows.

        Args:
            number (int): Number of its trial.
        """
        if number in self._running:
            self._cancelled.add(number)
            self._running[number].cancel()

    def close(self) -> None:
        """End all jobs."""
        for handle in self._running.values():
            handle.cancel()
        self._running.clear()
