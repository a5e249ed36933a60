import numpy as np
import pytest
import torch

from mmvision_ext.ma2ml.decision import Condition, Decision
from mmvision_ext.ma2ml.policy import Agents, FactoredPolicy, LSTMPolicy
from mmvision_ext.ma2ml.space import SearchSpace


def space() -> SearchSpace:
    return SearchSpace(dict(
        nas=[Decision('depth', (1, 2)),
             Decision('k', (3, 5, 7), condition=Condition('depth', (2,)))],
        hpo=[Decision('lr', (.1, .2, .3, .4))]))


def agents(kind='factored', **changes) -> Agents:
    return Agents(space(), kind, **{
        **dict(lr=0.1, tau=0.25, rng=np.random.default_rng(0)), **changes})


@pytest.mark.parametrize('build', [
    FactoredPolicy, lambda sizes: LSTMPolicy(
        sizes, np.random.default_rng(0), hidden=5)])
def test_policies_start_uniform_and_never_draw_what_is_not_there(build):
    policy = build((2, 4, 3))
    draws = policy.sample(3000, np.random.default_rng(1))
    for place, size in enumerate((2, 4, 3)):
        shares = np.bincount(draws[:, place], minlength=4) / 3000
        assert np.abs(shares[:size] - 1 / size).max() < 0.04
        assert shares[size:].sum() == 0
    probabilities = policy(draws[:2]).exp().detach()
    assert torch.allclose(probabilities[:, 0, :2],
                          torch.full((2, 2), 0.5, dtype=torch.float64))
    assert probabilities[:, 0, 2:].max() == 0


def test_lstm_depends_on_the_decisions_before_and_on_no_later_one():
    policy = LSTMPolicy((3, 3, 3), np.random.default_rng(0), hidden=8)
    with torch.no_grad():
        policy.heads.normal_(generator=torch.Generator().manual_seed(0))
    first = policy(torch.tensor([[0, 0, 0], [0, 0, 2], [2, 0, 0]]))
    assert torch.equal(first[0], first[1])
    assert torch.equal(first[0, 0], first[2, 0])
    assert (first[0, 1] - first[2, 1]).abs().max() > 1e-3


def test_lstm_draws_what_it_scores():
    policy = LSTMPolicy((2, 2), np.random.default_rng(0), hidden=4)
    with torch.no_grad():
        policy.heads.normal_(generator=torch.Generator().manual_seed(1))
    draws = policy.sample(4000, np.random.default_rng(2))
    every = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
    scores = policy(every).gather(2, every[..., None])[..., 0].sum(1).exp()
    shares = torch.bincount(draws[:, 0] * 2 + draws[:, 1]) / 4000
    assert float(scores.sum()) == pytest.approx(1)
    assert (shares - scores).abs().max() < 0.03


def test_log_ratios_against_arithmetic():
    group = agents()
    with torch.no_grad():
        group.policies['nas'].logits[0, :2] = torch.tensor(
            [0., 1.], dtype=torch.float64)
    actions = torch.tensor([[0, 0, 3], [1, 2, 3]])
    chosen, ratio, divergence = group.log_ratios(actions)
    p = np.array([1, np.e]) / (1 + np.e)
    # depth 1 has no k; depth 2 has one of three
    expected = [[np.log(p[0]), np.log(1 / 4)],
                [np.log(p[1] / 3), np.log(1 / 4)]]
    np.testing.assert_allclose(chosen.detach().numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(
        ratio.numpy(), [[np.log(2 * p[0]), 0], [np.log(2 * p[1]), 0]],
        atol=1e-12)
    kl = (p * np.log(2 * p)).sum()
    np.testing.assert_allclose(divergence.numpy(), [[kl, 0], [kl, 0]],
                               atol=1e-12)


def test_targets_follow_by_tau():
    group = agents()
    actions = torch.tensor([[1, 2, 3]])
    group.step(-group.log_ratios(actions)[0].sum())
    fast = group.policies['hpo'].logits.detach()
    slow = group.targets['hpo'].logits.detach()
    assert float(fast[0, 3]) == pytest.approx(0.1, rel=1e-4)
    assert torch.allclose(slow, 0.25 * fast)


def test_all_agents_step_at_once_and_absent_decisions_do_not():
    group = agents()
    group.step(-group.log_ratios(torch.tensor([[0, 2, 3]]))[0].sum())
    nas = group.policies['nas'].logits.detach()
    assert float(nas[0, 0]) > 0 and float(
        group.policies['hpo'].logits[0, 3]) > 0
    assert nas[1].abs().max() == 0


@pytest.mark.parametrize('kind, message', [
    ('gru', "policy 'gru' of agent 'nas'"),
    (dict(nas='lstm'), r"policy names the agents \['nas'\]"),
])
def test_unknown_kinds_are_named(kind, message):
    with pytest.raises(ValueError, match=message):
        agents(kind)


def test_a_kind_for_each_agent():
    group = agents(dict(nas='lstm', hpo='factored'))
    assert isinstance(group.policies['nas'], LSTMPolicy)
    assert group.sample(5, np.random.default_rng(0)).shape == (5, 3)
