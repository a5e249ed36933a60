"""The critic as small networks, the form of the foundations.

A centralised critic sees the joint action and is regressed onto the reward:
an episode is a single step, so there is nothing to bootstrap. DMAC's critic
is a network of 256-256 or 64-64; what MA2ML's is, is not known. A one-hot
code of all decisions as input is ours.
"""
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch.nn import functional as F

from .replay import Replay
from .space import SearchSpace


class ActionCode:
    """Flat positions of the choices of all decisions.

    Each decision has one position a choice and a last one for "does not
    exist", so that a candidate is a set of as many positions as there are
    decisions.

    Args:
        space (SearchSpace): The space.

    Attributes:
        width (int): Number of positions, P.
        blocks (list[slice]): Positions of each decision.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._absent = torch.tensor(space.cardinalities)
        ends = (self._absent + 1).cumsum(0)
        self._starts = ends - self._absent - 1
        self.width = int(ends[-1])
        self.blocks = [slice(int(start), int(end))
                       for start, end in zip(self._starts, ends)]

    def positions(self, actions: torch.Tensor) -> torch.Tensor:
        """Positions of candidates.

        Args:
            actions (torch.Tensor): Shape (N, D), indices, -1 where a
                decision does not exist.

        Returns:
            torch.Tensor: Shape (N, D), from 0 to P - 1.
        """
        return torch.where(
            actions < 0, self._absent, actions) + self._starts

    def one_hot(self, actions: torch.Tensor) -> torch.Tensor:
        """Candidates as vectors of zeros and ones.

        Args:
            actions (torch.Tensor): Shape (N, D).

        Returns:
            torch.Tensor: Shape (N, P), float64.
        """
        result = torch.zeros(len(actions), self.width, dtype=torch.float64)
        return result.scatter_(1, self.positions(actions), 1.)


class Critic(Protocol):
    """What the learner asks of a critic."""

    def update(self, replay: Replay, rng: np.random.Generator) -> None:
        """Learn from the log, of which the last trial is new."""

    def value(self, actions: torch.Tensor) -> torch.Tensor:
        """Expected standardised rewards, (N, D) canonical to (N,)."""

    def score(self, actions: torch.Tensor) -> torch.Tensor:
        """How much it is worth to try candidates, (N, D) to (N,)."""

    def with_pending(self, actions: Sequence[Sequence[int]]) -> 'Critic':
        """The critic while candidates are under evaluation."""


class NetworkCritic:
    """An ensemble of small networks, trained on the replayed log.

    Args:
        space (SearchSpace): The space.
        rng (np.random.Generator): Source of first weights.
        members (int): Networks, of independent first weights and
            minibatches.
        hidden (int): Width of both hidden layers.
        lr (float): Learning rate of Adam; its weight decay is 1e-4.
        steps (int): Steps a trial.
        batch (int): Trials a step and member.
        recent (int, optional): Train on this many newest trials only, the
            ablation without off-policy learning. None for all.
    """

    def __init__(self, space: SearchSpace, rng: np.random.Generator,
                 members: int, hidden: int, lr: float, steps: int,
                 batch: int, recent: int | None) -> None:
        self._code = ActionCode(space)
        self._steps, self._batch, self._recent = steps, batch, recent
        sizes = (self._code.width, hidden, hidden, 1)
        self._weights, self._biases = [], []
        for fan_in, fan_out in zip(sizes, sizes[1:]):
            bound = 1 / fan_in**0.5
            for shape, kept in (((members, fan_in, fan_out), self._weights),
                                ((members, 1, fan_out), self._biases)):
                values = rng.uniform(-bound, bound, shape)
                kept.append(torch.from_numpy(values).float()
                            .requires_grad_())
        self._optimizer = torch.optim.Adam(
            self._weights + self._biases, lr=lr, weight_decay=1e-4)

    def update(self, replay: Replay, rng: np.random.Generator) -> None:
        """See :class:`Critic`."""
        rewards = replay.standardised().float()
        inputs = self._code.one_hot(replay.rows()).float()
        count = len(rewards)
        first = 0 if self._recent is None else max(0, count - self._recent)
        members = len(self._weights[0])
        for _ in range(self._steps):
            size = min(self._batch, count - first)
            rows = torch.from_numpy(
                rng.integers(first, count, (members, size)))
            error = self._forward(inputs[rows]) - rewards[rows]
            self._optimizer.zero_grad()
            error.square().mean(1).sum().backward()
            self._optimizer.step()

    @torch.no_grad()
    def value(self, actions: torch.Tensor) -> torch.Tensor:
        """See :class:`Critic`: the mean of the ensemble."""
        return self._all(actions).mean(0)

    @torch.no_grad()
    def score(self, actions: torch.Tensor) -> torch.Tensor:
        """See :class:`Critic`: mean plus one deviation of the ensemble."""
        values = self._all(actions)
        return values.mean(0) + values.std(0, correction=0)

    def with_pending(self, actions: Sequence[Sequence[int]]
                     ) -> 'NetworkCritic':
        """See :class:`Critic`: nothing changes, they are only not repeated."""
        return self

    def _all(self, actions: torch.Tensor) -> torch.Tensor:
        inputs = self._code.one_hot(actions).float()
        return self._forward(inputs.expand(len(self._weights[0]), -1, -1))

    def _forward(self, inputs: torch.Tensor) -> torch.Tensor:
        for layer, (weight, bias) in enumerate(
                zip(self._weights, self._biases)):
            if layer:
                inputs = F.relu(inputs)
            inputs = torch.baddbmm(bias, inputs, weight)
        return inputs[..., 0]
