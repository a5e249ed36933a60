"""The methods that are compared, by name."""
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from ..learner import MA2MLLearner
from ..presets import settings
from ..proposal import Action, Gate, nearby, uniform
from ..space import SearchSpace
from .loop import Method
from .tables import Table

Factory = Callable[[Table, int, int], Method]


class Learner:
    """The learner of this package.

    Args:
        table (Table): The table.
        seed (int): Seed.
        warmup (int): Trials of the shared warm-up, in place of its own.
        preset (str): Its preset.
        **changes: Settings to change of the preset.
    """

    def __init__(self, table: Table, seed: int, warmup: int, preset: str,
                 **changes: Any) -> None:
        if warmup and preset != 'lite':
            changes['warmup'] = warmup
        self._learner = MA2MLLearner(
            table.space, seed, settings(preset, **changes),
            None if table.limit is None else table.feasible)

    def ask(self) -> Action:
        """See :class:`Method`."""
        return self._learner.propose().action

    def tell(self, action: Action, reward: float) -> None:
        """See :class:`Method`."""
        self._learner.observe(action, reward)


class Unrepeated:
    """What methods share that know what was tried.

    Args:
        table (Table): The table.
        seed (int): Seed.
        warmup (int): Trials of the shared warm-up.
    """

    def __init__(self, table: Table, seed: int, warmup: int) -> None:
        self.space: SearchSpace = table.space
        self.rng = np.random.default_rng([seed, 12])
        self.gate = Gate(self.space, table.feasible)
        self.log: dict[Action, float] = {}

    def tell(self, action: Action, reward: float) -> None:
        """See :class:`Method`."""
        self.log[action] = reward

    def new(self, proposals: np.ndarray) -> Action:
        """The first proposal that is new, or what is near to one."""
        return nearby(self.space, self.gate, set(self.log), proposals,
                      self.rng)


class RandomSearch(Unrepeated):
    """Uniform draws."""

    def ask(self) -> Action:
        """See :class:`Method`."""
        return self.new(uniform(self.space, 1000, self.rng))


class Evolution(Unrepeated):
    """Regularised evolution (Real et al., arXiv 1802.01548).

    The first population is random. Then the best of a sample of the newest
    trials has a child that differs in one decision.

    Args:
        table (Table): The table.
        seed (int): Seed.
        warmup (int): Trials of the shared warm-up, part of the population.
        population (int): Newest trials that may be parents.
        sample (int): Candidates for parent, of which the best is taken.
    """

    def __init__(self, table: Table, seed: int, warmup: int,
                 population: int, sample: int) -> None:
        super().__init__(table, seed, warmup)
        self._alive: deque[Action] = deque(maxlen=population)
        self._sample = sample

    def ask(self) -> Action:
        """See :class:`Method`."""
        if len(self._alive) < self._alive.maxlen:
            return self.new(uniform(self.space, 1000, self.rng))
        picked = self.rng.choice(
            len(self._alive), self._sample, replace=False)
        parent = max((self._alive[i] for i in picked), key=self.log.get)
        children = np.tile(parent, (30, 1))
        sizes = np.array(self.space.cardinalities)
        places = self.rng.integers(0, len(sizes), len(children))
        rows = np.arange(len(children))
        shift = 1 + self.rng.integers(0, sizes[places] - 1)
        children[rows, places] = (
            children[rows, places] + shift) % sizes[places]
        return self.new(children)

    def tell(self, action: Action, reward: float) -> None:
        """See :class:`Method`."""
        super().tell(action, reward)
        self._alive.append(action)


def _learner(preset: str, **changes: Any) -> Factory:
    return lambda table, seed, warmup: Learner(
        table, seed, warmup, preset, **changes)


def _evolution(population: int, sample: int) -> Factory:
    return lambda table, seed, warmup: Evolution(
        table, seed, warmup, population, sample)


def _optuna(name: str, **changes: Any) -> Factory:
    def build(table: Table, seed: int, warmup: int) -> Method:
        from . import optuna_methods
        return getattr(optuna_methods, name)(table, seed, warmup, **changes)
    return build


def _smac(table: Table, seed: int, warmup: int) -> Method:
    from .smac_method import SMAC
    return SMAC(table, seed, warmup)


#: Methods by name; of opponents with a setting that matters, the published
#: one and a tuned one.
METHODS: dict[str, Factory] = {
    'ma2ml': _learner('ma2ml'),
    'ma2ml:network': _learner('network'),
    'ma2ml:plain': _learner('plain'),
    'ma2ml:no-credit': _learner('no-credit'),
    'ma2ml:no-replay': _learner('no-replay'),
    'reinforce-0.05': _learner('lite'),
    'reinforce-0.1': _learner('lite', actor_lr=0.1),
    'reinforce-0.2': _learner('lite', actor_lr=0.2),
    'random': RandomSearch,
    'evolution-50': _evolution(50, 10),
    'evolution-20': _evolution(20, 5),
    'tpe': _optuna('TPE'),
    'tpe-repeats': _optuna('RepeatingTPE'),
    'gp': _optuna('GP'),
    'smac': _smac,
}

#: Packages that methods need beyond those of this one, by import name.
PACKAGES: dict[str, tuple[str, ...]] = {
    'tpe': ('optuna', ),
    'tpe-repeats': ('optuna', ),
    'gp': ('optuna', ),
    'smac': ('smac', 'ConfigSpace'),
}
