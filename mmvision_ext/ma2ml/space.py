"""Search spaces: agents, their decisions, and what depends on what.

An agent is a module of the pipeline (augmentation, architecture, recipe) and
owns an ordered list of categorical decisions, as in MA2ML ("Multi-Agent
Automated Machine Learning", arXiv 2210.09084). Decisions of which the order
of the choices matters (``ordinal``) and decisions that exist only if another
one has a certain value (``condition``) are ours.
"""
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from .decision import Choice, Decision, is_name

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial, FrozenTrial

#: Index of a decision that does not exist in a candidate.
INACTIVE = -1


class SearchSpace:
    """All decisions of all agents, in order.

    A candidate is a dict from full names, ``'<agent>.<name>'``, to values and
    holds the decisions that exist in it, no others. Encoded, it is a tuple
    with one index into the choices for every decision of the space, -1 where
    the decision does not exist.

    Args:
        agents (Mapping[str, Sequence[Decision]]): The decisions of each
            agent.

    Attributes:
        agents (dict[str, tuple[Decision, ...]]): As given.
        names (tuple[str, ...]): Full names, in order.
        decisions (tuple[Decision, ...]): In the same order.
        slices (dict[str, slice]): Where an agent's decisions stand in it.
        cardinalities (tuple[int, ...]): Number of choices of each.
        parents (tuple): For each decision None, or the place of its parent
            and the set of the parent's indices for which it exists.
        size (int): Number of different candidates.

    Raises:
        ValueError: If two names are equal, or a condition names no earlier
            decision, or values that its parent cannot have; the message
            names the decision.
    """

    def __init__(self, agents: Mapping[str, Sequence[Decision]]) -> None:
        self.agents = {name: tuple(own) for name, own in agents.items()}
        self._check_agents()
        self.decisions = tuple(
            one for own in self.agents.values() for one in own)
        self.names = tuple(f'{agent}.{one.name}'
                           for agent, own in self.agents.items()
                           for one in own)
        for place, name in enumerate(self.names):
            if name in self.names[:place]:
                raise ValueError(f'decision {name} is declared twice')
        self.cardinalities = tuple(len(d.choices) for d in self.decisions)
        self.slices: dict[str, slice] = {}
        start = 0
        for agent, own in self.agents.items():
            self.slices[agent] = slice(start, start + len(own))
            start += len(own)
        self.parents = tuple(
            self._find_parent(i) for i in range(len(self.names)))
        self.size = self._count()

    @classmethod
    def from_config(
            cls, config: Mapping[str, Sequence[Mapping[str, Any]]]
    ) -> 'SearchSpace':
        """Build a space from plain data, the inverse of :meth:`to_config`.

        Args:
            config (Mapping): For each agent a list of dicts with the
                arguments of :class:`Decision`, such as
                ``dict(name='lr', choices=[0.1, 0.2], ordinal=True)``.

        Returns:
            SearchSpace: The space.

        Raises:
            ValueError: If a dict has unknown or missing keys, or as the
                classes.
        """
        agents = {}
        for agent, own in config.items():
            agents[agent] = []
            for one in own:
                if isinstance(one, Decision):
                    agents[agent].append(one)
                    continue
                try:
                    agents[agent].append(Decision(**one))
                except TypeError as error:
                    raise ValueError(
                        f'decision {dict(one)!r} of agent {agent!r}: '
                        'expected the keys name and choices, and perhaps '
                        'ordinal and condition') from error
        return cls(agents)

    def to_config(self) -> dict[str, list[dict[str, Any]]]:
        """Write the space as plain data that JSON can hold."""
        config: dict[str, list[dict[str, Any]]] = {}
        for agent, own in self.agents.items():
            config[agent] = []
            for one in own:
                item: dict[str, Any] = dict(
                    name=one.name, choices=list(one.choices))
                if one.ordinal:
                    item['ordinal'] = True
                if one.condition is not None:
                    item['condition'] = dict(
                        parent=one.condition.parent,
                        values=list(one.condition.values))
                config[agent].append(item)
        return config

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        own = ', '.join(f'{agent}: {len(d)} decisions'
                        for agent, d in self.agents.items())
        return f'SearchSpace({own}; {self.size:.3g} candidates)'

    def encode(self, values: Mapping[str, Choice]) -> tuple[int, ...]:
        """Indices of a candidate's choices.

        Args:
            values (Mapping[str, Any]): Full names to values.

        Returns:
            tuple[int, ...]: One index a decision, -1 if it does not exist.

        Raises:
            ValueError: If a value is missing, is none of the choices, or
                belongs to no decision that exists in the candidate.
        """
        indices: list[int] = []
        for place, name in enumerate(self.names):
            if not self._exists(place, indices):
                indices.append(INACTIVE)
                continue
            if name not in values:
                raise ValueError(f'decision {name} has no value')
            choices = self.decisions[place].choices
            if values[name] not in choices:
                raise ValueError(f'decision {name}: {values[name]!r} is none '
                                 f'of {list(choices)}')
            indices.append(choices.index(values[name]))
        for name in values:
            if name not in self.names:
                raise ValueError(f'{name!r} is no decision of this space '
                                 f'(it has {", ".join(self.names)})')
            if indices[self.names.index(name)] == INACTIVE:
                raise ValueError(
                    f'decision {name} does not exist in this candidate: '
                    f'{self._why_inactive(name)}')
        return tuple(indices)

    def decode(self, indices: Sequence[int]) -> dict[str, Choice]:
        """The candidate that indices stand for, inverse of :meth:`encode`.

        Args:
            indices (Sequence[int]): One index a decision. Those of decisions
                that do not exist are not looked at.

        Returns:
            dict[str, Any]: Full names to values.

        Raises:
            ValueError: If the number of indices or an index is wrong.
        """
        if len(indices) != len(self.names):
            raise ValueError(f'{len(indices)} indices for a space of '
                             f'{len(self.names)} decisions')
        seen: list[int] = []
        values: dict[str, Choice] = {}
        for place, name in enumerate(self.names):
            if not self._exists(place, seen):
                seen.append(INACTIVE)
                continue
            index = int(indices[place])
            if not 0 <= index < self.cardinalities[place]:
                raise ValueError(f'decision {name}: index {index} is outside '
                                 f'of 0..{self.cardinalities[place] - 1}')
            seen.append(index)
            values[name] = self.decisions[place].choices[index]
        return values

    def canonical(self, indices: np.ndarray) -> np.ndarray:
        """Put -1 where a decision does not exist.

        Args:
            indices (np.ndarray): Shape (N, D), integers, one full choice of
                every decision a row.

        Returns:
            np.ndarray: A new array of the same shape.
        """
        result = np.array(indices)
        for place, parent in enumerate(self.parents):
            if parent is not None:
                exists = np.isin(result[:, parent[0]], list(parent[1]))
                result[~exists, place] = INACTIVE
        return result

    def is_active(self, name: str, values: Mapping[str, Choice]) -> bool:
        """Whether a decision exists in a candidate.

        Args:
            name (str): Full name.
            values (Mapping[str, Any]): The candidate, at least as far as the
                decision's parents.

        Returns:
            bool: True if it does.
        """
        condition = self.parents[self.names.index(name)]
        if condition is None:
            return True
        parent = self.names[condition[0]]
        if parent not in values or not self.is_active(parent, values):
            return False
        choices = self.decisions[condition[0]].choices
        return choices.index(values[parent]) in condition[1]

    def sample(self, rng: np.random.Generator) -> dict[str, Choice]:
        """Draw every decision uniformly.

        Args:
            rng (np.random.Generator): Source of randomness.

        Returns:
            dict[str, Any]: Full names to values.
        """
        return self.decode([int(rng.integers(n))
                            for n in self.cardinalities])

    def distributions(self, ordinal_index: bool = False
                      ) -> 'dict[str, BaseDistribution]':
        """The space as Optuna sees it, every decision included.

        Args:
            ordinal_index (bool): Give ordinal decisions as the integer that
                counts their choices from 0, for samplers that use the order
                (CMA-ES, GP), instead of as categorical. A study keeps to one
                of both. Defaults to False.

        Returns:
            dict[str, BaseDistribution]: Full names to distributions.
        """
        from optuna.distributions import (
            CategoricalDistribution,
            IntDistribution,
        )
        return {
            name: IntDistribution(0, len(one.choices) - 1)
            if one.ordinal and ordinal_index
            else CategoricalDistribution(one.choices)
            for name, one in zip(self.names, self.decisions)
        }

    def suggest(self, trial: 'BaseTrial',
                ordinal_index: bool = False) -> dict[str, Choice]:
        """Let an Optuna trial choose, decision after decision.

        Decisions that do not exist in the candidate are not asked for.

        Args:
            trial (optuna.trial.BaseTrial): The trial.
            ordinal_index (bool): As in :meth:`distributions`. Defaults to
                False.

        Returns:
            dict[str, Any]: Full names to values, never indices.
        """
        values: dict[str, Choice] = {}
        for name, one in zip(self.names, self.decisions):
            if not self.is_active(name, values):
                continue
            if one.ordinal and ordinal_index:
                index = trial.suggest_int(name, 0, len(one.choices) - 1)
                values[name] = one.choices[index]
            else:
                values[name] = trial.suggest_categorical(name, one.choices)
        return values

    def values_of(self, trial: 'FrozenTrial') -> dict[str, Choice]:
        """The candidate of a trial that :meth:`suggest` filled.

        Args:
            trial (optuna.trial.FrozenTrial): The trial, of either form of
                the distributions.

        Returns:
            dict[str, Any]: Full names to values, without parameters that
            are none of this space's.
        """
        values: dict[str, Choice] = {}
        for name, one in zip(self.names, self.decisions):
            if name not in trial.params:
                continue
            value = trial.params[name]
            counted = hasattr(trial.distributions[name], 'low')
            values[name] = one.choices[value] if counted else value
        return values

    def _check_agents(self) -> None:
        if not self.agents:
            raise ValueError('the space has no agents')
        for agent, own in self.agents.items():
            if not is_name(agent):
                raise ValueError(f'agent {agent!r}: a name consists of '
                                 "letters, digits, '_' and '-'")
            if not own:
                raise ValueError(f'agent {agent!r} has no decisions')

    def _find_parent(self, place: int
                     ) -> Optional[tuple[int, frozenset[int]]]:
        name, condition = self.names[place], self.decisions[place].condition
        if condition is None:
            return None
        full = f'{name.partition(".")[0]}.{condition.parent}'
        if '.' in condition.parent:
            full = condition.parent
        if full not in self.names[:place]:
            raise ValueError(f'decision {name}: its condition names '
                             f'{condition.parent!r}, which is no decision '
                             'declared before it')
        parent = self.names.index(full)
        choices = self.decisions[parent].choices
        for value in condition.values:
            if value not in choices:
                raise ValueError(f'decision {name}: its condition names the '
                                 f'value {value!r}, but {full} chooses from '
                                 f'{list(choices)}')
        if not condition.values:
            raise ValueError(f'decision {name}: its condition has no values, '
                             'so that it would never exist')
        return parent, frozenset(map(choices.index, condition.values))

    def _exists(self, place: int, indices: Sequence[int]) -> bool:
        parent = self.parents[place]
        return parent is None or indices[parent[0]] in parent[1]

    def _why_inactive(self, name: str) -> str:
        parent = self.parents[self.names.index(name)]
        assert parent is not None
        choices = self.decisions[parent[0]].choices
        return (f'{self.names[parent[0]]} has to be one of '
                f'{[choices[i] for i in sorted(parent[1])]}')

    def _count(self) -> int:
        # ways[i][c]: candidates of the tree below decision i at choice c
        ways = [[1] * n for n in self.cardinalities]
        total = 1
        for place in reversed(range(len(self.names))):
            below = sum(ways[place])
            parent = self.parents[place]
            if parent is None:
                total *= below
                continue
            for choice in parent[1]:
                ways[parent[0]][choice] *= below
        return total
