import copy
import os
import pickle
import random
import subprocess
import sys

import numpy as np
import pytest

optuna = pytest.importorskip('optuna', reason='optuna is not installed')

from optuna.distributions import (  # noqa: E402
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState  # noqa: E402

from mmvision_ext.ma2ml.decision import Condition, Decision  # noqa: E402
from mmvision_ext.ma2ml.sampler import PROPOSAL, MA2MLSampler  # noqa: E402
from mmvision_ext.ma2ml.space import SearchSpace  # noqa: E402
from mmvision_ext.ma2ml.view import levels  # noqa: E402

optuna.logging.set_verbosity(optuna.logging.ERROR)
#: A short warm-up lets the agents propose early.
QUICK = dict(warmup=5, critic_steps=2, updates=1)


def space() -> SearchSpace:
    return SearchSpace(dict(
        nas=[Decision('depth', (1, 2, 3), ordinal=True),
             Decision('k', (3, 5), condition=Condition('depth', (2, 3)))],
        hpo=[Decision('lr', (.1, .2, .3, .4, .5), ordinal=True),
             Decision('opt', ('a', 'b', 'c'))]))


def score(values) -> float:
    return (values['nas.depth'] + (values.get('nas.k') == 5)
            - 10 * abs(values['hpo.lr'] - .4) + (values['hpo.opt'] == 'b'))


def objective(trial) -> float:
    return score(space().suggest(trial))


def new_study(sampler, **kwargs):
    return optuna.create_study(
        direction='maximize', sampler=sampler, **kwargs)


def params(study):
    return [trial.params for trial in study.trials]


def test_finds_the_best_and_writes_credit():
    study = new_study(MA2MLSampler(space(), seed=0, warmup=6))
    study.optimize(objective, n_trials=25)
    assert study.best_value == pytest.approx(5)
    assert len({tuple(p.items()) for p in params(study)}) == 25
    credit = study.trials[-1].user_attrs['ma2ml:credit']
    assert set(credit) == {'nas', 'hpo'}
    assert all(isinstance(value, float) for value in credit.values())
    assert 'ma2ml:credit' not in study.trials[0].user_attrs


def test_minimises():
    study = optuna.create_study(
        direction='minimize', sampler=MA2MLSampler(space(), seed=0, warmup=6))
    study.optimize(lambda trial: -objective(trial), n_trials=25)
    assert study.best_value == pytest.approx(-5)


def plain_objective(trial):
    x = trial.suggest_float('hpo.x', -2, 2)
    z = trial.suggest_int('hpo.z', 0, 100)
    rate = trial.suggest_float('rate', 1e-4, 1, log=True)
    kind = trial.suggest_categorical('nas.kind', ['a', None, 3.5, True])
    return -(x - .4)**2 - abs(z - 70) / 50 - abs(np.log10(rate) + 2) + (
        kind is None)


def test_plain_study_needs_no_space():
    study = new_study(MA2MLSampler(
        seed=0, agents=dict(hpo=['rate']), warmup=6))
    study.optimize(plain_objective, n_trials=40)
    assert study.best_value > 0.8
    assert study.best_params['nas.kind'] is None
    assert set(study.trials[-1].user_attrs['ma2ml:credit']) == {'hpo', 'nas'}
    rates = {p['rate'] for p in params(study)}
    assert len(rates) <= 11 and min(rates) == pytest.approx(1e-4)


def test_parameters_without_agents_share_one():
    study = new_study(MA2MLSampler(seed=0, **QUICK))
    study.optimize(plain_objective, n_trials=8)
    assert set(study.trials[-1].user_attrs['ma2ml:credit']) == {
        'hpo', 'nas', 'others'}


def test_a_parameter_that_comes_later_joins():
    study = new_study(MA2MLSampler(seed=0, **QUICK))

    def later(trial):
        value = trial.suggest_int('a.x', 0, 5)
        if trial.number >= 8:
            value += 2 * trial.suggest_int('b.y', 0, 5)
        return value

    study.optimize(later, n_trials=35)
    assert study.best_value == 15
    assert set(study.trials[-1].user_attrs['ma2ml:credit']) == {'a', 'b'}


@pytest.mark.parametrize('distribution, expected', [
    (CategoricalDistribution(('a', 'b')), ['a', 'b']),
    (IntDistribution(3, 6), [3, 4, 5, 6]),
    (IntDistribution(0, 100), [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]),
    (IntDistribution(1, 1024, log=True), [1, 2, 4, 8, 16, 32, 64, 128, 256,
                                          512, 1024]),
    (IntDistribution(0, 9, step=3), [0, 3, 6, 9]),
    (FloatDistribution(0, 1), [0, .1, .2, .3, .4, .5, .6, .7, .8, .9, 1]),
    (FloatDistribution(0, 1, step=.25), [0, .25, .5, .75, 1]),
    (FloatDistribution(2, 2), [2]),
])
def test_levels(distribution, expected):
    assert levels(distribution) == pytest.approx(expected) \
        if not isinstance(expected[0], str) else (
            levels(distribution) == expected)
    for value in levels(distribution):
        assert distribution._contains(distribution.to_internal_repr(value))


def test_resume_is_replay():
    whole = new_study(MA2MLSampler(space(), seed=2, **QUICK))
    whole.optimize(objective, n_trials=16)
    parts = new_study(MA2MLSampler(space(), seed=2, **QUICK))
    for size in (3, 6, 7):
        parts.sampler = MA2MLSampler(space(), seed=2, **QUICK)
        parts.optimize(objective, n_trials=size)
    assert params(parts) == params(whole)


def test_a_killed_trial_is_done_again_first():
    whole = new_study(MA2MLSampler(space(), seed=2, **QUICK))
    whole.optimize(objective, n_trials=12)
    broken = new_study(MA2MLSampler(space(), seed=2, **QUICK))
    broken.optimize(objective, n_trials=7)
    trial = broken.ask()
    space().suggest(trial)
    trial.set_user_attr('failure', {'class': 'killed', 'message': ''})
    broken.tell(trial, state=TrialState.FAIL)
    broken.sampler = MA2MLSampler(space(), seed=2, **QUICK)
    broken.optimize(objective, n_trials=5)
    found = [t.params for t in broken.trials
             if t.state == TrialState.COMPLETE]
    assert found == params(whole)
    assert broken.trials[7].params == broken.trials[8].params


def parallel(study, workers, trials, rng, failing=()):
    """Tell in random order, ask as soon as ordered mode allows."""
    running = {}
    asked = 0
    while asked < trials or running:
        oldest = min(running, default=asked)
        while asked < trials and asked < oldest + workers:
            trial = study.ask()
            running[asked] = (trial, score(space().suggest(trial)))
            asked += 1
            oldest = min(running)
        number = rng.choice(sorted(running))
        trial, value = running.pop(number)
        if number in failing:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, value)


