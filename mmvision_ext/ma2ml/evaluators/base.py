"""What an evaluator is."""
from collections.abc import Mapping
from typing import Any, Optional

from ..cost import Cost
from ..executors.base import Job
from ..spec import SearchSpec
from ..trial_files import TrialFolder


class Evaluator:
    """Judges candidates.

    Either as a process of its own (:meth:`job`), or, for what takes no time,
    at once (:attr:`inline` and :meth:`evaluate`).
    """

    #: Whether candidates are judged by :meth:`evaluate`.
    inline = False

    def check(self, spec: SearchSpec) -> None:
        """Look at the search before it starts.

        Args:
            spec (SearchSpec): The search.

        Raises:
            LaunchError: If it cannot be judged by this evaluator.
        """

    def cost(self, spec: SearchSpec, values: Mapping[str, Any]
             ) -> Optional[Cost]:
        """Size of a candidate, where the evaluator knows it.

        Args:
            spec (SearchSpec): The search.
            values (Mapping): The candidate.

        Returns:
            Cost | None: None to have its config counted.
        """
        return None

    def job(self, spec: SearchSpec, values: Mapping[str, Any], number: int,
            seed: int, folder: TrialFolder) -> Job:
        """Prepare the process that judges a candidate.

        Args:
            spec (SearchSpec): The search.
            values (Mapping): The candidate.
            number (int): Number of its trial.
            seed (int): Seed of its trial.
            folder (TrialFolder): Folder of its trial, ready to be filled.
                The process has to leave a result there.

        Returns:
            Job: What to run.

        Raises:
            ValueError: If no config can be made of the candidate.
        """
        raise NotImplementedError

    def evaluate(self, spec: SearchSpec, values: Mapping[str, Any],
                 seed: int) -> dict[str, Any]:
        """Judge a candidate at once.

        Args:
            spec (SearchSpec): The search.
            values (Mapping): The candidate.
            seed (int): Seed of its trial.

        Returns:
            dict[str, Any]: ``value`` and what else is known.
        """
        raise NotImplementedError
