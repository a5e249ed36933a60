"""The critic of our own form: Gaussian processes over the joint action.

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

#: Sums of weights that the members expect first.
ROUGHNESS = (1., 3., 9.)

#: Most trials the processes look at, so that no proposal costs more than a
#: fixed time; and how many are plenty to learn the hyper-parameters from.
CAPACITY, PLENTY = 256, 50

_JITTER = 1e-6


class KernelCritic:
    """An ensemble of Gaussian processes with kernels over all decisions.

    The members differ in how far apart they expect two random candidates to
    be at first, :data:`ROUGHNESS`, so that both a smooth and a rough reward
    are learnt from few trials. They count by their evidence.

    Beyond :data:`CAPACITY` trials they look at the better half of that
    number and, evenly spread over the log, at as many others.

    Args:
        space (SearchSpace): The space.
        steps (int): Steps of the hyper-parameters a trial; fewer where
            there are more than :data:`PLENTY` trials, as each of them adds
            less.
    """

    def __init__(self, space: SearchSpace, steps: int) -> None:
        self._steps = steps
        self.members = [_Process(space, one) for one in ROUGHNESS]

    def update(self, replay: Replay, rng: np.random.Generator) -> None:
        """See :class:`Critic`."""
        rewards = replay.standardised()
        kept = _subset(rewards)
        self._actions = replay.rows()[kept]
        self._rewards = rewards[kept]
        self._best = float(self._rewards.max())
        steps = max(1, self._steps * PLENTY // max(PLENTY, len(kept)))
        evidence = []
        for member in self.members:
            member.look_at(self._actions, self._rewards)
            for _ in range(steps):
                member.ascend()
            evidence.append(member.condition())
        shares = torch.tensor(evidence, dtype=torch.float64).softmax(0)
        # those that hardly count are not asked: time is better spent
        heard = shares > 0.02
        self._shares = shares[heard] / shares[heard].sum()
        self._heard = [member for member, one in zip(self.members, heard)
                       if one]

    def value(self, actions: torch.Tensor) -> torch.Tensor:
        """See :class:`Critic`: the posterior mean."""
        means = [member.mean(actions) for member in self._heard]
        return self._shares @ torch.stack(means)

    def score(self, actions: torch.Tensor) -> torch.Tensor:
        """See :class:`Critic`: logarithm of the expected improvement.

        The improvement is over the best reward; mean and variance are those
        of the mixture of the members.
        """
        means, variances = map(torch.stack, zip(
            *(member.moments(actions) for member in self._heard)))
        mean = self._shares @ means
        spread = (self._shares @ (variances + (means - mean).square())).sqrt()
        return _log_improvement((mean - self._best) / spread) + spread.log()

    def with_pending(self, actions: Sequence[Sequence[int]]
                     ) -> 'KernelCritic':
        """See :class:`Critic`: they are believed to end as expected."""
        if not actions:
            return self
        pending = torch.tensor(actions)
        seen = torch.cat([self._actions, pending])
        believed = torch.cat([self._rewards, self.value(pending)])
        other = copy.copy(self)
        other._heard = [copy.copy(member) for member in self._heard]
        for member in other._heard:
            member.look_at(seen, believed)
            member.condition()
        return other


class _Process:
    """One Gaussian process.

    ``k(a, b) = s * exp(-sum_d w_d * distance_d(a_d, b_d))``: the distance is
    0 or 1 for a categorical decision and ``|i - j| ** 1.5`` of the evenly
    spaced choices for an ordinal one; a decision that exists in only one of
    both is 1 apart. Weights w_d near 0 make a decision irrelevant. The
    weights, the signal s and the noise ascend the evidence times a weak
    log-normal prior.

    Args:
        space (SearchSpace): The space.
        roughness (float): Sum of the weights that is expected first.
    """

    def __init__(self, space: SearchSpace, roughness: float) -> None:
        self._code = ActionCode(space)
        self._distances = [
            _distances(one.ordinal, len(one.choices))
            for one in space.decisions
        ]
        sizes = torch.tensor([len(one) for one in self._distances])
        # the decision of each position
        self._owners = torch.arange(len(space)).repeat_interleave(sizes)
        self._blocks = torch.block_diag(*self._distances)
        count = len(space)
        self._prior = torch.full((count + 2, ), math.log(roughness / count),
                                 dtype=torch.float64)
        self._prior[count:] = torch.tensor([0., math.log(0.03)])
        self._spread = torch.full_like(self._prior, 1.2)
        self._spread[count] = 0.7
        self._log = self._prior.clone()
        self._optimizer = torch.optim.Adam(
            [self._log], lr=0.1, betas=(0.8, 0.95), maximize=True)

    def look_at(self, actions: torch.Tensor, rewards: torch.Tensor) -> None:
        """Take the trials (N, D) with rewards (N,) for what is known."""
        self._rewards = rewards
        self._inputs = self._code.one_hot(actions)
        # of every choice to that of the same decision in every trial
        self._apart = self._blocks @ self._inputs.T

    def ascend(self) -> None:
        """Take one step of the hyper-parameters."""
        self._log.grad = self._gradient()
        self._optimizer.step()

    def condition(self) -> float:
        """Get ready to predict.

        Returns:
            float: Log evidence plus log prior, up to a constant.
        """
        logs, kernel = self._similarities()
        factor = self._factor(kernel)
        self._signal = float(self._log[-2].exp())
        alpha = torch.cholesky_solve(self._rewards[:, None], factor)[:, 0]
        # single precision is enough to compare candidates, and fast
        self._logs = logs.float()
        self._alpha = alpha.float()
        self._whiten = torch.linalg.solve_triangular(
            factor, torch.eye(len(factor), dtype=torch.float64),
            upper=False).T.float()
        apart = (self._log - self._prior) / self._spread
        return float(-(self._rewards @ alpha + apart @ apart) / 2
                     - factor.diagonal().log().sum())

    def mean(self, actions: torch.Tensor) -> torch.Tensor:
        """Posterior mean, (N, D) to (N,), float64."""
        return (self._cross(actions) @ self._alpha).double()

    def moments(self, actions: torch.Tensor
                ) -> tuple[torch.Tensor, torch.Tensor]:
        """Posterior mean and variance, (N, D) to (N,), float64."""
        cross = self._cross(actions)
        variance = self._signal - (cross @ self._whiten).square().sum(1)
        return (cross @ self._alpha).double(), variance.double().clamp(
            min=1e-9)

    def _similarities(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Logarithms of the kernel, (P, N), and the kernel without s."""
        weights = self._log[:-2].exp()[self._owners]
        logs = -weights[:, None] * self._apart
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
        farther = ((self._inputs.T @ pull) * self._apart).sum(1)
        weights = self._log.exp()
        gradient = (self._prior - self._log) / self._spread.square()
        gradient[:-2].index_add_(
            0, self._owners, -weights[self._owners] * farther)
        gradient[-2] += pull.sum()
        gradient[-1] += weights[-1] * outer.diagonal().sum()
        return gradient

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
