"""What trials are made of: configs, proxies, tables, costs."""
import json

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmvision_ext.datasets import make_toy_data
from mmvision_ext.engine.checks import register_scope
from mmvision_ext.engine.errors import LaunchError
from mmvision_ext.ma2ml import proxy_check
from mmvision_ext.ma2ml.cost import image_shape
from mmvision_ext.ma2ml.errors import SearchError
from mmvision_ext.ma2ml.evaluators import build_evaluator
from mmvision_ext.ma2ml.spec import build_search, candidate_config
from mmvision_ext.ma2ml.trial_files import TrialFolder
from mmvision_ext.registry import DATASETS

_BASE = """
train_dataloader = dict(batch_size=4, dataset=dict(
    type='ImageNet', pipeline=[dict(type='RandomResizedCrop', scale=224)]))
val_dataloader = dict(dataset=dict(pipeline=[
    dict(type='ResizeEdge', scale=256), dict(type='CenterCrop',
    crop_size=224)]))
val_evaluator = dict(type='Accuracy')
val_cfg = dict()
model = dict(type='X', lr=1)
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=10)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=10),
    dict(type='CosineAnnealingLR', T_max=90, begin=10, end=100)]
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))
custom_hooks = [dict(type='EMAHook')]
randomness = dict(seed=7, deterministic=True)
"""


@pytest.fixture
def spec(tmp_path):
    (tmp_path / 'base.py').write_text(_BASE)
    found = build_search(dict(
        base_config='base.py', metric='accuracy/top1',
        base_options={'train_dataloader.batch_size': 8},
        agents=dict(hpo=[dict(
            type='mmvision_ext.KeySpace', decisions=[
                dict(name='lr', choices=[0.1, 0.2], ordinal=True,
                     key='optim_wrapper.optimizer.lr')])])),
        str(tmp_path / 'search.py'))
    found.load_base()
    return found


def test_a_candidate_is_the_base_config_with_its_choices(spec):
    cfg = candidate_config(spec, {'hpo.lr': 0.2})
    assert cfg.optim_wrapper.optimizer.lr == 0.2
    assert cfg.train_dataloader.batch_size == 8
    assert spec.base.optim_wrapper.optimizer.lr == 0.1


def test_a_trial_has_the_hook_its_seed_and_no_checkpoints(spec, tmp_path):
    evaluator = build_evaluator(dict(type='training', processes=2))
    folder = TrialFolder(tmp_path / 'trial')
    folder.open({})
    job = evaluator.job(spec, {'hpo.lr': 0.2}, 3, 99, folder)
    cfg = Config.fromfile(folder.config)
    assert cfg.custom_hooks == [
        dict(type='EMAHook'),
        dict(type='mmvision_ext.MA2MLSearchHook', metric='accuracy/top1')]
    assert cfg.randomness == dict(seed=99, deterministic=True)
    assert cfg.default_hooks.checkpoint is None
    assert cfg.custom_imports['imports'] == ['mmvision_ext']
    assert job.command[1:4] == [
        '-m', 'mmvision_ext.engine.distributed', '2']
    assert job.command[-2:] == ['--launcher', 'pytorch']


def test_a_proxy_has_less_of_everything(spec):
    evaluator = build_evaluator(dict(
        type='proxy', subset=0.5, epochs=0.1, image_size=0.5,
        options={'train_cfg.val_interval': 5}))
    cfg = evaluator.config(spec, {'hpo.lr': 0.1}, 0)
    assert cfg.train_cfg == dict(
        by_epoch=True, max_epochs=10, val_interval=5)
    assert [(s.begin, s.end) for s in cfg.param_scheduler] == [
        (0, 1), (1, 10)]
    assert cfg.param_scheduler[1].T_max == 9
    data = cfg.train_dataloader.dataset
    assert (data.type, data.share) == ('mmvision_ext.RandomSubset', 0.5)
    assert data.dataset.pipeline[0].scale == 112
    assert [s.get('scale', s.get('crop_size')) for s in
            cfg.val_dataloader.dataset.pipeline] == [128, 112]
    # The best config that the search ends with has nothing of it.
    assert candidate_config(spec, {'hpo.lr': 0.1}).train_cfg.max_epochs == 100


@pytest.mark.parametrize('config, message', [
    (dict(type='proxy'), 'a proxy that is the full training'),
    (dict(type='proxy', subset=0), 'subset is 0; expected a share'),
    (dict(type='training', epochs=2), 'epochs'),
    (dict(type='mine'), 'mine is not in the'),
])
def test_evaluators_that_cannot_be_made_are_named(config, message):
    with pytest.raises(SearchError, match=message):
        build_evaluator(config)


def test_a_subset_has_each_class_alike_and_the_same_each_time(tmp_path):
    data = make_toy_data(tmp_path / 'toy', train=30, val=6, size=32)
    register_scope('mmpretrain')
    init_default_scope('mmpretrain')
    config = dict(type='ImageNet', data_root=str(data / 'imagenet'),
                  split='train', pipeline=[])
    whole = DATASETS.build(dict(config))
    whole.full_init()
    found = [DATASETS.build(dict(type='mmvision_ext.RandomSubset', share=0.4,
                                 dataset=config, seed=seed))
             for seed in (0, 0, 1)]
    counts = np.bincount([one['gt_label'] for one in whole])
    own = np.bincount([one['gt_label'] for one in found[0]])
    np.testing.assert_array_equal(own, np.maximum(1, np.round(0.4 * counts)))
    paths = [[one['img_path'] for one in data] for data in found]
    assert paths[0] == paths[1] != paths[2]
    assert len(set(paths[0])) == len(found[0])
    with pytest.raises(ValueError, match='a part of RepeatDataset'):
        DATASETS.build(dict(
            type='mmvision_ext.RandomSubset', share=0.4,
            dataset=dict(type='RepeatDataset', times=2, dataset=config)))


