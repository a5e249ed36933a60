"""The iTPN configs carry the recipes of the original, figure by figure."""
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import nn

from .recipes import (
    CONFIGS,
    CONSTRUCTOR,
    ITPN,
    WIDTHS,
    build_meta,
    load,
    millions,
    rates,
    steps_of,
)

# Config -> arch, layer scale, drop path, rate, images a step, layer decay,
# epochs, epochs of warm-up, end rate.
CLS = {
    'itpn-pixel_base_32xb32-ft-100e_in1k':
    ('base', None, .15, 1.6e-3, 1024, .807, 100, 5, 5e-6),
    'itpn-pixel_large_32xb32-ft-50e_in1k':
    ('large', None, .2, 4e-3, 1024, .841, 50, 5, 5e-6),
    'itpn-clip_base_32xb32-ft-100e_in1k':
    ('base', .1, .1, 5e-4, 1024, .807, 100, 20, 1e-6),
    'itpn-clip_large_32xb16-ft-50e_in1k':
    ('large', .1, .25, 2e-4, 512, .841, 50, 5, 1e-6),
    'fast-itpn_tiny_16xb64-ft-100e_in1k':
    ('tiny', None, .1, 1e-4, 1024, .8, 100, 5, 1e-6),
    'fast-itpn_small_16xb64-ft-100e_in1k':
    ('small', None, .1, 1e-4, 1024, .9, 100, 5, 1e-6),
    'fast-itpn_base_32xb32-ft-20e_in1k':
    ('base', None, .1, 1e-4, 1024, .9, 20, 3, 1e-6),
    'fast-itpn_large_32xb16-ft-20e_in1k':
    ('large', None, .2, 5e-5, 512, .95, 20, 3, 1e-6),
}
# Millions of parameters of the classifier with 1000 classes.
PARAMS = dict(zip(CLS, (78.56, 288.49, 78.58, 288.56, 24.22, 39.90, 84.83,
                        312.02)))
# Config -> arch, layer scale, relative positions, depth of the pyramid, drop
# path, rate, layer decay, epochs, steps.
DET = {
    'maskrcnn_itpn_base_1x_coco':
    ('base', None, 'none', 2, .05, 2e-4, .9, 12, [9, 11]),
    'maskrcnn_itpn_base_3x_coco':
    ('base', None, 'none', 2, .3, 1.5e-4, .9, 36, [27, 33]),
    'cascade_itpn_base_3x_coco':
    ('base', None, 'none', 2, .2, 1e-4, .9, 36, [27, 33]),
    'maskrcnn_itpn_large_1x_coco':
    ('large', None, 'none', 2, .2, 2e-4, .95, 12, [9, 11]),
    'maskrcnn_itpn-clip_base_1x_coco':
    ('base', .1, 'none', 1, .05, 2e-4, .9, 12, [9, 11]),
    'maskrcnn_itpn-clip_base_3x_coco':
    ('base', .1, 'none', 1, .3, 1.5e-4, .9, 36, [27, 33]),
    'cascade_itpn-clip_base_3x_coco':
    ('base', .1, 'none', 1, .2, 1e-4, .9, 36, [27, 33]),
    'maskrcnn_itpn-clip_large_1x_coco':
    ('large', .1, 'decomposed', 1, .2, 2e-4, .95, 12, [9, 11]),
}
# Config -> arch, layer scale, depth of the pyramid, drop path, layer decay.
SEG = {
    'upernet_itpn_base_ade20k': ('base', None, 2, .1, .9**(13 / 32)),
    'upernet_itpn_large_ade20k': ('large', None, 2, .2, .95**(13 / 46)),
    'upernet_itpn-clip_base_ade20k': ('base', .1, 1, .2, .9**(13 / 32)),
    'upernet_itpn-clip_large_ade20k': ('large', .1, 1, .2, .95**(13 / 46)),
}


