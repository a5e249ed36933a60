import numpy as np
import pytest
import torch

from mmvision_ext.ma2ml import kernel_critic
from mmvision_ext.ma2ml.critic import ActionCode, NetworkCritic
from mmvision_ext.ma2ml.decision import Condition, Decision
from mmvision_ext.ma2ml.kernel_critic import KernelCritic
from mmvision_ext.ma2ml.replay import FLOOR, Replay
from mmvision_ext.ma2ml.space import SearchSpace


def space() -> SearchSpace:
    return SearchSpace(dict(
        a=[Decision('x', (0, 1, 2, 3, 4), ordinal=True),
           Decision('y', ('p', 'q', 'r'))],
        b=[Decision('z', (0, 1)),
           Decision('w', (0, 1), condition=Condition('z', (1,)))]))


def truth(action) -> float:
    x, y, z, _ = action
    return -(x - 3)**2 / 4 + (0., 1., -1.)[y] + z


def replay(count=40, noise=0.) -> Replay:
    rng = np.random.default_rng(0)
    log = Replay()
    rows = space().canonical(rng.integers(0, (5, 3, 2, 2), (count, 4)))
    for row in rows.tolist():
        log.append(row, truth(row) + noise * rng.normal())
    return log


def every() -> torch.Tensor:
    grid = torch.cartesian_prod(*map(torch.arange, (5, 3, 2, 2)))
    return torch.from_numpy(space().canonical(grid.numpy()))


def kernel(log, updates=10) -> KernelCritic:
    critic = KernelCritic(space(), 8)
    for _ in range(updates):
        critic.update(log, np.random.default_rng(0))
    return critic


def network(log, members, updates=60) -> NetworkCritic:
    critic = NetworkCritic(space(), np.random.default_rng(0), members, 32,
                           5e-3, 8, 32, None)
    rng = np.random.default_rng(1)
    for _ in range(updates):
        critic.update(log, rng)
    return critic


def test_positions_of_choices_and_of_what_is_absent():
    code = ActionCode(space())
    actions = torch.tensor([[0, 0, 0, -1], [4, 2, 1, 1]])
    assert code.width == 6 + 4 + 3 + 3
    assert code.positions(actions).tolist() == [
        [0, 6, 10, 15], [4, 8, 11, 14]]
    hot = code.one_hot(actions)
    assert hot.sum(1).tolist() == [4, 4]
    assert hot[0, [0, 6, 10, 15]].tolist() == [1, 1, 1, 1]


def test_failures_teach_the_worst_finite_reward():
    log = Replay()
    for place, reward in enumerate((1., None, 3., float('nan'), -np.inf)):
        log.append((place,), reward)
    assert log.rewards == [1., None, 3., None, None]
    assert log.filled().tolist() == [1, 1, 3, 1, 1]
    assert len(log.seen) == 5
    only = Replay()
    only.append((0,), None)
    assert only.standardised().tolist() == [0]


def test_standardised_rewards_keep_hopeless_ones_at_the_floor():
    log = Replay()
    for place, reward in enumerate([0.] * 5 + [1.] * 5 + [-1000.]):
        log.append((place,), reward)
    rewards = log.standardised()
    assert float(rewards[-1]) == FLOOR
    assert rewards[:-1].min() > FLOOR


@pytest.mark.parametrize('build', [
    kernel, lambda log: network(log, 1), lambda log: network(log, 5)])
def test_critics_learn_the_table(build):
    log = replay()
    critic = build(log)
    values = critic.value(every()).double().numpy()
    exact = np.array([truth(row) for row in every().tolist()])
    assert np.corrcoef(values, exact)[0, 1] > 0.93
    assert abs(np.argmax(exact) - np.argmax(values)) <= 1


