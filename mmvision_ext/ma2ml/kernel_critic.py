"""The critic of our own form: a Gaussian process over the joint action.

A few hundred trials are what a search can pay for, and on so little data a
process with a kernel over the decisions predicts far better than a network;
it also knows what it does not know. It stays what the method asks for: one
critic, shared by all agents, that sees the whole joint action. Nothing of it
is the paper's.
"""
import copy
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from .critic import ActionCode
from .replay import Replay
from .space import SearchSpace

#: Ordinal choices at distance u (0 to 1) count as u ** POWER apart: between
#: a rough process (1) and a smooth one (2).
POWER = 1.5

#: Most trials the process looks at, so that no proposal costs more than a
#: fixed time.
CAPACITY = 400

_JITTER = 1e-6


class KernelCritic:
    """Gaussian process with a product kernel over all decisions.

    ``k(a, b) = s * exp(-sum_d w_d * distance_d(a_d, b_d))``: the distance is
    0 or 1 for a categorical decision and ``|i - j| ** 1.5`` of the evenly
    spaced choices for an ordinal one; a decision that exists in only one of
    both is 1 apart. Weights w_d near 0 make a decision irrelevant. The
    weights, the signal s and the noise ascend the evidence times a weak
    log-normal prior by a few steps a trial.

    Beyond :data:`CAPACITY` trials it keeps the better half of that number
    and, evenly spread over the log, as many others.

    Args:
        space (SearchSpace): The space.
        steps (int): Steps of the hyper-parameters a trial.
    """

    def __init__(self, space: SearchSpace, steps: int) -> None:
        self._code = ActionCode(space)
        self._steps = steps
        self._distances = [
            _distances(one.ordinal, len(one.choices))
            for one in space.decisions
        ]
        count = len(space)
        # a random pair of candidates is about 1 apart in all
        self._prior = torch.full((count + 2, ), -math.log(count),
                                 dtype=torch.float64)
        self._prior[count:] = torch.tensor([0., math.log(0.03)])
        self._spread = torch.full_like(self._prior, 1.2)
        self._spread[count] = 0.7
        self._log = self._prior.clone()
        self._optimizer = torch.optim.Adam(
            [self._log], lr=0.1, betas=(0.8, 0.95), maximize=True)

    def update(self, replay: Replay, rng: np.random.Generator) -> None:
        """See :class:`Critic`."""
        rewards = replay.standardised()
        kept = _subset(rewards)
        actions = torch.tensor(replay.actions)[kept]
        self._fit_to(actions, rewards[kept])
        for _ in range(self._steps):
            self._log.grad = self._gradient()
            self._optimizer.step()
        self._condition()

    def value(self, actions: torch.Tensor) -> torch.Tensor:
        """See :class:`Critic`: the posterior mean."""
        return (self._cross(actions) @ self._alpha).double()

    def score(self, actions: torch.Tensor) -> torch.Tensor:
        """See :class:`Critic`: logarithm of the expected improvement.

        The improvement is over the best posterior mean of what was tried.
        """
        cross = self._cross(actions)
        mean = (cross @ self._alpha).double()
        variance = self._signal - (cross @ self._whiten).square().sum(1)
        sd = variance.double().clamp(min=1e-9).sqrt()
        return _log_improvement((mean - self._best) / sd) + sd.log()

    def with_pending(self, actions: Sequence[Sequence[int]]
                     ) -> 'KernelCritic':
        """See :class:`Critic`: they are believed to end as expected."""
        if not actions:
            return self
        pending = torch.tensor(actions)
        other = copy.copy(self)
        other._fit_to(torch.cat([self._actions, pending]),
                      torch.cat([self._rewards, self.value(pending)]))
        other._condition()
        return other

    def _fit_to(self, actions: torch.Tensor, rewards: torch.Tensor) -> None:
        self._actions, self._rewards = actions, rewards
        self._inputs = self._code.one_hot(actions)

    def _similarities(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Logarithms of the kernel, (P, N), and the kernel without s."""
        logs = torch.zeros(self._code.width, self._code.width,
                           dtype=torch.float64)
        for block, distance, weight in zip(
                self._code.blocks, self._distances, self._log.exp()):
            logs[block, block] = -weight * distance
        logs = logs @ self._inputs.T
        return logs, (self._inputs @ logs).exp()

    def _factor(self, kernel: torch.Tensor) -> torch.Tensor:
        covariance = kernel * self._log[-2].exp()
        covariance.diagonal().add_(self._log[-1].exp() + _JITTER)
        return torch.linalg.cholesky(covariance)

    def _gradient(self) -> torch.Tensor:
        """Of log evidence plus log prior, at the present parameters."""
        kernel = self._similarities()[1]
        factor = self._factor(kernel)
        alpha = torch.cholesky_solve(self._rewards[:, None], factor)
        outer = (alpha @ alpha.T - torch.cholesky_inverse(factor)) / 2
        pull = outer * kernel * self._log[-2].exp()
        table = self._inputs.T @ pull @ self._inputs
        gradient = (self._prior - self._log) / self._spread.square()
        weights = self._log.exp()
        for place, (block, distance) in enumerate(
                zip(self._code.blocks, self._distances)):
            gradient[place] -= weights[place] * (
                table[block, block] * distance).sum()
        gradient[-2] += pull.sum()
        gradient[-1] += weights[-1] * outer.diagonal().sum()
        return gradient

    def _condition(self) -> None:
        logs, kernel = self._similarities()
        factor = self._factor(kernel)
        self._signal = float(self._log[-2].exp())
        alpha = torch.cholesky_solve(self._rewards[:, None], factor)
        self._best = float((kernel @ alpha).max()) * self._signal
        # single precision is enough to compare candidates, and fast
        self._logs = logs.float()
        self._alpha = alpha[:, 0].float()
        self._whiten = torch.linalg.solve_triangular(
            factor, torch.eye(len(factor), dtype=torch.float64),
            upper=False).T.float()

    def _cross(self, actions: torch.Tensor) -> torch.Tensor:
        return self._signal * F.embedding_bag(
            self._code.positions(actions), self._logs, mode='sum').exp_()


def _distances(ordinal: bool, count: int) -> torch.Tensor:
    """Distances of the choices of a decision, the last one "absent"."""
    result = 1 - torch.eye(count + 1, dtype=torch.float64)
    if ordinal and count > 1:
        place = torch.arange(count, dtype=torch.float64) / (count - 1)
        result[:count, :count] = (place[:, None] - place).abs() ** POWER
    return result


def _subset(rewards: torch.Tensor) -> torch.Tensor:
    """The trials the process looks at, in the order of the log."""
    count = len(rewards)
    if count <= CAPACITY:
        return torch.arange(count)
    order = rewards.argsort(descending=True, stable=True)
    best = order[:CAPACITY // 2]
    rest = order[CAPACITY // 2:].sort().values
    spread = torch.linspace(0, len(rest) - 1, CAPACITY - len(best)).long()
    return torch.cat([best, rest[spread]]).sort().values


def _log_improvement(z: torch.Tensor) -> torch.Tensor:
    """log(pdf(z) + z * cdf(z)), without loss of digits for low z."""
    log_pdf = -0.5 * z.square() - 0.5 * math.log(2 * math.pi)
    plain = log_pdf.exp() + z * torch.special.ndtr(z)
    # the asymptote, where the sum above cancels
    tail = log_pdf - 2 * z.clamp(max=-1).neg().log()
    return torch.where(z > -5, plain.clamp(min=1e-300).log(), tail)