@pytest.mark.parametrize('name', CLS)
def test_fine_tuning_recipe(name: str) -> None:
    (arch, scale, drop_path, lr, batch, decay, epochs, warm_up,
     end) = CLS[name]
    cfg = load(name)
    backbone = cfg.model.backbone
    assert (backbone.arch, backbone.get('layer_scale'),
            backbone.drop_path_rate) == (arch, scale, drop_path)
    assert backbone.get('rpe') == (None if 'fast' in name else 'table')
    wrapper = cfg.optim_wrapper
    assert (wrapper.type, wrapper.constructor) == ('AmpOptimWrapper',
                                                   CONSTRUCTOR)
    assert wrapper.optimizer == dict(
        type='AdamW', lr=pytest.approx(lr), weight_decay=.05, eps=1e-8,
        betas=(.9, .999))
    assert wrapper.paramwise_cfg.layer_decay_rate == pytest.approx(
        decay, abs=5e-4)
    nodes, images = re.search(r'_(\d+)xb(\d+)-', name).groups()
    assert cfg.train_dataloader.batch_size == int(images)
    assert cfg.auto_scale_lr.base_batch_size == batch
    assert int(nodes) * int(images) == batch
    assert ('EMAHook' in str(cfg.get('custom_hooks'))) == ('fast' in name)
    assert ('RandomErasing' in steps_of(cfg)) == ('pixel' in name)
    inception = [127.5] * 3
    assert (cfg.data_preprocessor.mean == inception) == ('clip' in name)
    assert (cfg.data_preprocessor.std == inception) == ('clip' in name)
    found = rates(cfg, 10)
    assert len(found) == 10 * epochs
    assert found[10 * warm_up - 1] == pytest.approx(lr)
    assert max(found) == pytest.approx(lr)
    assert found[0] < 2e-3 * lr
    assert found[-1] == pytest.approx(end, rel=.02)
    half = 10 * (warm_up + epochs) // 2
    assert found[half] == pytest.approx((lr + end) / 2, rel=.05)


@pytest.mark.parametrize('name', CLS)
def test_classifier_has_the_published_size(name: str) -> None:
    model = load(name).model.to_dict()
    assert millions(build_meta(model)) == PARAMS[name]
    card = (ITPN / 'README.md').read_text()
    row = next(x for x in card.splitlines() if f'({name}.py)' in x)
    assert f'{PARAMS[name]:.2f}M' in row


@pytest.mark.parametrize('path', sorted(ITPN.glob('*px.py')),
                         ids=lambda p: p.stem)
def test_larger_images_change_nothing_else(path: Path) -> None:
    size = int(re.search(r'(\d+)px', path.stem)[1])
    cfg = load(path.stem)
    plain = load(re.sub(r'-\d+px', '', path.stem))
    assert cfg.model.backbone.img_size == size
    for key in ('optim_wrapper', 'param_scheduler', 'train_cfg',
                'auto_scale_lr'):
        assert cfg[key] == plain[key]
    steps, plain_steps = steps_of(cfg), steps_of(plain)
    assert list(steps) == list(plain_steps)
    if 'RandomResizedCrop' not in steps:
        return  # pre-training: its own test
    assert steps['RandomResizedCrop'].scale == size
    test = steps_of(cfg, 'val')
    if size >= 384:
        assert test['Resize'].scale == (size, size)
        assert 'CenterCrop' not in test
    else:
        assert test['CenterCrop'].crop_size == size
        assert test['ResizeEdge'].scale == int(size / (224 / 256))
    assert cfg.test_dataloader == cfg.val_dataloader


