"""Candidates: space-filling ones, moves, and which of them may be tried."""
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Optional

import numpy as np

from .space import INACTIVE, SearchSpace

Action = tuple[int, ...]
Feasible = Callable[[dict[str, Any]], bool]

#: Tries for a new and feasible candidate before the next means is taken.
TRIES = 30

#: Uniform draws before a candidate is repeated.
_LAST_DRAWS = 2000


class NoCandidateError(ValueError):
    """Nothing that may be evaluated was found in the space."""


class Gate:
    """Lets candidates through that are feasible and new.

    Args:
        space (SearchSpace): The space.
        feasible (Callable, optional): A candidate, a dict from full names to
            values, to whether it may be evaluated, by what is known without
            training, such as its FLOPs. It is asked once a candidate. None
            if everything may.
    """

    def __init__(self, space: SearchSpace,
                 feasible: Optional[Feasible]) -> None:
        self._space = space
        self._feasible = feasible
        self._answers: dict[Action, bool] = {}

    def allows(self, action: Action) -> bool:
        """Whether an encoded candidate may be evaluated at all."""
        if self._feasible is None:
            return True
        if action not in self._answers:
            self._answers[action] = bool(
                self._feasible(self._space.decode(action)))
        return self._answers[action]

    def first(self, actions: Iterable[Action],
              taken: set[Action]) -> Optional[Action]:
        """The first of some candidates that is new and feasible.

        Args:
            actions (Iterable[tuple[int, ...]]): Encoded candidates.
            taken (set): Those that were tried before.

        Returns:
            tuple[int, ...] | None: The candidate, None if there is none.
        """
        for action in actions:
            if action not in taken and self.allows(action):
                return action
        return None


def uniform(space: SearchSpace, count: int,
            rng: np.random.Generator) -> np.ndarray:
    """Draw every decision uniformly.

    Args:
        space (SearchSpace): The space.
        count (int): How many, N.
        rng (np.random.Generator): Source of randomness.

    Returns:
        np.ndarray: Shape (N, D), canonical.
    """
    draws = rng.integers(0, space.cardinalities, (count, len(space)))
    return space.canonical(draws)


def one_changed(space: SearchSpace, action: Action,
                rng: np.random.Generator) -> np.ndarray:
    """All candidates in which one decision of one agent differs.

    Decisions that come into existence by it are drawn uniformly.

    Args:
        space (SearchSpace): The space.
        action (tuple[int, ...]): Encoded candidate.
        rng (np.random.Generator): Source of randomness.

    Returns:
        np.ndarray: Shape (N, D), canonical, in the order of decisions.
    """
    start = np.array(action)
    absent = start == INACTIVE
    sizes = np.where(absent, 1, space.cardinalities)
    places = np.repeat(np.arange(len(start)), sizes - 1)
    ends = (sizes - 1).cumsum()
    steps = 1 + np.arange(len(places)) - np.repeat(
        ends - (sizes - 1), sizes - 1)
    rows = np.tile(start, (len(places), 1))
    if absent.any():
        rows[:, absent] = rng.integers(
            0, space.cardinalities, rows.shape)[:, absent]
    rows[np.arange(len(places)), places] = (
        start[places] + steps) % sizes[places]
    return space.canonical(rows)


def balanced(space: SearchSpace, gate: Gate, taken: Sequence[Action],
             rng: np.random.Generator) -> Optional[Action]:
    """The next candidate of a design that fills the space.

    Of some uniform draws, the one whose choices were taken least often so
    far, so that every choice of every decision comes up equally often; among
    equals, the one that differs most from its nearest predecessor.

    Args:
        space (SearchSpace): The space.
        gate (Gate): What may be tried.
        taken (Sequence[tuple[int, ...]]): What was, in order.
        rng (np.random.Generator): Source of randomness.

    Returns:
        tuple[int, ...] | None: The candidate; None if no draw is new and
        feasible.
    """
    draws = uniform(space, 2 * TRIES, rng)
    if not taken:
        return gate.first(map(tuple, draws.tolist()), set())
    past = np.array(taken)
    equal = draws[:, None] == past
    often = (equal & (draws >= 0)[:, None]).sum((1, 2))
    nearest = (~equal).sum(2).min(1)
    order = np.lexsort((-nearest, often))
    return gate.first(map(tuple, draws[order].tolist()), set(taken))


def nearby(space: SearchSpace, gate: Gate, taken: set[Action],
           starts: np.ndarray, rng: np.random.Generator) -> Action:
    """A candidate for when a method repeats itself.

    The first new one of what the method proposed; then of what differs from
    it in one decision, in two and so on; then of uniform draws.

    Args:
        space (SearchSpace): The space.
        gate (Gate): What may be tried.
        taken (set[tuple[int, ...]]): What was.
        starts (np.ndarray): Shape (N, D), proposals, canonical, the
            preferred first.
        rng (np.random.Generator): Source of randomness.

    Returns:
        tuple[int, ...]: The candidate. One that was tried before if no other
        was found.

    Raises:
        NoCandidateError: If not even such a one is feasible.
    """
    found = gate.first(map(tuple, starts.tolist()), taken)
    width = len(space)
    for changes in range(1, width + 1):
        if found is not None:
            return found
        rows = starts[rng.integers(0, len(starts), 2 * TRIES)]
        fresh = rng.integers(0, space.cardinalities, rows.shape)
        places = rng.random(rows.shape).argsort(1) < changes
        rows = np.where(places | (rows == INACTIVE), fresh, rows)
        found = gate.first(
            map(tuple, space.canonical(rows).tolist()), taken)
    if found is None:
        draws = map(tuple, uniform(space, _LAST_DRAWS, rng).tolist())
        found = gate.first(draws, taken)
    if found is None:
        found = gate.first([*map(tuple, starts.tolist()), *sorted(taken)],
                           set())
    if found is None:
        raise NoCandidateError(
            f'no feasible candidate was found in {space!r}: loosen the limit, '
            'or give the space smaller choices')
    return found
