"""Who deserves the reward: counterfactual credit, and what agents ascend.

From the foundations that MA2ML names: the baseline of an agent is what the
critic expects if that agent alone acts anew (COMA), and the objective is
regularised by the divergence from a slowly following target policy (DMAC).
Which of this MA2ML does word for word is not known.

What improves monotonically and what does not: with the target at the present
policy, a joint policy, or agents that update one after another, never lose
expected value by maximising E[Q] - omega * KL(policy || target) exactly.
Agents that update at the same time, as here and in the paper, may lose: each
answers the others' old policies. They do not where omega is large beside the
interaction of the agents in Q. The tests show both.
"""
from collections.abc import Callable

import numpy as np
import torch

from .policy import Agents

Value = Callable[[torch.Tensor], torch.Tensor]


def counterfactual_values(
        value: Value, agents: Agents, actions: torch.Tensor, samples: int,
        rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Values of joint actions, and of them with one agent acting anew.

    Args:
        value (Callable): The critic: canonical joint actions of shape (B, D)
            to values of shape (B,).
        agents (Agents): Policies to draw alternatives from.
        actions (torch.Tensor): Shape (M, D), full joint actions.
        samples (int): Alternatives an agent and action, K.
        rng (np.random.Generator): Source of randomness.

    Returns:
        tuple[torch.Tensor, torch.Tensor]: Q, shape (M,), and the values of
        the alternatives, shape (M, A, K), A the number of agents.
    """
    count = len(actions)
    batch = [actions]
    for name in agents.names:
        changed = actions.repeat_interleave(samples, 0)
        changed[:, agents.space.slices[name]] = agents.sample_agent(
            name, count * samples, rng)
        batch.append(changed)
    values = value(agents.canonical(torch.cat(batch)))
    others = values[count:].view(len(agents.names), count, samples)
    return values[:count], others.transpose(0, 1)


def counterfactual_credit(
        value: Value, agents: Agents, actions: torch.Tensor, samples: int,
        rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """What each agent's action adds to the value of a joint action.

    ``A_i(a) = Q(a) - E[Q(a_i', a_-i)]``, the expectation over the agent's
    own policy, others frozen, by drawing. As the baseline does not depend on
    the agent's action, it changes the variance of the policy gradient and
    not what the gradient points at.

    Args:
        value (Callable): See :func:`counterfactual_values`.
        agents (Agents): Policies to draw alternatives from.
        actions (torch.Tensor): Shape (M, D), full joint actions.
        samples (int): Alternatives an agent and action, K.
        rng (np.random.Generator): Source of randomness.

    Returns:
        tuple[torch.Tensor, torch.Tensor]: Q, shape (M,), and the credit,
        shape (M, A).
    """
    q, others = counterfactual_values(value, agents, actions, samples, rng)
    return q, q[:, None] - others.mean(2)


def regularised_advantage(credit: torch.Tensor, ratio: torch.Tensor,
                          divergence: torch.Tensor,
                          omega: float) -> torch.Tensor:
    """What multiplies the gradient of the agents' log-probabilities.

    ``A_i - omega * (log(pi_i / rho_i) - KL(pi_i || rho_i))``: the divergence
    is the baseline of the log-ratio, as in DMAC.

    Args:
        credit (torch.Tensor): Shape (M, A).
        ratio (torch.Tensor): log(policy / target), shape (M, A).
        divergence (torch.Tensor): KL(policy || target), shape (M, A).
        omega (float): Strength of the regularisation.

    Returns:
        torch.Tensor: Shape (M, A).
    """
    return credit - omega * (ratio - divergence)