def test_ordered_mode_does_not_depend_on_the_speed_of_workers():
    sequences = []
    for order in range(3):
        study = new_study(MA2MLSampler(space(), seed=1, ordered=3, **QUICK))
        parallel(study, 3, 14, random.Random(order), failing=(4, 9))
        sequences.append(params(study))
    assert sequences[0] == sequences[1] == sequences[2]
    assert len({tuple(p.items()) for p in sequences[0]}) == 14


def test_ordered_mode_says_what_is_missing():
    study = new_study(MA2MLSampler(space(), seed=1, ordered=2, **QUICK))
    study.optimize(objective, n_trials=2)
    for _ in range(2):
        space().suggest(study.ask())
    with pytest.raises(RuntimeError, match='the trial at place 2 has to be'):
        space().suggest(study.ask())


def test_pending_trials_are_not_repeated():
    study = new_study(MA2MLSampler(space(), seed=1, **QUICK))
    study.optimize(objective, n_trials=8)
    asked = [space().suggest(study.ask()) for _ in range(6)]
    assert len({tuple(p.items()) for p in [*asked, *params(study)[:8]]}) == 14


def test_places_of_trials_that_are_asked_for_together():
    study = new_study(MA2MLSampler(space(), seed=1, **QUICK))
    trials = [study.ask() for _ in range(3)]
    for number in (1, 2, 0):
        space().suggest(trials[number])
    places = [t.system_attrs[PROPOSAL]['place'] for t in study.trials]
    assert places == [0, 1, 2]
    assert len({tuple(p.items()) for p in params(study)}) == 3


