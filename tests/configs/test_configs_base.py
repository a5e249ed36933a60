"""Every file of ``configs/_base_`` equals the stock file it stands for.

But for two hooks that those with hooks add.
"""
from importlib.util import find_spec
from pathlib import Path

import pytest
from mmengine.config import Config

BASE = Path(__file__).resolve().parents[2] / 'configs' / '_base_'

# Our file -> (package, its own file below ``configs/_base_``).
STOCK = {
    'models/mask-rcnn_r50_fpn.py': ('mmdet', 'models/mask-rcnn_r50_fpn.py'),
    'models/upernet_r50.py': ('mmseg', 'models/upernet_r50.py'),
    'datasets/coco_instance.py': ('mmdet', 'datasets/coco_instance.py'),
    'datasets/ade20k.py': ('mmseg', 'datasets/ade20k.py'),
    'datasets/imagenet_bs64_swin_224.py':
    ('mmpretrain', 'datasets/imagenet_bs64_swin_224.py'),
    'schedules/schedule_1x.py': ('mmdet', 'schedules/schedule_1x.py'),
    'schedules/schedule_160k.py': ('mmseg', 'schedules/schedule_160k.py'),
    'schedules/imagenet_bs1024_adamw_swin.py':
    ('mmpretrain', 'schedules/imagenet_bs1024_adamw_swin.py'),
    'default_runtime_cls.py': ('mmpretrain', 'default_runtime.py'),
    'default_runtime_det.py': ('mmdet', 'default_runtime.py'),
    'default_runtime_seg.py': ('mmseg', 'default_runtime.py'),
}

# What every runtime of ours adds to the stock hooks.
HOOKS = dict(
    nonfinite=dict(type='mmvision_ext.NonFiniteHook'),
    exact_resume=dict(type='mmvision_ext.ExactResumeHook'))


def stock_config(package: str, name: str) -> Path:
    """Path of a config that an installed mm package ships."""
    origin = find_spec(package).origin
    return Path(origin).parent / '.mim' / 'configs' / name


def test_every_base_file_is_compared() -> None:
    ours = {str(p.relative_to(BASE)) for p in BASE.rglob('*.py')}
    assert ours == set(STOCK)


@pytest.mark.smoke
@pytest.mark.parametrize('name', sorted(STOCK))
def test_base_equals_stock(name: str) -> None:
    package, stock = STOCK[name]
    ours = Config.fromfile(BASE / name).to_dict()
    theirs = Config.fromfile(
        stock_config(package, f'_base_/{stock}')).to_dict()
    if 'default_hooks' in theirs:
        theirs['default_hooks'].update(HOOKS)
    assert ours == theirs


@pytest.mark.parametrize('name', sorted(STOCK))
def test_base_inherits_nothing(name: str) -> None:
    assert '_base_' not in (BASE / name).read_text().split('"""', 2)[2]
