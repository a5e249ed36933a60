"""The shipped spaces: their decisions, and what they write into configs."""
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmvision_ext.ma2ml.networks import MobileArch
from mmvision_ext.ma2ml.space import SearchSpace
from mmvision_ext.ma2ml.spaces import (
    AutoAugmentSpace,
    CellSpace,
    ITPNSpace,
    KeySpace,
    MobileSpace,
    RandAugmentSpace,
    RecipeSpace,
    TrivialAugmentSpace,
    VHeatSpace,
)
from mmvision_ext.ma2ml.spaces.mobile import FBNETV3_STAGES
from mmvision_ext.registry import MODELS, TASK_UTILS

from .small_bases import base, draw, train_pipeline, types


def test_all_are_registered():
    for cls in (AutoAugmentSpace, CellSpace, ITPNSpace, KeySpace,
                MobileSpace, RandAugmentSpace, RecipeSpace,
                TrivialAugmentSpace, VHeatSpace):
        assert TASK_UTILS.get(f'mmvision_ext.{cls.__name__}') is cls


def test_sizes_of_the_spaces():
    def size(part):
        return SearchSpace(dict(a=part.decisions())).size

    # (operation without magnitude: 3 x 11, with: 12 x 11 x 10) to the 10
    assert size(AutoAugmentSpace()) == (3 * 11 + 12 * 110)**10
    assert size(AutoAugmentSpace(1, 'photometric')) == (3 * 11 + 6 * 110)**2
    assert size(RandAugmentSpace()) == 3 * 11
    assert size(RandAugmentSpace(num_ops=(0, 1), magnitudes=(3, 9))) == 3
    assert size(TrivialAugmentSpace()) == 2
    assert size(CellSpace()) == (14 * 21 * 28 * 35)**4
    assert size(RecipeSpace('cifar')) == 5 * 4 * 4 * 2 * 3 * 3
    assert size(RecipeSpace('imagenet')) == 2 * 11 * 15 * 31 * 22 * 42 * 2
    assert size(MobileSpace()) == 5 * 7 * (
        5 * 2 * (1 + 3 * 2)) * (4**2 * 2 * 4**2 * 4) * (
        7 * 4 * 2 * 4**2 * 4) * (8 * 5 * 2 * 4**2 * 4) * (
        13 * 5 * 2 * 4**2 * 4) * (12 * 5 * 2 * 4**2 * 4) * (12 * 2 * 2)


def test_layers_exist_as_far_as_a_stage_is_deep():
    part = MobileSpace(granularity='layer')
    space = SearchSpace(dict(nas=part.decisions()))
    for seed in range(20):
        values = space.sample(np.random.default_rng(seed))
        arch = MobileArch(**part.arch(
            {n[4:]: v for n, v in values.items()}))
        for number, depth in enumerate(arch.depths, 1):
            own = [n for n in values
                   if n.startswith(f'nas.s{number}_kernel_')]
            assert len(own) == depth
            assert len(arch.kernels[number - 1]) == depth


def test_rest_exists_where_there_is_a_second_layer():
    part = MobileSpace()
    seen = set()
    for seed in range(30):
        values = draw(part, seed)
        assert ('s1_kernel_rest' in values) == (values['s1_depth'] > 1)
        seen.add(values['s1_depth'])
        assert 's7_kernel_rest' not in values
    assert seen == {1, 2, 3, 4}


def test_share_of_the_space_under_the_limits():
    part = MobileSpace()
    flops = []
    for seed in range(400):
        values = draw(part, seed)
        flops.append(MobileArch(**part.arch(values)).flops(
            (3, values['resolution'], values['resolution'])) / 1e6)
    shares = [np.mean(np.array(flops) < limit) for limit in (600, 800)]
    # candidates come close to both limits, and enough lie under them
    assert 0.06 < shares[0] < 0.15 and 0.4 < shares[1] < 0.6
    assert min(flops) < 500
    for limit in (600, 800):
        assert min(abs(f - limit) for f in flops) < 5


def test_corners_of_the_mobile_space():
    part = MobileSpace()
    ends = {}
    for end in (0, -1):
        values = {d.name: d.choices[end] for d in part.decisions()}
        arch = MobileArch(**part.arch(values))
        ends[end] = arch.flops((3, ) + (values['resolution'], ) * 2)
    assert ends[0] == 208_858_776 and ends[-1] == 2_309_914_536
    assert [s.widths[0] for s in FBNETV3_STAGES] == [
        16, 20, 24, 56, 96, 180, 180]


def test_mobile_space_writes_arch_head_and_image_size():
    part, cfg = MobileSpace(), base()
    values = dict(draw(part), resolution=272)
    part.apply(cfg, values)
    arch = MobileArch(**cfg.model.backbone.arch)
    assert arch.widths[-1] == values['s7_width']
    assert cfg.model.head.in_channels == 6 * values['s7_width']
    assert train_pipeline(cfg)[1].scale == 272
    test = cfg.val_dataloader.dataset.pipeline
    assert (test[1].scale, test[2].crop_size) == (311, 272)
    # again: nothing grows
    part.apply(cfg, values)
    assert test[1].scale == 311
    # and a dumped config reads back, as a run writes it down
    assert Config.fromstring(cfg.pretty_text, '.py').to_dict() == \
        cfg.to_dict()


