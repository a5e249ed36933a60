"""The spaces of augmentation policies, in pipelines of all three tasks."""
import numpy as np
import pytest
import torch
from mmengine.registry import TRANSFORMS, init_default_scope

from mmvision_ext.ma2ml.spaces import (
    AutoAugmentSpace,
    RandAugmentSpace,
    TrivialAugmentSpace,
)
from mmvision_ext.ma2ml.spaces.augment import PHOTOMETRIC

from .small_bases import PIPELINE, base, draw, train_pipeline, types


def run(pipeline_steps, scope, results):
    init_default_scope(scope)
    for step in pipeline_steps:
        results = TRANSFORMS.build(step)(results)
    return results


@pytest.mark.smoke
@pytest.mark.parametrize('part', [
    AutoAugmentSpace(image_size=32), RandAugmentSpace(),
    TrivialAugmentSpace()], ids=lambda p: type(p).__name__)
def test_policies_run_on_images(part):
    image = np.random.randint(0, 256, (32, 32, 3)).astype(np.uint8)
    changed = 0
    for seed in range(12):
        cfg = base()
        values = draw(part, seed)
        if values.get('trivial') is False:
            continue
        part.apply(cfg, values)
        assert len(train_pipeline(cfg)) == 5
        step = train_pipeline(cfg)[2]
        np.random.seed(seed)
        out = run([step], 'mmpretrain', dict(img=image.copy()))['img']
        assert out.shape == image.shape and out.dtype == np.uint8
        changed += not np.array_equal(out, image)
    assert changed >= 2


def test_autoaugment_maps_levels():
    part = AutoAugmentSpace(1, image_size=331)
    values = {'p1a_op': 'Cutout', 'p1a_prob': 0.3, 'p1a_magnitude': 9,
              'p1b_op': 'Color', 'p1b_prob': 1.0, 'p1b_magnitude': 0}
    (a, b), = part.policies(values)
    assert a == dict(type='mmpretrain.Cutout', prob=0.3, shape=60)
    # a factor of 0.1
    assert b == dict(type='mmpretrain.ColorTransform', prob=1.0,
                     magnitude=-0.9, random_negative_prob=0.)
    values.update({'p1a_op': 'Posterize', 'p1a_magnitude': 3,
                   'p1b_op': 'ShearY', 'p1b_magnitude': 9})
    (a, b), = part.policies(values)
    assert a['bits'] == 7
    assert (b['magnitude'], b['direction']) == (0.3, 'vertical')
    values.update({'p1a_op': 'Invert'})
    del values['p1a_magnitude']
    assert part.policies(values)[0][0] == dict(
        type='mmpretrain.Invert', prob=0.3)


@pytest.mark.parametrize('old,expected', [
    (['RandomCrop', 'RandAugment', 'PackInputs'],
     ['RandomCrop', 'NEW', 'PackInputs']),
    (['NumpyToPIL', 'torchvision/RandAugment', 'PILToNumpy', 'PackInputs'],
     ['NEW', 'PackInputs']),
    (['NumpyToPIL', 'torchvision/RandAugment', 'torchvision/ColorJitter',
      'PILToNumpy', 'PackInputs'],
     ['NumpyToPIL', 'torchvision/ColorJitter', 'PILToNumpy', 'NEW',
      'PackInputs']),
    (['RandomFlip', 'PhotoMetricDistortion', 'PackSegInputs'],
     ['RandomFlip', 'NEW', 'PhotoMetricDistortion', 'PackSegInputs']),
    (['RandomFlip', 'mmdet.PackDetInputs'],
     ['RandomFlip', 'NEW', 'mmdet.PackDetInputs']),
])
def test_place_of_a_policy(old, expected):
    from mmvision_ext.ma2ml.spaces.pipelines import place_policy
    pipeline = [dict(type=name) for name in old]
    place_policy(pipeline, [dict(type='NEW')])
    assert types(pipeline) == expected


def test_pipelines_of_hooks_change_too():
    hook = dict(type='SwitchRecipeHook', schedule=[
        dict(action_epoch=3, train_pipeline=PIPELINE)])
    cfg = base(custom_hooks=[hook])
    RandAugmentSpace().apply(cfg, dict(num_ops=2, magnitude=9))
    later = cfg.custom_hooks[0].schedule[0].train_pipeline
    assert types(later) == types(train_pipeline(cfg))
    assert later[2].type == 'mmpretrain.RandAugment'
    TrivialAugmentSpace().apply(cfg, dict(trivial=False))
    assert types(train_pipeline(cfg)) == types(PIPELINE)


def test_segmenters_get_operations_that_move_nothing():
    cfg = base('mmseg')
    RandAugmentSpace().apply(cfg, dict(num_ops=1, magnitude=15))
    policies = train_pipeline(cfg)[2].policies
    assert len(policies) == len(PHOTOMETRIC) == 9
    assert {p.type for p in policies}.isdisjoint(
        {'mmpretrain.Shear', 'mmpretrain.Rotate', 'mmpretrain.Translate'})
    assert cfg.custom_imports.imports == ['mmpretrain.datasets.transforms']
    with pytest.raises(ValueError, match="'mmseg'.*operations='photometric'"):
        AutoAugmentSpace().apply(cfg, draw(AutoAugmentSpace()))


def test_detectors_move_boxes_along():
    pytest.importorskip('mmdet')
    from mmdet.structures.bbox import HorizontalBoxes
    cfg = base('mmdet')
    RandAugmentSpace().apply(cfg, dict(num_ops=3, magnitude=30))
    step = train_pipeline(cfg)[2]
    assert step.type == 'mmdet.RandAugment' and len(step.aug_space) == 14
    shear = next(s for s, in step.aug_space if s.type == 'mmdet.ShearX')
    assert shear.level == 10
    shear.prob = 1.0
    step.aug_space, step.aug_num = [[shear]], 1
    results = run([step], 'mmdet', dict(
        img=np.zeros((40, 40, 3), np.uint8), img_shape=(40, 40),
        gt_bboxes=HorizontalBoxes(torch.tensor([[10., 10, 20, 30]])),
        gt_bboxes_labels=np.zeros(1, np.int64),
        gt_ignore_flags=np.zeros(1, bool)))
    assert results['gt_bboxes'].tensor[0, 2] - \
        results['gt_bboxes'].tensor[0, 0] > 10


def test_detectors_take_photometric_policies():
    pytest.importorskip('mmdet')
    part = AutoAugmentSpace(2, 'photometric')
    cfg = base('mmdet')
    part.apply(cfg, draw(part))
    for module in cfg.custom_imports.imports:
        __import__(module)
    image = np.random.randint(0, 256, (20, 24, 3)).astype(np.uint8)
    out = run([train_pipeline(cfg)[2]], 'mmdet', dict(img=image))
    assert out['img'].shape == image.shape
