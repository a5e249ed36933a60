import itertools
import json

import numpy as np
import pytest

from mmvision_ext.ma2ml.decision import Condition, Decision
from mmvision_ext.ma2ml.space import SearchSpace


def net() -> SearchSpace:
    return SearchSpace(dict(
        nas=[Decision('depth', (1, 2, 3), ordinal=True),
             Decision('k2', (3, 5), condition=Condition('depth', (2, 3))),
             Decision('k3', (3, 5, 7), condition=Condition('k2', (5,)))],
        hpo=[Decision('lr', (0.1, 0.2)),
             Decision('wd', (0, 1),
                      condition=dict(parent='nas.depth', values=[1]))]))


def every(space: SearchSpace) -> set:
    rows = np.array(list(itertools.product(
        *map(range, space.cardinalities))))
    return {tuple(row) for row in space.canonical(rows).tolist()}


def test_order_names_and_slices():
    space = net()
    assert space.names == (
        'nas.depth', 'nas.k2', 'nas.k3', 'hpo.lr', 'hpo.wd')
    assert space.cardinalities == (3, 2, 3, 2, 2)
    assert space.slices == {'nas': slice(0, 3), 'hpo': slice(3, 5)}
    assert space.parents == (
        None, (0, {1, 2}), (1, {1}), None, (0, {0}))


def test_size_counts_distinct_candidates():
    space = net()
    # depth 1: 2 wd; depth 2 or 3: k2=3, or k2=5 with 3 of k3; times 2 lr
    assert space.size == (2 + 2 * (1 + 3)) * 2
    assert len(every(space)) == space.size
    wide = SearchSpace(dict(a=[Decision(f'd{i}', tuple(range(10)))
                               for i in range(40)]))
    assert wide.size == 10**40


def test_encode_decode_round_trip_over_the_whole_space():
    space = net()
    for row in every(space):
        values = space.decode(row)
        assert space.encode(values) == row
        assert all(space.is_active(n, values) == (n in values)
                   for n in space.names)


def test_decode_ignores_the_index_of_what_does_not_exist():
    assert net().decode((0, 1, 2, 0, 1)) == {
        'nas.depth': 1, 'hpo.lr': 0.1, 'hpo.wd': 1}


def test_sample_is_uniform_and_reproducible():
    space = net()
    draws = [space.sample(np.random.default_rng(3)) for _ in range(2)]
    assert draws[0] == draws[1]
    rng = np.random.default_rng(0)
    depths = [space.sample(rng)['nas.depth'] for _ in range(900)]
    assert np.abs(np.bincount(depths)[1:] / 900 - 1 / 3).max() < 0.05


def test_config_round_trip_through_json():
    space = net()
    config = json.loads(json.dumps(space.to_config()))
    again = SearchSpace.from_config(config)
    assert again.agents == space.agents
    assert again.parents == space.parents


@pytest.mark.parametrize('arguments, message', [
    (dict(name='a b', choices=(1,)), "decision 'a b'"),
    (dict(name='a.b', choices=(1,)), "decision 'a.b'"),
    (dict(name='lr', choices=()), "'lr' has no choices"),
    (dict(name='lr', choices='abc'), "'lr': choices is 'abc'"),
    (dict(name='lr', choices=3), "'lr': choices is 3"),
    (dict(name='lr', choices=(1, [2])), r"'lr': choice \[2\] is a list"),
    (dict(name='lr', choices=(1, True)), "'lr': choice True is there twice"),
    (dict(name='lr', choices=(.1, float('nan'))), "'lr': choice nan"),
    (dict(name='lr', choices=(1,), condition=dict(parent='a')),
     "'lr': condition has the keys"),
])
def test_bad_decisions_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Decision(**arguments)


@pytest.mark.parametrize('agents, message', [
    ({}, 'no agents'),
    ({'a.b': [Decision('x', (1,))]}, "agent 'a.b'"),
    ({'a': []}, "agent 'a' has no decisions"),
    ({'a': [Decision('x', (1,)), Decision('x', (2,))]}, 'a.x is declared tw'),
    ({'a': [Decision('x', (1,), condition=Condition('y', (1,))),
            Decision('y', (1,))]}, "a.x: its condition names 'y', which is"),
    ({'a': [Decision('y', (1,)),
            Decision('x', (1,), condition=Condition('y', (2,)))]},
     'a.x: its condition names the value 2, but a.y chooses from'),
    ({'a': [Decision('y', (1,)),
            Decision('x', (1,), condition=Condition('y', ()))]},
     'a.x: its condition has no values'),
])
def test_bad_spaces_are_named(agents, message):
    with pytest.raises(ValueError, match=message):
        SearchSpace(agents)


def test_bad_config_is_named():
    with pytest.raises(ValueError, match="agent 'a': expected the keys"):
        SearchSpace.from_config(dict(a=[dict(name='x', values=[1])]))


@pytest.mark.parametrize('values, message', [
    ({'nas.depth': 1, 'hpo.lr': .1}, 'hpo.wd has no value'),
    ({'nas.depth': 4, 'hpo.lr': .1}, 'nas.depth: 4 is none of'),
    ({'nas.depth': 1, 'nas.k2': 3, 'hpo.lr': .1, 'hpo.wd': 0},
     r'nas.k2 does not exist .*: nas.depth has to be one of \[2, 3\]'),
    ({'nas.depth': 1, 'x': 3, 'hpo.lr': .1, 'hpo.wd': 0}, "'x' is no decis"),
])
def test_bad_candidates_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        net().encode(values)


@pytest.mark.parametrize('indices, message', [
    ((0,), '1 indices for a space of 5'),
    ((3, 0, 0, 0, 0), 'nas.depth: index 3'),
    ((-1, 0, 0, 0, 0), 'nas.depth: index -1'),
])
def test_bad_indices_are_named(indices, message):
    with pytest.raises(ValueError, match=message):
        net().decode(indices)


@pytest.mark.parametrize('ordinal_index', [False, True])
def test_optuna_suggests_only_what_exists(ordinal_index):
    optuna = pytest.importorskip('optuna', reason='optuna is not installed')
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = net()
    study = optuna.create_study(
        sampler=optuna.samplers.RandomSampler(seed=0))
    kinds = space.distributions(ordinal_index)
    for _ in range(20):
        trial = study.ask()
        values = space.suggest(trial, ordinal_index)
        space.encode(values)
        frozen = study.tell(trial, 0.)
        assert space.values_of(frozen) == values
        assert frozen.distributions == {n: kinds[n] for n in values}
    assert type(kinds['nas.depth']).__name__ == (
        'IntDistribution' if ordinal_index else 'CategoricalDistribution')
