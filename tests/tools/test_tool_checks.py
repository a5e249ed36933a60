"""Checks before a run."""
import shutil
import sys
from pathlib import Path

import pytest

from mmvision_ext.engine import checks
from mmvision_ext.engine.errors import LaunchError

pytest.importorskip('mmengine', reason='configs are mmengine configs')
from mmengine.config import Config  # noqa: E402


def _config(root: Path) -> Config:
    return Config(
        dict(
            default_scope='mmdet',
            train_dataloader=dict(
                dataset=dict(
                    type='RepeatDataset',
                    dataset=dict(
                        type='CocoDataset',
                        data_root=str(root),
                        ann_file='annotations/instances_train2017.json',
                        data_prefix=dict(img='train2017/')))),
            val_evaluator=dict(
                type='CocoMetric',
                ann_file=str(root / 'annotations/instances_val2017.json'))))


@pytest.fixture
def coco(toy_data: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy_data / 'coco', tmp_path / 'coco'))


def _line(cfg: Config, *splits: str) -> str:
    with pytest.raises(LaunchError) as error:
        checks.check_data(cfg, splits)
    assert '\n' not in str(error.value)
    return str(error.value)


def test_complete_data_passes(coco):
    checks.check_data(_config(coco), ('train', 'val', 'test'))


@pytest.mark.parametrize('gone, split, kind', [
    ('.', 'train', 'data root'),
    ('annotations/instances_train2017.json', 'train', 'annotation file'),
    ('train2017', 'train', 'data folder'),
    ('annotations/instances_val2017.json', 'val', 'annotation file'),
])
def test_what_is_missing_is_named(coco, gone, split, kind):
    cfg = _config(coco)
    path = coco / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    line = _line(cfg, split)
    assert line.startswith(f'{split}_')
    assert f'{kind} {path}' in line
    assert '--data-root' in line and 'make_toy_data.py' in line


def test_only_the_splits_in_use_are_checked(coco):
    cfg = _config(coco)
    (coco / 'annotations/instances_val2017.json').unlink()
    checks.check_data(cfg, ('train', ))


def test_empty_folder_and_folder_for_a_file(coco):
    cfg = _config(coco)
    for image in (coco / 'train2017').iterdir():
        image.unlink()
    assert 'train2017/ is empty' in _line(cfg, 'train')
    cfg.train_dataloader.dataset.dataset.ann_file = 'annotations'
    assert 'is a folder, expected a file' in _line(cfg, 'train')


def test_relative_path_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = _line(_config(Path('data/coco')), 'train')
    assert f'(looked in {tmp_path})' in line


def test_split_of_imagenet(toy_data, tmp_path):
    leaf = dict(type='ImageNet', data_root=str(tmp_path), split='val')
    cfg = Config(dict(val_dataloader=dict(dataset=leaf)))
    assert f'data folder {tmp_path}/val' in _line(cfg, 'val')
    leaf['data_root'] = str(toy_data / 'imagenet')
    checks.check_data(Config(dict(val_dataloader=dict(dataset=leaf))),
                      ('val', ))


def test_remote_and_downloading_data_are_left_alone(tmp_path):
    gone = str(tmp_path / 'gone')
    leaves = [
        dict(type='CocoDataset', data_root=gone,
             backend_args=dict(backend='petrel')),
        dict(type='CocoDataset', ann_file='s3://bucket/a.json'),
        dict(type='CIFAR10', data_root=gone),
        dict(type='CIFAR10', data_root=gone, download=True),
    ]
    for leaf in leaves:
        cfg = Config(
            dict(
                default_scope='mmpretrain',
                train_dataloader=dict(dataset=leaf)))
        checks.check_data(cfg, ('train', ))
    leaf = dict(type='CIFAR10', data_root=gone, download=False)
    cfg = Config(dict(train_dataloader=dict(dataset=leaf)))
    assert gone in _line(cfg, 'train')


def test_weights(tmp_path):
    weights = tmp_path / 'w.pth'
    init_cfg = dict(type='Pretrained', checkpoint=str(weights))
    model = dict(type='X', neck=[dict(type='Y', init_cfg=init_cfg)])
    with pytest.raises(LaunchError, match=f'{weights} does not exist'):
        checks.check_weights(Config(dict(model=model)))
    weights.touch()
    checks.check_weights(Config(dict(model=model, load_from=str(weights))))
    checks.check_weights(Config(dict(load_from='https://x.org/a.pth')))
    with pytest.raises(LaunchError, match='is a folder'):
        checks.check_weights(Config(dict(load_from=str(tmp_path))))


def test_launcher_needs_its_environment(monkeypatch):
    checks.check_launcher('none')
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'SLURM_PROCID'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(LaunchError, match='RANK is not set.*dist_train.sh'):
        checks.check_launcher('pytorch')
    with pytest.raises(LaunchError, match='PROCID is not set.*slurm_train.sh'):
        checks.check_launcher('slurm')


def test_missing_package_says_what_to_install():
    checks.register_scope(None)
    checks.register_scope('mmvision_ext')
    with pytest.raises(LaunchError) as error:
        checks.register_scope('mmnowhere')
    assert "default_scope='mmnowhere'" in str(error.value)
    assert 'pip install' in str(error.value)


def test_broken_package_says_why(tmp_path, monkeypatch):
    package = tmp_path / 'mmbroken'
    package.mkdir()
    (package / '__init__.py').write_text('assert False, "mmcv is too old"\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(LaunchError, match='mmbroken.*mmcv is too old.*compat'):
        checks.register_scope('mmbroken')
    assert 'mmbroken' not in sys.modules


def test_missing_mmengine(monkeypatch):
    checks.check_mmengine()
    monkeypatch.setattr(checks, 'find_spec', lambda name: None)
    with pytest.raises(LaunchError, match='mmengine is not installed'):
        checks.check_mmengine()