def test_kernel_gradient_is_that_of_the_evidence():
    member = kernel(replay(noise=0.3), updates=1).members[1]

    def objective(log_parameters):
        member._log = log_parameters
        return member.condition()

    start = member._log.clone()
    gradient = member._gradient()
    for place in range(len(start)):
        step = torch.zeros_like(start)
        step[place] = 1e-5
        slope = (objective(start + step) - objective(start - step)) / 2e-5
        assert slope == pytest.approx(
            float(gradient[place]), rel=1e-4, abs=1e-6)


def test_kernel_posterior_against_the_textbook():
    critic = kernel(replay(12), updates=2)
    actions, train = every()[::7], critic._actions
    rewards = critic._rewards.numpy()
    means, variances, evidence = [], [], []
    for member in critic.members:
        weights = member._log.exp().tolist()
        signal, noise = weights[-2], weights[-1] + 1e-6

        def covariance(a, b, weights=weights, member=member):
            return weights[-2] * np.array([[np.exp(-sum(
                w * float(d[i, j]) for w, d, i, j in zip(
                    weights, member._distances, p, q)))
                for q in b.tolist()] for p in a.tolist()])

        inner = covariance(train, train) + noise * np.eye(12)
        inverse = np.linalg.inv(inner)
        cross = covariance(actions, train)
        means.append(cross @ inverse @ rewards)
        variances.append(
            signal - np.einsum('ij,jk,ik->i', cross, inverse, cross))
        apart = ((member._log - member._prior) / member._spread).numpy()
        evidence.append(-(rewards @ inverse @ rewards + apart @ apart
                          + np.linalg.slogdet(inner)[1]) / 2)
    shares = np.exp(evidence - np.max(evidence))
    shares /= shares.sum()
    shares[shares < 0.02] = 0
    shares /= shares.sum()
    mean = shares @ means
    spread = np.sqrt(shares @ (variances + (means - mean)**2))
    np.testing.assert_allclose(critic.value(actions), mean, atol=2e-5)
    from scipy.stats import norm
    z = (mean - rewards.max()) / spread
    expected = np.log(spread * (norm.pdf(z) + z * norm.cdf(z)))
    near = z > -4
    assert near.sum() > 3
    np.testing.assert_allclose(critic.score(actions)[near], expected[near],
                               atol=2e-3)


def test_improvement_of_hopeless_candidates_keeps_its_order():
    z = torch.linspace(-40, 3, 400, dtype=torch.float64)
    scores = kernel_critic._log_improvement(z)
    assert (scores.diff() > 0).all()
    assert torch.isfinite(scores).all()


def test_pending_candidates_are_worth_less_to_try_again():
    critic = kernel(replay(15))
    best = every()[critic.score(every()).argmax()]
    pending = critic.with_pending([best.tolist()])
    assert pending.score(best[None]) < critic.score(best[None]) - 0.3
    assert pending.value(best[None]) == pytest.approx(
        float(critic.value(best[None])), abs=1e-4)
    assert critic.with_pending([]) is critic


def test_process_looks_at_a_bounded_number_of_trials(monkeypatch):
    monkeypatch.setattr(kernel_critic, 'CAPACITY', 20)
    log = replay(50)
    critic = kernel(log, updates=1)
    assert len(critic._actions) == 20
    rewards = log.standardised()
    kept = kernel_critic._subset(rewards)
    best = rewards.argsort(descending=True, stable=True)[:10]
    assert set(best.tolist()) <= set(kept.tolist())
    assert kept.tolist() == sorted(set(kept.tolist()))


def test_networks_without_replay_see_the_newest_only():
    log = replay(10)
    for _ in range(4):
        log.append((0, 0, 0, -1), 50.)
    lowest = []
    for recent in (4, None):
        rng = np.random.default_rng(0)
        critic = NetworkCritic(space(), rng, 1, 32, 5e-3, 300, 32, recent)
        critic.update(log, rng)
        lowest.append(float(critic.value(torch.tensor(
            log.actions[:10])).min()))
    assert lowest[0] > 0.3 and lowest[1] < -0.5
