"""What the learner sees of a study: parameters as decisions."""
from collections.abc import Mapping
from typing import Any, Optional

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial

from .decision import Decision
from .proposal import Action
from .space import INACTIVE, SearchSpace

#: Levels at which a continuous parameter is searched, ends included.
LEVELS = 11

#: Agent of parameters whose names have no prefix.
OTHERS = 'others'


class GivenView:
    """Of a study whose trials ask ``space.suggest``.

    Args:
        space (SearchSpace): The space.

    Attributes:
        space (SearchSpace): The same.
        distributions (dict[str, BaseDistribution]): All parameters.
        agents (dict[str, str]): Names of the space's agents to those that
            the user knows.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.distributions = space.distributions()
        self.agents = {name: name for name in space.agents}

    def action(self, trial: FrozenTrial) -> Optional[Action]:
        """The encoded candidate of a trial.

        Args:
            trial (FrozenTrial): The trial.

        Returns:
            tuple[int, ...] | None: The candidate; None if the trial has not
            all parameters of one.
        """
        try:
            return self.space.encode(self.space.values_of(trial))
        except ValueError:
            return None

    def params(self, action: Action) -> dict[str, Any]:
        """The parameters that a candidate stands for, by their names."""
        return self.space.decode(action)


class InferredView:
    """Of any study: the parameters that its trials have.

    Continuous parameters, and integers of a wide range, are seen at
    :data:`LEVELS` levels. A parameter that a trial lacks did not exist in
    it.

    Args:
        distributions (Mapping[str, BaseDistribution]): The parameters.
        owners (Mapping[str, str]): Agents of some of them. The agent of the
            others is what stands before the first dot of the name.

    Attributes: As :class:`GivenView`.
    """

    def __init__(self, distributions: Mapping[str, BaseDistribution],
                 owners: Mapping[str, str]) -> None:
        groups: dict[str, list[str]] = {}
        for name in distributions:
            prefix, dot, _ = name.partition('.')
            agent = owners.get(name, prefix if dot else OTHERS)
            groups.setdefault(agent, []).append(name)
        self._names = [name for own in groups.values() for name in own]
        self.distributions = {n: distributions[n] for n in self._names}
        self._levels = {name: levels(one)
                        for name, one in self.distributions.items()}
        # names of decisions are narrower than those of parameters
        self.agents = {f'a{i}': agent for i, agent in enumerate(groups)}
        self.space = SearchSpace({
            f'a{i}': [self._decision(j, name) for j, name in enumerate(own)]
            for i, own in enumerate(groups.values())
        })

    def action(self, trial: FrozenTrial) -> Optional[Action]:
        """As :meth:`GivenView.action`."""
        action = []
        for name in self._names:
            if name not in trial.params:
                action.append(INACTIVE)
                continue
            action.append(self._nearest(name, trial))
        known = any(index != INACTIVE for index in action)
        return tuple(action) if known else None

    def params(self, action: Action) -> dict[str, Any]:
        """As :meth:`GivenView.params`."""
        return {name: self._levels[name][index]
                for name, index in zip(self._names, action)
                if index != INACTIVE}

    def _decision(self, place: int, name: str) -> Decision:
        ordinal = not isinstance(
            self.distributions[name], CategoricalDistribution)
        return Decision(f'd{place}', range(len(self._levels[name])), ordinal)

    def _nearest(self, name: str, trial: FrozenTrial) -> int:
        kind, value = self.distributions[name], trial.params[name]
        if isinstance(kind, CategoricalDistribution):
            return int(kind.to_internal_repr(value))
        places = np.array(self._levels[name], float)
        if kind.log:
            places, value = np.log(places), np.log(value)
        return int(np.abs(places - value).argmin())


def levels(distribution: BaseDistribution) -> list[Any]:
    """Values at which a parameter is searched.

    Args:
        distribution (BaseDistribution): Of any kind of Optuna.

    Returns:
        list: All choices of a categorical one and all values of an integer
        or stepped one if they are few, else evenly spaced ones, on the
        logarithm where the distribution says so.
    """
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    low, high = distribution.low, distribution.high
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    step = distribution.step
    if low == high:
        return [low]
    if step is not None and (high - low) / step < LEVELS:
        count = int(round((high - low) / step)) + 1
        return [low + k * step for k in range(count)]
    space = np.geomspace if distribution.log else np.linspace
    spaced = space(low, high, LEVELS)
    if step is not None:
        spaced = low + np.round((spaced - low) / step) * step
    if isinstance(distribution, IntDistribution):
        return sorted({int(value) for value in spaced})
    # rounding must not carry the ends out of the range
    return sorted({float(value) for value in spaced.clip(low, high)})
