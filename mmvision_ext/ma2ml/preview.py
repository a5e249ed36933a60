"""What ``--dry-run`` shows."""
import numpy as np

from .cost import ConfigCost, Cost
from .errors import SearchError
from .evaluators import Evaluator
from .progress import flops_text
from .spec import SearchSpec, candidate_config

_SAMPLES = 20


def preview(spec: SearchSpec, evaluator: Evaluator) -> None:
    """Show the space, and what some candidates cost.

    Args:
        spec (SearchSpec): The search.
        evaluator (Evaluator): Judges its candidates.

    Raises:
        SearchError: If no config can be made of a candidate.
    """
    space = spec.space
    print(f'{len(space)} decisions, {space.size:.3g} candidates')
    for agent, own in space.agents.items():
        print(f'  {agent}:')
        for one in own:
            choices = ', '.join(map(repr, one.choices[:8]))
            more = ', ...' if len(one.choices) > 8 else ''
            when = '' if one.condition is None else (
                f'  (if {one.condition.parent} in '
                f'{list(one.condition.values)})')
            print(f'    {one.name}: {choices}{more}{when}')
    rng = np.random.default_rng(spec.seed)
    cost = ConfigCost(spec.flops_input)
    costs: list[Cost] = []
    for _ in range(_SAMPLES):
        values = space.sample(rng)
        try:
            found = evaluator.cost(spec, values)
            if found is None and spec.base is not None:
                found = cost(candidate_config(spec, values))
        except ValueError as error:
            raise SearchError(f'candidate {values}: {error}') from error
        costs.append(found or Cost())
    _show(costs, spec)


def _show(costs: list[Cost], spec: SearchSpec) -> None:
    flops = sorted(one.flops for one in costs if one.flops is not None)
    if not flops:
        print('candidates have no FLOPs')
        return
    print(f'{len(flops)} candidates at random: {flops_text(flops[0])} to '
          f'{flops_text(flops[-1])}, median '
          f'{flops_text(flops[len(flops) // 2])}')
    if spec.flops_limit is not None:
        inside = sum(one <= spec.flops_limit for one in flops)
        print(f'{inside} of them within the limit of '
              f'{flops_text(spec.flops_limit)}')
