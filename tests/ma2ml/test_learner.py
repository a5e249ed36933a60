import json
import os
import subprocess
import sys

import numpy as np
import pytest

from mmvision_ext.ma2ml.decision import Condition, Decision
from mmvision_ext.ma2ml.learner import MA2MLLearner
from mmvision_ext.ma2ml.presets import PRESETS, settings
from mmvision_ext.ma2ml.proposal import Gate, NoCandidateError, balanced
from mmvision_ext.ma2ml.space import SearchSpace


def space() -> SearchSpace:
    return SearchSpace(dict(
        nas=[Decision('depth', (1, 2, 3), ordinal=True),
             Decision('width', (8, 16, 24, 32), ordinal=True),
             Decision('k', (3, 5), condition=Condition('depth', (2, 3)))],
        hpo=[Decision('lr', (1, 2, 3, 4, 5), ordinal=True),
             Decision('opt', ('a', 'b', 'c')), Decision('flag', (0, 1))]))


def reward(action) -> float:
    depth, width, kernel, lr, opt, _ = action
    return (depth + 0.5 * (kernel == 1) - (lr - 3)**2 / 2
            - (width - 2)**2 / 4 + (opt == 1) * (depth == 2))


def play(learner, trials):
    actions = []
    for _ in range(trials):
        action = learner.propose().action
        actions.append(action)
        learner.observe(action, reward(action))
    return actions


@pytest.mark.parametrize('preset', PRESETS)
def test_presets_find_more_than_chance_and_repeat_nothing(preset):
    trials, best = 60, []
    for seed in range(2):
        learner = MA2MLLearner(space(), seed, settings(preset))
        actions = play(learner, trials)
        assert len(set(actions)) == trials
        best.append(max(map(reward, actions)))
    every = [reward(a) for a in [space().encode(space().sample(
        np.random.default_rng(i))) for i in range(400)]]
    assert np.mean(best) > np.quantile(every, 0.97)
    assert max(best) <= 3.5


def test_default_preset_finds_the_optimum():
    for seed in range(3):
        actions = play(MA2MLLearner(space(), seed), 45)
        assert max(map(reward, actions)) == 3.5


def test_lstm_policies_run():
    learner = MA2MLLearner(space(), 0, settings('plain', policy=dict(
        nas='lstm', hpo='factored'), warmup=5))
    assert len(set(play(learner, 12))) == 12


def test_proposing_changes_nothing_and_the_log_is_the_state():
    first = MA2MLLearner(space(), 3)
    log = play(first, 25)
    again = MA2MLLearner(space(), 3)
    for action in log:
        for _ in range(2):
            proposal = again.propose()
            assert proposal.action == action
        again.observe(action, reward(action))
    assert again.propose() == first.propose()


def test_seeds_differ():
    runs = {tuple(play(MA2MLLearner(space(), seed), 9))
            for seed in range(3)}
    assert len(runs) == 3


_SCRIPT = """
import json, sys
sys.path.insert(0, {tests!r})
from test_learner import *
print(json.dumps(play(MA2MLLearner(space(), 5, settings({preset!r},
                      warmup=8)), 20)))
"""


def test_same_sequence_in_another_process_with_another_hash_seed():
    for preset in ('ma2ml', 'plain'):
        here = play(MA2MLLearner(space(), 5, settings(preset, warmup=8)), 20)
        there = subprocess.run(
            [sys.executable, '-c', _SCRIPT.format(
                tests=os.path.dirname(__file__), preset=preset)],
            env={**os.environ, 'PYTHONHASHSEED': '77'},
            capture_output=True, text=True, check=True)
        assert [tuple(a) for a in json.loads(there.stdout)] == here


def test_pending_candidates_are_not_proposed_again():
    learner = MA2MLLearner(space(), 0)
    play(learner, 12)
    pending = []
    for _ in range(6):
        pending.append(learner.propose(pending).action)
    assert len(set(pending) | learner.replay.seen) == 18


def test_failures_are_avoided_and_not_repeated():
    learner = MA2MLLearner(space(), 1)
    failed = []
    for _ in range(40):
        action = learner.propose().action
        # everything with opt 'a' crashes
        crashed = action[4] == 0
        failed.append(crashed)
        learner.observe(action, None if crashed else reward(action))
    assert len(learner.replay.seen) == 40
    assert sum(failed[:6]) >= 1
    assert sum(failed[20:]) <= 4


@pytest.mark.parametrize('preset', ['ma2ml', 'plain'])
def test_only_feasible_candidates_and_each_is_asked_once(preset):
    asked = []

    def feasible(values):
        asked.append(tuple(values.items()))
        return values['nas.depth'] * values['nas.width'] <= 30

    learner = MA2MLLearner(space(), 0, settings(preset), feasible)
    actions = play(learner, 40)
    for action in actions:
        values = space().decode(action)
        assert values['nas.depth'] * values['nas.width'] <= 30
    assert len(set(actions)) == 40
    assert len(asked) == len(set(asked))
    assert {a[0] for a in actions} == {0, 1, 2}


def test_impossible_limit_is_said():
    learner = MA2MLLearner(space(), 0, feasible=lambda values: False)
    with pytest.raises(NoCandidateError, match='loosen the limit'):
        learner.propose()


def test_exhausted_space_repeats_itself():
    tiny = SearchSpace(dict(a=[Decision('x', (0, 1)),
                               Decision('y', (0, 1))]))
    learner = MA2MLLearner(tiny, 0)
    actions = []
    for _ in range(7):
        actions.append(learner.propose().action)
        learner.observe(actions[-1], float(sum(actions[-1])))
    assert len(set(actions)) == 4


def test_credit_names_the_agent_that_matters():
    # policies that stay uniform: credit is measured against chance
    learner = MA2MLLearner(space(), 0, settings(updates=0))
    rng = np.random.default_rng(0)
    for _ in range(40):
        action = space().encode(space().sample(rng))
        learner.observe(action, -abs(action[3] - 3) + 0.)
    proposal = learner.propose()
    assert set(proposal.credit) == {'nas', 'hpo'}
    assert proposal.credit['hpo'] > 0.3
    assert abs(proposal.credit['nas']) < 0.15


def test_policies_follow_the_critic():
    learner = MA2MLLearner(space(), 0, settings(updates=40))
    play(learner, 40)
    draws = learner.agents.sample(400, np.random.default_rng(0))
    assert (draws[:, 0] == 2).float().mean() > 0.45
    assert (draws[:, 3] == 3).float().mean() > 0.4


def test_warmup_takes_all_choices_equally_often():
    gate, taken = Gate(space(), None), []
    rng = np.random.default_rng(0)
    for _ in range(12):
        taken.append(balanced(space(), gate, taken, rng))
    counts = np.bincount([a[1] for a in taken], minlength=4)
    assert counts.min() >= 2 and counts.max() <= 4
    assert len(set(taken)) == 12


@pytest.mark.parametrize('arguments, message', [
    (dict(preset='x'), "no preset 'x'"),
    (dict(omega2=1), "no setting 'omega2'"),
    (dict(critic='gp'), "critic is 'gp'"),
    (dict(critic=None), 'ranked proposals need a critic'),
    (dict(tau=2), 'tau is 2'),
])
def test_bad_settings_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        settings(**arguments)