def test_mobile_space_of_small_images_and_dense_tasks():
    stage = dict(widths=[8, 16], depths=[1, 2], first=[2], rest=[2, 3],
                 se=[False])
    part = MobileSpace(stages=[stage, dict(stage, stride=2)], stem=[8],
                       resolutions=None, stem_stride=1, head_expansion=4)
    names = [d.name for d in part.decisions()]
    assert 'resolution' not in names and 'stem' not in names
    assert 's1_expand_first' not in names and 's1_expand_rest' in names
    cfg = base('mmseg')
    cfg.model = dict(
        backbone=dict(type='SearchableMobileNet', out_indices=(0, 1)),
        decode_head=dict(in_channels=[1, 1]),
        auxiliary_head=dict(in_channels=1, in_index=0))
    part.apply(cfg, dict(s1_depth=1, s1_width=8, s1_kernel_first=3,
                         s2_depth=1, s2_width=16, s2_kernel_first=5))
    assert cfg.model.decode_head.in_channels == [8, 16]
    assert cfg.model.auxiliary_head.in_channels == 8
    assert cfg.model.backbone.arch.strides == [1, 2]


def test_recipe_is_written():
    cfg = base()
    cfg.model.train_cfg = dict(augments=dict(type='CutMix', alpha=1.0))
    RecipeSpace('imagenet').apply(cfg, dict(
        optimizer='SGD', lr=0.02, weight_decay=7e-6, dropout=0.1,
        drop_path=0.2, mixup=0.4, ema=True))
    assert cfg.optim_wrapper.optimizer == dict(
        type='SGD', lr=0.02, weight_decay=7e-6, momentum=0.9, nesterov=True)
    assert cfg.model.head.dropout_rate == 0.1
    assert cfg.model.backbone.drop_path_rate == 0.2
    assert types(cfg.model.train_cfg.augments) == ['CutMix', 'Mixup']
    assert types(cfg.custom_hooks) == ['EMAHook']
    RecipeSpace('cifar').apply(cfg, dict(
        mixup=0., batch_size=64, label_smoothing=0.1))
    assert types(cfg.model.train_cfg.augments) == ['CutMix']
    assert cfg.train_dataloader.batch_size == 64
    assert cfg.model.head.loss.label_smooth_val == 0.1
    RecipeSpace(dict(ema=[False])).apply(cfg, dict(ema=False))
    assert cfg.custom_hooks == []


def test_keys_are_set():
    part = KeySpace([
        dict(name='power', choices=[1.0, 2.0], ordinal=True,
             key='param_scheduler.1.power'),
        dict(name='shape', choices=['flat', 'deep'],
             key=['model.head.mid_channels', 'model.head.other'],
             values=dict(flat=[8], deep=[4, 4])),
        dict(name='extra', choices=[1, 2], key='train_dataloader.batch_size',
             condition=dict(parent='shape', values=['deep']))])
    assert [d.ordinal for d in part.decisions()] == [True, False, False]
    cfg = base()
    part.apply(cfg, dict(power=2.0, shape='deep', extra=2))
    assert cfg.param_scheduler[1].power == 2.0
    assert cfg.model.head.mid_channels == cfg.model.head.other == [4, 4]
    assert cfg.train_dataloader.batch_size == 2


def test_vheat_and_itpn_knobs():
    part = VHeatSpace([[1], [1], [1, 2], [1]], [16, 24], drop_path=[0., 0.1])
    assert [d.name for d in part.decisions()] == [
        'depth3', 'embed_dims', 'drop_path']
    cfg = base('mmdet')
    cfg.model = dict(backbone=dict(type='mmvision_ext.VHeat', arch='nano'),
                     neck=dict(type='FPN', in_channels=[1, 1, 1, 1]))
    part.apply(cfg, dict(depth3=2, embed_dims=16, drop_path=0.1))
    assert cfg.model.backbone.arch == dict(
        embed_dims=16, depths=[1, 1, 2, 1], mlp_ratio=4.)
    assert cfg.model.backbone.drop_path_rate == 0.1
    assert cfg.model.neck.in_channels == [16, 32, 64, 128]
    built = MODELS.build(dict(cfg.model.backbone, img_size=32))
    assert built.num_features == [16, 32, 64, 128]
    assert len(built.stages[2].blocks) == 2

    part = ITPNSpace([[1], [1], [3, 4]], [128, 192])
    cfg = base('mmseg')
    cfg.model = dict(
        backbone=dict(type='mmvision_ext.ITPN', arch='nano'),
        neck=dict(type='mmvision_ext.ITPNPyramid', in_channels=[1, 1, 1],
                  out_channels=64, num_outs=4, concat=True),
        decode_head=dict(in_channels=[1, 1, 1, 1]))
    part.apply(cfg, dict(depth3=3, embed_dims=128))
    assert cfg.model.backbone.arch == dict(
        embed_dims=128, depths=[1, 1, 3], num_heads=2, mlp_ratios=[3., 3., 4.])
    assert cfg.model.neck.in_channels == [32, 64, 128]
    maps = MODELS.build(dict(cfg.model.backbone, img_size=32))(
        torch.zeros(1, 3, 32, 32))
    assert [m.shape[1] for m in maps] == [32, 64, 128]
    assert cfg.model.decode_head.in_channels == [96, 128, 192, 192]


