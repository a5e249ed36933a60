"""What improves monotonically, in games that are computed exactly."""
import numpy as np
import pytest
import torch

from mmvision_ext.ma2ml.credit import (
    counterfactual_credit,
    regularised_advantage,
)
from mmvision_ext.ma2ml.decision import Decision
from mmvision_ext.ma2ml.policy import Agents
from mmvision_ext.ma2ml.space import SearchSpace


def boltzmann(policy, values, omega):
    """Maximiser of E[values] - omega * KL(. || policy)."""
    scores = policy * np.exp((values - values.max()) / omega)
    return scores / scores.sum()


def update(game, p, q, omega, sequential):
    new_p = boltzmann(p, game @ q, omega)
    other = new_p if sequential else p
    return new_p, boltzmann(q, other @ game, omega)


def share_of_losses(omega, sequential, starts=2000):
    """How often the expected value falls, in anti-coordination."""
    game = np.array([[0., 1.], [1., 0.]])
    rng = np.random.default_rng(0)
    losses, worst = 0, 0.
    for _ in range(starts):
        p, q = rng.dirichlet((1, 1)), rng.dirichlet((1, 1))
        before = p @ game @ q
        p, q = update(game, p, q, omega, sequential)
        change = p @ game @ q - before
        losses += change < -1e-9
        worst = min(worst, change)
    return losses / starts, worst


@pytest.mark.parametrize('omega', [0.02, 0.1, 0.5])
def test_one_agent_at_a_time_never_loses(omega):
    assert share_of_losses(omega, sequential=True)[0] == 0


@pytest.mark.parametrize('omega, share', [(0.02, 0.47), (0.1, 0.32)])
def test_agents_at_once_may_lose(omega, share):
    found, worst = share_of_losses(omega, sequential=False)
    assert found == pytest.approx(share, abs=0.04)
    assert worst < -0.1


def test_agents_at_once_do_not_lose_where_omega_is_large():
    assert share_of_losses(0.5, sequential=False)[0] == 0


def test_sequential_updates_never_lose_in_random_games_of_three():
    rng = np.random.default_rng(1)
    for _ in range(200):
        game = rng.normal(size=(3, 4, 2))
        policies = [rng.dirichlet(np.ones(n)) for n in game.shape]
        value = np.einsum('abc,a,b,c', game, *policies)
        for agent in range(3):
            others = [p for i, p in enumerate(policies) if i != agent]
            axes = ['bc,b,c->', 'ac,a,c->', 'ab,a,b->'][agent]
            marginal = np.array([
                np.einsum(axes, np.take(game, k, agent), *others)
                for k in range(game.shape[agent])])
            policies[agent] = boltzmann(policies[agent], marginal, 0.05)
            now = np.einsum('abc,a,b,c', game, *policies)
            assert now >= value - 1e-12
            value = now


def small_agents():
    space = SearchSpace(dict(a=[Decision('x', (0, 1))],
                             b=[Decision('y', (0, 1))]))
    group = Agents(space, 'factored', 0.1, 0., np.random.default_rng(0))
    with torch.no_grad():
        group.policies['a'].logits += torch.tensor([0., 1.])
        group.policies['b'].logits += torch.tensor([.5, 0.])
    return group


def test_credit_is_value_minus_expectation_over_the_own_action():
    group = small_agents()
    game = torch.tensor([[1., 4.], [2., -3.]], dtype=torch.float64)

    def value(actions):
        return game[actions[:, 0], actions[:, 1]]

    actions = torch.tensor([[0, 0], [1, 1]])
    q, credit = counterfactual_credit(
        value, group, actions, 40_000, np.random.default_rng(0))
    p = group.policies['a'].logits.softmax(1)[0].detach()
    r = group.policies['b'].logits.softmax(1)[0].detach()
    expected = torch.stack([
        torch.stack([game[x, y] - p @ game[:, y], game[x, y] - r @ game[x]])
        for x, y in actions.tolist()])
    assert q.tolist() == [1, -3]
    assert (credit - expected).abs().max() < 0.06


def test_advantage_points_at_the_boltzmann_policy():
    # The regularised gradient of an agent vanishes exactly where its policy
    # is the maximiser of the exact objective.
    omega, target = 0.4, np.array([.7, .3])
    values = np.array([1., 2.])
    best = boltzmann(target, values, omega)

    def gradient(policy):
        credit = torch.tensor(values - policy @ values)[:, None]
        ratio = torch.tensor(np.log(policy / target))[:, None]
        kl = float(policy @ np.log(policy / target))
        advantage = regularised_advantage(
            credit, ratio, torch.full_like(credit, kl), omega)
        return policy * advantage[:, 0].numpy()

    assert np.abs(gradient(best)).max() < 1e-12
    assert gradient(target)[1] > 0.1
