"""Policies of the agents and their slowly following targets.

Every agent has a policy of its own over its decisions, and all act at once:
the joint policy is the product of them, which is what the theory of
divergence-regularised actor-critics (DMAC, ICML 2022) assumes; whether an
agent of MA2ML sees another one's action is not known. The recurrent form has
the size of the controller of AutoAugment and NASNet (one LSTM layer of 100,
as recalled); the factored form is ours.
"""
import copy
from collections.abc import Callable, Mapping
from typing import Union

import numpy as np
import torch
from torch import nn

from .space import SearchSpace

_NEVER = -1e9


def _gumbel_choice(log_probs: torch.Tensor,
                   rng: np.random.Generator) -> torch.Tensor:
    noise = torch.from_numpy(rng.gumbel(size=tuple(log_probs.shape)))
    return (log_probs + noise).argmax(-1)


class FactoredPolicy(nn.Module):
    """Every decision has probabilities of its own.

    They start equal.

    Args:
        cardinalities (Sequence[int]): Number of choices of each decision.
    """

    def __init__(self, cardinalities: tuple[int, ...]) -> None:
        super().__init__()
        sizes = torch.tensor(cardinalities)
        width = int(sizes.max())
        self.logits = nn.Parameter(torch.zeros(
            len(cardinalities), width, dtype=torch.float64))
        self.register_buffer(
            'absent', torch.arange(width) >= sizes[:, None])

    def forward(self, actions: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of all choices, given the decisions before.

        Args:
            actions (torch.Tensor): Shape (N, d), indices.

        Returns:
            torch.Tensor: Shape (N, d, C), float64, C the largest number of
            choices; a very low number where a decision has fewer.
        """
        table = self.logits.masked_fill(self.absent, _NEVER).log_softmax(-1)
        return table.expand(len(actions), -1, -1)

    @torch.no_grad()
    def sample(self, count: int, rng: np.random.Generator) -> torch.Tensor:
        """Draw actions of the agent.

        Args:
            count (int): How many, N.
            rng (np.random.Generator): Source of randomness.

        Returns:
            torch.Tensor: Shape (N, d), indices.
        """
        shape = self.logits.shape
        empty = torch.empty(count, shape[0], dtype=torch.long)
        return _gumbel_choice(self(empty), rng)


class LSTMPolicy(nn.Module):
    """A controller that takes the decisions one after another.

    The first probabilities are equal, as the output weights start at zero.

    Args:
        cardinalities (Sequence[int]): Number of choices of each decision.
        rng (np.random.Generator): Source of the first weights.
        hidden (int): Size of the state. Defaults to 100.
    """

    def __init__(self, cardinalities: tuple[int, ...],
                 rng: np.random.Generator, hidden: int = 100) -> None:
        super().__init__()
        sizes = torch.tensor(cardinalities)
        width = int(sizes.max())
        count = len(cardinalities)
        self.embedding = nn.Embedding(1 + count * width, hidden)
        self.cell = nn.LSTMCell(hidden, hidden)
        self.heads = nn.Parameter(torch.zeros(count, hidden, width))
        for name, weight in self.named_parameters():
            if name != 'heads':
                values = rng.uniform(-0.1, 0.1, tuple(weight.shape))
                weight.data = torch.from_numpy(values).float()
        self.register_buffer(
            'absent', torch.arange(width) >= sizes[:, None])

    def forward(self, actions: torch.Tensor) -> torch.Tensor:
        """As :meth:`FactoredPolicy.forward`."""
        return self._walk(len(actions), lambda step, _: actions[:, step])[1]

    @torch.no_grad()
    def sample(self, count: int, rng: np.random.Generator) -> torch.Tensor:
        """As :meth:`FactoredPolicy.sample`."""
        return self._walk(count, lambda _, p: _gumbel_choice(p, rng))[0]

    def _walk(
        self, count: int,
        choose: Callable[[int, torch.Tensor], torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        steps, hidden, width = self.heads.shape
        state = (self.heads.new_zeros(count, hidden), ) * 2
        token = torch.zeros(count, dtype=torch.long)
        chosen, log_probs = [], []
        for step in range(steps):
            state = self.cell(self.embedding(token), state)
            scores = (state[0] @ self.heads[step]).double()
            log_probs.append(scores.masked_fill(
                self.absent[step], _NEVER).log_softmax(-1))
            chosen.append(choose(step, log_probs[-1]))
            # a decision that does not exist is fed like its first choice
            token = 1 + step * width + chosen[-1].clamp(min=0)
        return torch.stack(chosen, 1), torch.stack(log_probs, 1)


class Agents:
    """All agents: policies, target policies and their optimiser.

    The target policy of an agent is an exponential moving average of its
    parameters, as in DMAC.

    Args:
        space (SearchSpace): The space.
        kind (str | Mapping[str, str]): ``'factored'`` or ``'lstm'``, for all
            agents or a name for each.
        lr (float): Learning rate of Adam.
        tau (float): How fast the targets follow, from 0 to 1.
        rng (np.random.Generator): Source of first weights.

    Raises:
        ValueError: If there is no such kind or agent.
    """

    def __init__(self, space: SearchSpace, kind: Union[str, Mapping],
                 lr: float, tau: float, rng: np.random.Generator) -> None:
        self.space = space
        self.tau = tau
        self.names = tuple(space.agents)
        if isinstance(kind, str):
            kind = dict.fromkeys(self.names, kind)
        if set(kind) != set(self.names):
            raise ValueError(f'policy names the agents {sorted(kind)}; '
                             f'expected one for each of {list(self.names)}')
        self.policies: dict[str, nn.Module] = {}
        for name in self.names:
            sizes = space.cardinalities[space.slices[name]]
            if kind[name] == 'factored':
                self.policies[name] = FactoredPolicy(sizes)
            elif kind[name] == 'lstm':
                self.policies[name] = LSTMPolicy(sizes, rng)
            else:
                raise ValueError(f'policy {kind[name]!r} of agent {name!r}: '
                                 "expected 'factored' or 'lstm'")
        self.targets = copy.deepcopy(self.policies)
        self.parameters = _parameters(self.policies)
        self.slow_parameters = _parameters(self.targets)
        self.optimizer = torch.optim.Adam(self.parameters, lr=lr)

    def sample(self, count: int, rng: np.random.Generator) -> torch.Tensor:
        """Draw joint actions.

        Args:
            count (int): How many, N.
            rng (np.random.Generator): Source of randomness.

        Returns:
            torch.Tensor: Shape (N, D), a full choice of every decision,
            whether it exists or not.
        """
        return torch.cat([self.policies[name].sample(count, rng)
                          for name in self.names], 1)

    def canonical(self, actions: torch.Tensor) -> torch.Tensor:
        """Put -1 where a decision does not exist, see the space."""
        if not any(self.space.parents):
            return actions
        return torch.from_numpy(self.space.canonical(actions.numpy()))

    def sample_agent(self, name: str, count: int,
                     rng: np.random.Generator) -> torch.Tensor:
        """Draw actions of one agent.

        Args:
            name (str): The agent.
            count (int): How many, N.
            rng (np.random.Generator): Source of randomness.

        Returns:
            torch.Tensor: Shape (N, d).
        """
        return self.policies[name].sample(count, rng)

    def log_ratios(
        self, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """How the agents' policies stand to their targets.

        Args:
            actions (torch.Tensor): Shape (N, D), full joint actions.

        Returns:
            tuple: Of shape (N, A) each, one column an agent: the
            log-probability of the agent's part, with gradient; log(policy /
            target) of it; and the divergence KL(policy || target), taken
            along the action's decisions (exact for factored policies without
            conditions).
        """
        exists = self.canonical(actions) >= 0
        columns: list[tuple[torch.Tensor, ...]] = []
        for name in self.names:
            part = self.space.slices[name]
            own, real = actions[:, part], exists[:, part]
            log_p = self.policies[name](own)
            with torch.no_grad():
                log_t = self.targets[name](own)
            fixed = log_p.detach()
            index = own.clamp(min=0)[..., None]
            chosen = (log_p.gather(2, index)[..., 0] * real).sum(1)
            target = (log_t.gather(2, index)[..., 0] * real).sum(1)
            apart = (fixed.exp() * (fixed - log_t)).sum(2)
            columns.append((chosen, chosen.detach() - target,
                            (apart * real).sum(1)))
        chosen, ratio, divergence = zip(*columns)
        return (torch.stack(chosen, 1), torch.stack(ratio, 1),
                torch.stack(divergence, 1))

    def step(self, loss: torch.Tensor) -> None:
        """Let all agents take one step at once, and the targets follow.

        Args:
            loss (torch.Tensor): Scalar to descend, the sum over agents.
        """
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(self.slow_parameters, self.parameters):
                slow.lerp_(fast, self.tau)


def _parameters(policies: Mapping[str, nn.Module]) -> list[nn.Parameter]:
    return [one for policy in policies.values()
            for one in policy.parameters()]
