"""What a candidate costs, and whether that is within the limit."""
from collections.abc import Mapping
from typing import Any, Optional

from .cost import ConfigCost, Cost
from .evaluators import Evaluator
from .failures import Failure
from .spec import SearchSpec, candidate_config


class CostLimit:
    """The limit on the size of candidates.

    Args:
        spec (SearchSpec): What to search, with the limit if there is one.
        evaluator (Evaluator): May know what a candidate costs.
    """

    def __init__(self, spec: SearchSpec, evaluator: Evaluator) -> None:
        self.spec = spec
        self.evaluator = evaluator
        self._cost = ConfigCost(spec.flops_input, spec.flops_limit)

    def cost(self, values: Mapping[str, Any]) -> Cost:
        """Size of a candidate.

        Args:
            values (Mapping): The candidate.

        Returns:
            Cost: Empty where the search has no network.

        Raises:
            ValueError: If no config can be made of it.
        """
        found = self.evaluator.cost(self.spec, values)
        if found is not None:
            return found
        if self.spec.base is None:
            return Cost()
        return self._cost(candidate_config(self.spec, values))

    def is_feasible(self, values: Mapping[str, Any]) -> bool:
        """Whether a candidate is within the limit.

        Args:
            values (Mapping): The candidate.

        Returns:
            bool: True too without a limit, and for a candidate of which no
            config can be made: its trial will say why.
        """
        if self.spec.flops_limit is None:
            return True
        try:
            return self.excess(self.cost(values)) is None
        except ValueError:
            return True

    def excess(self, cost: Cost) -> Optional[Failure]:
        """What is wrong with the size of a candidate.

        Args:
            cost (Cost): The size.

        Returns:
            Failure | None: None if it is within the limit or not known.
        """
        limit = self.spec.flops_limit
        if limit is None or (cost.flops or 0) <= limit:
            return None
        return Failure('infeasible', f'{cost.flops / 1e6:.1f} MFLOPs, the '
                       f'limit is {limit / 1e6:.1f}')
