"""Moving a config to another data root."""
from pathlib import Path

import pytest

from mmvision_ext.engine.checks import check_data
from mmvision_ext.engine.data_root import iter_datasets, replace_data_root
from mmvision_ext.engine.errors import LaunchError
from mmvision_ext.engine.launch import read_config

pytest.importorskip('mmengine', reason='configs are mmengine configs')
from mmengine.config import Config  # noqa: E402


def _config(root: str = 'data/coco/') -> Config:
    leaf = dict(
        type='CocoDataset',
        data_root=root,
        ann_file='annotations/a.json',
        data_prefix=dict(img='train2017/'))
    return Config(
        dict(
            data_root=root,
            train_dataloader=dict(
                dataset=dict(
                    type='RepeatDataset',
                    dataset=dict(
                        type='ConcatDataset',
                        datasets=[leaf, dict(leaf, data_root='data/coco2')]))),
            val_dataloader=dict(
                dataset=dict(leaf, ann_file='data/coco/annotations/v.json')),
            test_dataloader=None,
            val_evaluator=[
                dict(
                    type='CocoMetric',
                    ann_file=f'{root}annotations/v.json',
                    metric=('bbox', ))
            ],
            visualizer=dict(save_dir='data/coco/out')))


def test_replaced_through_wrappers_and_evaluators():
    cfg = _config()
    assert replace_data_root(cfg, '/new place/') == 4
    first, second = iter_datasets(cfg.train_dataloader.dataset)
    assert first.data_root == '/new place/'
    # Neither a longer name nor a relative part is the root.
    assert second.data_root == 'data/coco2'
    assert first.ann_file == 'annotations/a.json'
    assert cfg.val_dataloader.dataset.ann_file == (
        '/new place/annotations/v.json')
    assert cfg.val_evaluator[0].ann_file == '/new place/annotations/v.json'
    assert cfg.val_evaluator[0].metric == ('bbox', )
    assert cfg.visualizer.save_dir == 'data/coco/out'
    assert cfg.data_root == '/new place/'


def test_new_root_needs_no_slash_and_expands_home(monkeypatch):
    monkeypatch.setenv('HOME', '/home/me')
    cfg = _config()
    replace_data_root(cfg, '~/d')
    assert cfg.val_evaluator[0].ann_file == '/home/me/d/annotations/v.json'


def test_without_a_variable_the_one_root_of_the_datasets_counts():
    cfg = _config()
    cfg.pop('data_root')
    with pytest.raises(LaunchError, match='several: data/coco/, data/coco2'):
        replace_data_root(cfg, '/n')
    cfg.train_dataloader = None
    assert replace_data_root(cfg, '/n') == 3
    assert cfg.val_dataloader.dataset.data_root == '/n/'


def test_nothing_to_replace_is_an_error():
    with pytest.raises(LaunchError, match='no variable data_root'):
        replace_data_root(Config(dict(model=dict())), '/n')
    cfg = _config()
    cfg.data_root = 'elsewhere'
    with pytest.raises(LaunchError, match="uses its data_root='elsewhere'"):
        replace_data_root(cfg, '/n')


# Which generated layout stands in for the data of a config.
_LAYOUTS = {
    'vheat-': 'imagenet',
    'maskrcnn_': 'coco',
    'upernet_': 'ade20k',
}
_CONFIGS = sorted(
    path.name
    for path in Path(__file__).parents[2].glob('configs/vheat/*.py')
    # Its labels lie in a folder that the ADE20K layout does not have.
    if 'camvid' not in path.name)


@pytest.mark.parametrize('name', _CONFIGS)
def test_every_config_moves_to_generated_data(name, repo_root, toy_data):
    cfg = read_config(str(repo_root / 'configs/vheat' / name))
    with pytest.raises(LaunchError, match='data root data/'):
        check_data(cfg, ('train', 'val', 'test'))
    layout = next(v for k, v in _LAYOUTS.items() if name.startswith(k))
    replace_data_root(cfg, str(toy_data / layout))
    check_data(cfg, ('train', 'val', 'test'))
    moved = [cfg.get(f'{s}_dataloader') for s in ('train', 'val', 'test')]
    assert all(
        leaf.data_root.rstrip('/') == str(toy_data / layout)
        for loader in moved for leaf in iter_datasets(loader.dataset))


def test_there_are_configs_to_move():
    assert len(_CONFIGS) >= 13