@pytest.mark.parametrize('name', DET)
def test_detection_recipe(name: str) -> None:
    (arch, scale, rpe, depth, drop_path, lr, decay, epochs,
     milestones) = DET[name]
    cfg = load(name)
    backbone, neck = cfg.model.backbone, cfg.model.neck
    assert backbone.type == 'mmvision_ext.ITPN'
    assert (backbone.arch, backbone.get('layer_scale'),
            backbone.get('rpe', 'none'),
            backbone.drop_path_rate) == (arch, scale, rpe, drop_path)
    assert neck == dict(
        type='mmvision_ext.ITPNPyramid', in_channels=WIDTHS[arch],
        out_channels=256, depth=depth, num_outs=5)
    anchors = cfg.model.rpn_head.anchor_generator
    assert anchors.strides == [4, 8, 16, 32, 64]
    wrapper = cfg.optim_wrapper
    assert wrapper.optimizer == dict(
        type='AdamW', lr=lr, betas=(.9, .999), weight_decay=.05)
    assert wrapper.constructor == CONSTRUCTOR
    assert wrapper.paramwise_cfg.layer_decay_rate == decay
    assert wrapper.get('clip_grad') is None
    assert (cfg.train_dataloader.batch_size,
            cfg.auto_scale_lr.base_batch_size) == (2, 64)
    found = rates(cfg, 1000)
    assert len(found) == 1000 * epochs
    assert found[0] == pytest.approx(1e-3 * lr)
    assert found[499] == pytest.approx(lr)
    for index, step in enumerate(milestones):
        assert found[1000 * step - 1] == pytest.approx(lr * .1**index)
        assert found[1000 * step] == pytest.approx(lr * .1**(index + 1))


@pytest.mark.parametrize('name', DET)
def test_box_head_of_detection(name: str) -> None:
    heads = load(name).model.roi_head.bbox_head
    heads = heads if isinstance(heads, list) else [heads]
    stds = [[.1, .1, .2, .2], [.05, .05, .1, .1], [.033, .033, .067, .067]]
    assert len(heads) == (3 if 'cascade' in name else 1)
    for head, std in zip(heads, stds):
        assert head.type == 'Shared4Conv1FCBBoxHead'
        assert head.norm_cfg.type == 'SyncBN'
        assert head.loss_bbox == dict(type='GIoULoss', loss_weight=10.)
        assert head.reg_decoded_bbox is True
        assert head.reg_class_agnostic is False
        assert head.bbox_coder.target_stds == std


def stock(name: str) -> Config:
    root = Path(find_spec('mmdet').origin).parent / '.mim' / 'configs'
    return Config.fromfile(root / name)


def test_all_else_is_the_stock_mask_rcnn() -> None:
    ours = load('maskrcnn_itpn_base_1x_coco')
    theirs = stock('swin/mask-rcnn_swin-t-p4-w7_fpn_ms-crop-3x_coco.py')
    assert ours.train_dataloader == theirs.train_dataloader
    assert ours.val_dataloader == theirs.val_dataloader
    for key in ('rpn_head', 'train_cfg', 'test_cfg', 'data_preprocessor'):
        assert ours.model[key] == theirs.model[key], key
    assert ours.model.roi_head.mask_head == theirs.model.roi_head.mask_head


def test_all_else_is_the_stock_cascade() -> None:
    ours = load('cascade_itpn_base_3x_coco').model
    theirs = stock('_base_/models/cascade-mask-rcnn_r50_fpn.py').model
    assert ours.type == theirs.type
    for key in ('rpn_head', 'train_cfg', 'test_cfg', 'data_preprocessor'):
        assert ours[key] == theirs[key], key
    del ours.roi_head['bbox_head'], theirs.roi_head['bbox_head']
    assert ours.roi_head == theirs.roi_head


