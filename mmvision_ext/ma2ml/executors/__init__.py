"""Where trials run: this machine, a Ray cluster, SLURM."""
from typing import Any

from ..errors import SearchError
from .base import Executor, Job, Outcome
from .local import LocalExecutor

__all__ = ['EXECUTORS', 'Executor', 'Job', 'LocalExecutor', 'Outcome',
           'build_executor']

EXECUTORS = ('local', 'ray', 'slurm')


def build_executor(name: str, workers: int, **settings: Any) -> Executor:
    """Make an executor.

    Args:
        name (str): 'local', 'ray' or 'slurm'.
        workers (int): Trials at once.
        **settings (Any): Arguments of its class.

    Returns:
        Executor: The executor.

    Raises:
        SearchError: If its package is not installed, or nobody answers.
    """
    try:
        if name == 'local':
            return LocalExecutor(workers, **settings)
        if name == 'ray':
            from .ray import RayExecutor
            return RayExecutor(workers, **settings)
        if name == 'slurm':
            from .slurm import SlurmExecutor
            return SlurmExecutor(workers, **settings)
    except TypeError as error:
        raise SearchError(f'executor {name}: {error}') from error
    raise SearchError(f'executor {name!r}: choose from '
                      f'{", ".join(EXECUTORS)}')