def test_the_image_is_that_of_the_validation_pipeline(spec):
    assert image_shape(spec.base) == (3, 224, 224)
    spec.base.val_dataloader.dataset.pipeline = [
        dict(type='Resize', scale=(2048, 512))]
    assert image_shape(spec.base) == (3, 512, 2048)
    with pytest.raises(ValueError, match='give flops_input'):
        image_shape(Config())


def test_what_is_missing_is_said_before_anything_runs(spec):
    evaluator = build_evaluator(dict(type='training'))
    with pytest.raises(LaunchError, match='does not exist|data'):
        evaluator.check(spec)
    spec.base.val_evaluator = None
    with pytest.raises(SearchError, match='has no val_evaluator: the reward'):
        evaluator.check(spec)


def test_a_table_has_the_decisions_of_the_search(settings):
    spec = build_search(settings)
    evaluator = build_evaluator(spec.evaluator)
    values = {'a.x': 2, 'b.y': 1, 'b.z': 3}
    assert evaluator.evaluate(spec, values, 0)['value'] == pytest.approx(
        -(0.04 + 1.44 + 0.64))
    assert evaluator.cost(spec, values).flops == 7e6
    other = build_search({**settings, 'agents': dict(
        a=[dict(name='x', choices=[0, 1])])})
    with pytest.raises(SearchError, match='decisions x, y, z; the search'):
        evaluator.check(other)


def test_a_table_of_repetitions_draws_one_by_the_seed(tmp_path):
    path = tmp_path / 'table.npz'
    np.savez(path, names=['x'], loss=np.exp([[1., 2., 3.], [4., 5., 6.]]),
             choices=json.dumps(dict(x=['b', 'a'])))
    spec = build_search(dict(agents=dict(
        a=[dict(name='x', choices=['a', 'b'])])))
    evaluator = build_evaluator(dict(
        type='tabular', table=str(path), value='loss', negative_log=True))
    drawn = {seed: round(evaluator.evaluate(
        spec, {'a.x': 'b'}, seed)['value'], 5) for seed in range(30)}
    assert set(drawn.values()) == {-1., -2., -3.}
    assert drawn[4] == round(evaluator.evaluate(
        spec, {'a.x': 'b'}, 4)['value'], 5)


def test_rank_correlations_of_known_values():
    proxy = [1., 2., 3., 4., 5.]
    found = proxy_check.correlations(proxy, [2., 1., 3., 5., 4.])
    # 1 - 6 * (1 + 1 + 0 + 1 + 1) / (5 * 24); 2 of 10 pairs are swapped.
    assert found['spearman'][0] == pytest.approx(0.8)
    assert found['kendall'][0] == pytest.approx(0.6)
    for value, low, high in found.values():
        assert low < value < high == pytest.approx(1.)
    same = proxy_check.correlations(proxy, [1.] * 5)
    assert np.isnan(same['spearman'][0])


def test_a_proxy_is_compared_with_the_full_training(
        spec, tmp_path, script_evaluator, monkeypatch, capsys):
    """Both are processes of a few milliseconds here."""
    spec.evaluator = dict(type='proxy', epochs=0.5)
    spec.space = build_search(dict(agents=dict(a=[
        dict(name='x', choices=[0, 1, 2, 3])]))).space
    script = """
import json, os, sys
folder = sys.argv[1]
x = json.load(open(folder + '/candidate.json'))['values']['a.x']
if '{kind}' == 'full' and x == 3:
    sys.exit('ValueError: no')
value = x if '{kind}' == 'proxy' else 10 * x - (15 if x == 2 else 0)
json.dump(dict(state='complete', value=value, seconds={seconds}),
          open(folder + '/r', 'w'))
os.rename(folder + '/r', folder + '/result.json')
"""
    made = dict(
        proxy=script_evaluator(script.format(kind='proxy', seconds=1)),
        training=script_evaluator(script.format(kind='full', seconds=4)))
    monkeypatch.setattr(proxy_check, 'build_evaluator',
                        lambda config: made[config['type']])
    from mmvision_ext.ma2ml.executors import LocalExecutor
    rows = proxy_check.measure(spec, LocalExecutor(1, gpus=[]), tmp_path, 4)
    by_choice = {row['choices']['a.x']: row for row in rows}
    assert sorted(by_choice) == [0, 1, 2, 3]
    assert by_choice[1]['full'] == dict(value=10, seconds=4)
    assert by_choice[3]['full'] == dict(
        failure='exit status 1: ValueError: no')
    assert proxy_check._show(rows, spec, tmp_path) == 0
    shown = capsys.readouterr().out
    # Ranks 0, 1, 2 against 0, 2, 1.
    assert 'spearman 0.50' in shown and '3 candidates' in shown
    assert 'cost of the proxy: 0.25 of the full' in shown
    assert 'accuracy/top1 5 in full, the best 10' in shown
    # What is there is not trained again.
    made.clear()
    made.update(dict.fromkeys(('proxy', 'training'),
                              script_evaluator('raise SystemExit(1)')))
    again = proxy_check.measure(spec, LocalExecutor(1, gpus=[]), tmp_path, 4)
    assert [row['proxy'] for row in again] == [row['proxy'] for row in rows]