def test_failures_and_pruned_trials():
    study = new_study(MA2MLSampler(space(), seed=0, **QUICK))

    def rough(trial):
        values = space().suggest(trial)
        if values['hpo.opt'] == 'a':
            raise MemoryError
        trial.report(score(values), 1)
        if values['hpo.lr'] < .25:
            raise optuna.TrialPruned
        return score(values)

    study.optimize(rough, n_trials=30, catch=(MemoryError, ))
    learner = study.sampler._learner
    lost = [p['hpo.opt'] == 'a' for p in params(study)][:29]
    assert [r is None for r in learner.replay.rewards] == lost
    pruned = [t.number for t in study.trials[:29]
              if t.state == TrialState.PRUNED]
    assert len(pruned) > 2
    for number in pruned:
        assert learner.replay.rewards[number] == score(
            study.trials[number].params)
    assert sum(lost[:10]) >= 2 and sum(lost[20:]) <= 3
    assert study.best_value >= 4


def test_foreign_trials_teach_too():
    study = new_study(MA2MLSampler(space(), seed=0, **QUICK))
    study.enqueue_trial({'nas.depth': 3, 'nas.k': 5, 'hpo.lr': .4,
                         'hpo.opt': 'b'})
    study.optimize(objective, n_trials=9)
    assert study.trials[0].params['hpo.lr'] == .4
    assert len(study.sampler._learner.replay) == 8
    assert study.sampler._learner.replay.rewards[0] == pytest.approx(5)


def test_feasible_sees_parameters():
    study = new_study(MA2MLSampler(
        space(), seed=0, feasible=lambda p: p['nas.depth'] < 3, **QUICK))
    study.optimize(objective, n_trials=15)
    assert {p['nas.depth'] for p in params(study)} == {1, 2}


def test_copies_and_pickles():
    study = new_study(MA2MLSampler(space(), seed=0, **QUICK))
    study.optimize(objective, n_trials=8)
    for other in (copy.deepcopy(study.sampler),
                  pickle.loads(pickle.dumps(study.sampler))):
        twin = new_study(other)
        twin.optimize(objective, n_trials=8)
        assert params(twin) == params(study)


def test_multiple_objectives_are_refused():
    study = optuna.create_study(
        directions=['maximize', 'minimize'], sampler=MA2MLSampler(seed=0))
    with pytest.raises(ValueError, match='multi-objective'):
        study.ask().suggest_int('x', 0, 1)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="no preset 'x'"):
        MA2MLSampler(preset='x')
    with pytest.raises(ValueError, match='ordered is 0'):
        MA2MLSampler(ordered=0)


_SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from test_sampler import *
study = new_study(MA2MLSampler(seed=4, **QUICK), storage={storage!r},
                  study_name='s', load_if_exists=True)
study.optimize(plain_objective, n_trials=6)
"""


def test_two_processes_go_on_with_one_study(tmp_path):
    storage = f'sqlite:///{tmp_path}/s.db'
    for hash_seed in ('1', '2'):
        subprocess.run(
            [sys.executable, '-c', _SCRIPT.format(
                tests=os.path.dirname(__file__), storage=storage)],
            env={**os.environ, 'PYTHONHASHSEED': hash_seed}, check=True)
    study = optuna.load_study(study_name='s', storage=storage)
    here = new_study(MA2MLSampler(seed=4, **QUICK))
    here.optimize(plain_objective, n_trials=12)
    assert params(study) == params(here)