@pytest.mark.parametrize('name', SEG)
def test_segmentation_recipe(name: str) -> None:
    arch, scale, depth, drop_path, decay = SEG[name]
    cfg = load(name)
    assert cfg.model.backbone.to_dict() == dict(
        type='mmvision_ext.ITPN', arch=arch, img_size=512, pos_size=14,
        rpe='table', drop_path_rate=drop_path,
        **({} if scale is None else dict(layer_scale=scale)))
    assert cfg.model.neck == dict(
        type='mmvision_ext.ITPNPyramid', in_channels=WIDTHS[arch],
        out_channels=256, depth=depth, num_outs=4, pool='max', concat=True)
    dims = dict(base=[384, 512, 768, 768], large=[448, 640, 1024, 1024])[arch]
    head, aux = cfg.model.decode_head, cfg.model.auxiliary_head
    assert (head.type, head.in_channels, head.channels, head.num_classes,
            head.pool_scales) == ('UPerHead', dims, 768, 150, (1, 2, 3, 6))
    assert (aux.type, aux.in_channels, aux.in_index, aux.channels,
            aux.num_convs, aux.loss_decode.loss_weight) == (
                'FCNHead', dims[2], 2, 256, 1, .4)
    assert cfg.model.test_cfg == dict(
        mode='slide', crop_size=(512, 512), stride=(341, 341))
    wrapper = cfg.optim_wrapper
    assert wrapper.optimizer == dict(
        type='AdamW', lr=3e-5, betas=(.9, .999), weight_decay=.05)
    assert wrapper.paramwise_cfg.layer_decay_rate == pytest.approx(decay)
    assert (cfg.train_dataloader.batch_size,
            cfg.auto_scale_lr.base_batch_size,
            cfg.train_cfg.max_iters) == (2, 16, 160000)
    # Schedule, pipelines and evaluation are those of the vHeat config, which
    # are held to the stock ones.
    vheat = Config.fromfile(CONFIGS / 'vheat' / 'upernet_vheat_ade20k.py')
    for key in ('param_scheduler', 'train_dataloader', 'val_dataloader',
                'val_evaluator', 'default_hooks', 'data_preprocessor'):
        assert cfg[key] == vheat[key], key


def layer_table(cfg: Config, backbone: nn.Module) -> dict[str, tuple]:
    """Parameter -> share of the rate, weight decay."""
    model = nn.Module()
    model.backbone, model.head = backbone, nn.Linear(2, 2)
    wrapper = dict(cfg.optim_wrapper.to_dict(), type='OptimWrapper')
    wrapper.pop('dtype', None)
    groups = build_optim_wrapper(model, wrapper).optimizer.param_groups
    names = {id(p): n for n, p in model.named_parameters()}
    lr = wrapper['optimizer']['lr']
    return {
        names[id(p)]: (g['lr'] / lr, g['weight_decay'])
        for g in groups for p in g['params']
    }


@pytest.mark.parametrize('name, rate, tables', [
    ('maskrcnn_itpn_base_1x_coco', .9, ''),
    ('upernet_itpn_base_ade20k', .9**(13 / 32), 'bias_table'),
    ('itpn-pixel_base_32xb32-ft-100e_in1k', .6**(13 / 31), 'bias_table'),
    ('fast-itpn_base_32xb32-ft-20e_in1k', .9, ''),
])
def test_layer_table(name: str, rate: float, tables: str) -> None:
    """30 blocks; merges count with the block before; tables do not decay."""
    cfg = load(name)
    found = layer_table(cfg, build_meta(cfg.model.backbone))
    expected = {'head.weight': 0, 'backbone.patch_embed.proj.weight': 31}
    for index, layer in ((0, 1), (2, 3), (3, 3), (4, 4), (7, 6), (8, 7),
                         (31, 30)):
        part = f'backbone.blocks.{index}.'
        weight = next(n for n in found if n.startswith(part)
                      and n.endswith('.weight'))
        expected[weight] = 31 - layer
    position = next(n for n in found if n.endswith('pos_embed'))
    expected[position] = 31
    for key, exponent in expected.items():
        assert found[key][0] == pytest.approx(rate**exponent), key
    for key, parameter in build_meta(
            cfg.model.backbone).named_parameters():
        fixed = parameter.ndim == 1 or key.endswith('.bias') or \
            key == position.removeprefix('backbone.') or (
                tables and key.endswith(tables))
        assert found[f'backbone.{key}'][1] == (0. if fixed else .05), key