def test_cells_are_written():
    part, cfg = CellSpace(cells=(1, 2), widths=(4, 8)), base()
    cfg.model.backbone.type = 'mmvision_ext.SearchableCellNet'
    values = draw(part)
    part.apply(cfg, values)
    arch = cfg.model.backbone.arch
    assert arch.normal[3][1] == [values['normal4b_op'],
                                 values['normal4b_input']]
    assert cfg.model.head.in_channels == 16 * values['width']


MOBILE = dict(type='mmvision_ext.SearchableMobileNet')


@pytest.mark.parametrize('act,message', [
    (lambda: KeySpace([dict(name='x', choices=[1])]), "'x' has no key"),
    (lambda: KeySpace([dict(name='x', choice=[1], key='a')]), 'expected the'),
    (lambda: KeySpace([dict(name='x', choices=['a', 'b'], key='k',
                            values=dict(a=1))]), r"choices \['b'\]"),
    (lambda: KeySpace([dict(name='x', choices=[1], key='optim.lr')]).apply(
        base(), dict(x=1)), 'no optim .there: default_scope'),
    (lambda: KeySpace([dict(name='x', choices=[1], key='param_scheduler.2.a')
                       ]).apply(base(), dict(x=1)), "'2' is no place"),
    (lambda: KeySpace([dict(name='x', choices=[1],
                            key='train_dataloader.batchsize')]).apply(
        base(), dict(x=1)), 'has no such key .*batch_size'),
    (lambda: KeySpace([dict(name='x', choices=[1],
                            key='default_scope.x')]).apply(
        base(), dict(x=1)), "default_scope is 'mmpretrain'"),
    (lambda: RecipeSpace('adam'), "'adam'; choose one of"),
    (lambda: RecipeSpace(dict(rate=[1])), r"\['rate'\]; known are"),
    (lambda: RecipeSpace(dict(optimizer=['LION'])).apply(
        base(), dict(optimizer='LION')), "'LION'; choose from"),
    (lambda: RecipeSpace(dict(dropout=[0.1])).apply(
        base(model=dict(head=dict(type='LinearClsHead'))),
        dict(dropout=0.1)), 'dropout: the base config has neither'),
    (lambda: RecipeSpace(dict(label_smoothing=[0.1])).apply(
        base(model=dict(backbone=MOBILE)),
        dict(label_smoothing=0.1)), 'label_smoothing: the base config'),
    (lambda: AutoAugmentSpace(0), 'num_policies is 0'),
    (lambda: AutoAugmentSpace(operations='some'), "is 'some'"),
    (lambda: RandAugmentSpace(magnitudes=(40, )), r'magnitudes \(40,\)'),
    (lambda: RandAugmentSpace().apply(
        base('mmaction'), dict(num_ops=1, magnitude=3)), "'mmaction'"),
    (lambda: RandAugmentSpace().apply(
        base(train_dataloader=None), dict(num_ops=1, magnitude=3)),
     'no train_dataloader'),
    (lambda: MobileSpace(granularity='net'), "is 'net'"),
    (lambda: MobileSpace(stages=[dict(widths=[1])]), 'stages: expected'),
    (lambda: MobileSpace().apply(
        base(model=dict(backbone=dict(type='ResNet'))), {}),
     "'ResNet'; MobileSpace needs"),
    (lambda: MobileSpace().apply(base('mmdet'), draw(MobileSpace())),
     "default_scope is 'mmdet'.*leave resolutions out"),
    (lambda: MobileSpace(resolutions=None).apply(
        base(model=dict(backbone=MOBILE)), draw(MobileSpace())),
     'neither a neck nor a head'),
    (lambda: CellSpace(operations=['conv']), r"\['conv'\]; choose"),
    (lambda: CellSpace().apply(base(), {}), 'CellSpace needs'),
    (lambda: VHeatSpace([[1]], [16]), 'each of the 4 stages'),
    (lambda: VHeatSpace([[1]] * 4, [16]).apply(base(), {}),
     'VHeatSpace needs'),
    (lambda: ITPNSpace([[1]] * 3, [100]), 'multiples of head_dims, 64'),
])
def test_wrong_arguments(act, message):
    with pytest.raises(ValueError, match=message):
        act()
