"""The iTPN configs carry the recipes of the original, figure by figure."""
import ast
import math
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS, init_default_scope
from torch import nn

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
ITPN = CONFIGS / 'itpn'
CONSTRUCTOR = 'mmvision_ext.LayerDecayOptimWrapperConstructor'

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
# Config -> arch, epochs, millions of parameters that are trained or fixed.
PIXEL = {
    'itpn-pixel_base_64xb64-amp-400e_in1k': ('base', 400, 108.49),
    'itpn-pixel_base_64xb64-amp-1600e_in1k': ('base', 1600, 108.49),
    'itpn-pixel_large_64xb64-amp-400e_in1k': ('large', 400, 318.34),
    'itpn-pixel_large_64xb64-amp-1600e_in1k': ('large', 1600, 318.34),
}
# Config -> arch, epochs, drop path, student, teacher, T, parameters.
CLIP = {
    'itpn-clip_base_64xb32-amp-300e_in1k':
    ('base', 300, .1, 224, 224, 512, 88.74),
    'itpn-clip_base_64xb32-amp-800e_in1k':
    ('base', 800, .1, 224, 224, 512, 88.74),
    'itpn-clip-l_large_64xb32-amp-300e_in1k':
    ('large', 300, .2, 224, 196, 768, 307.45),
    'itpn-clip-l_large_64xb32-amp-300e_in1k-256px':
    ('large', 300, .2, 256, 224, 768, 307.62),
}
# Pre-training -> what starts from it.
CHAINS = [
    ('itpn-pixel_base_64xb64-amp-1600e_in1k', 'maskrcnn_itpn_base_1x_coco'),
    ('itpn-pixel-mfm_base_64xb64-amp-1600e_in1k',
     'upernet_itpn_base_ade20k'),
    ('itpn-pixel_large_64xb64-amp-1600e_in1k', 'upernet_itpn_large_ade20k'),
    ('itpn-clip_base_64xb32-amp-800e_in1k', 'cascade_itpn-clip_base_3x_coco'),
    ('itpn-clip_base_64xb32-amp-800e_in1k', 'upernet_itpn-clip_base_ade20k'),
    ('itpn-clip-l_large_64xb32-amp-300e_in1k',
     'maskrcnn_itpn-clip_large_1x_coco'),
    ('itpn-clip_base_64xb32-amp-300e_in1k',
     'itpn-clip_base_32xb32-ft-100e_in1k'),
    ('itpn-pixel_base_64xb64-amp-400e_in1k',
     'itpn-pixel_base_32xb32-ft-100e_in1k'),
    ('itpn-nano_pretrain_pixel-mfm', 'maskrcnn_itpn_nano_nuclei'),
    ('itpn-nano_pretrain_pixel', 'upernet_itpn_nano_camvid'),
]
WIDTHS = dict(base=[128, 256, 512], large=[192, 384, 768])


def load(name: str) -> Config:
    cfg = Config.fromfile(ITPN / f'{name}.py')
    init_default_scope(cfg.default_scope)
    return cfg


def build_meta(part: dict) -> nn.Module:
    """A module without values: base and large would be gigabytes."""
    with torch.device('meta'):
        return MODELS.build(part)


def millions(module: nn.Module) -> float:
    return round(sum(p.numel() for p in module.parameters()) / 1e6, 2)


def steps_of(cfg: Config, split: str = 'train') -> dict[str, Any]:
    pipeline = cfg[f'{split}_dataloader'].dataset.pipeline
    return {step.type.split('.')[-1]: step for step in pipeline}


def rates(cfg: Config, epoch_length: int) -> list[float]:
    """The rate of the heads in each iteration of a training."""
    lr = cfg.optim_wrapper.optimizer.lr
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=lr)
    schedulers = [
        PARAM_SCHEDULERS.build(
            item.copy(),
            default_args=dict(optimizer=optimizer, epoch_length=epoch_length))
        for item in cfg.param_scheduler
    ]
    total = cfg.train_cfg.max_epochs * epoch_length
    result = []
    for step in range(1, total + 1):
        result.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for item in schedulers:
            if not item.by_epoch or step % epoch_length == 0:
                item.step()
    return result


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


@pytest.mark.parametrize('name', PIXEL)
def test_pixel_pretraining_recipe(name: str) -> None:
    arch, epochs, size = PIXEL[name]
    cfg = load(name)
    assert cfg.model.backbone == dict(type='mmvision_ext.ITPN', arch=arch)
    assert (cfg.model.neck.depth, cfg.model.neck.in_channels) == (
        2, WIDTHS[arch])
    assert cfg.model.mask_ratio == .75
    assert cfg.model.get('mfm') is None
    assert cfg.optim_wrapper.optimizer == dict(
        type='AdamW', lr=pytest.approx(2.4e-3), betas=(.9, .95),
        weight_decay=.05)
    assert (cfg.train_dataloader.batch_size,
            cfg.auto_scale_lr.base_batch_size) == (64, 4096)
    crop = steps_of(cfg)['RandomResizedCrop']
    assert (crop.scale, crop.crop_ratio_range,
            crop.interpolation) == (224, (.2, 1.), 'bicubic')
    found = rates(cfg, 2)
    assert len(found) == 2 * epochs
    assert found[79] == pytest.approx(2.4e-3)
    half = 80 + (len(found) - 80) // 2
    assert found[half] == pytest.approx(1.2e-3, rel=.02)
    assert found[-1] < 1e-6
    assert millions(build_meta(cfg.model.to_dict())) == size


@pytest.mark.parametrize('name', [n for n in PIXEL])
def test_mfm_is_the_only_difference(name: str) -> None:
    plain, with_mfm = load(name), load(name.replace('pixel', 'pixel-mfm'))
    assert with_mfm.model.pop('mfm') == dict(
        teacher='momentum', weight=.3, momentum=.996)
    hooks = with_mfm.pop('custom_hooks')
    assert hooks == [dict(type='mmvision_ext.MomentumTeacherHook')]
    assert with_mfm.to_dict() == plain.to_dict()


@pytest.mark.parametrize('name', CLIP)
def test_clip_pretraining_recipe(name: str) -> None:
    arch, epochs, drop_path, student, teacher, channels, size = CLIP[name]
    cfg = load(name)
    assert cfg.model.backbone == dict(
        type='mmvision_ext.ITPN', arch=arch, img_size=student, rpe='table',
        layer_scale=.1, drop_path_rate=drop_path)
    assert (cfg.model.neck.depth, cfg.model.teacher_dims,
            cfg.model.teacher.img_size) == (1, channels, teacher)
    steps = steps_of(cfg)
    views, mask = steps['TwoViewRandomResizedCrop'], steps[
        'BlockMaskGenerator']
    assert (views['size'], views.second_size,
            views.scale) == (student, teacher, (.08, 1.))
    assert (mask.input_size, mask.num_masking_patches,
            mask.min_num_patches) == (student // 16, 75, 16)
    assert cfg.optim_wrapper.optimizer == dict(
        type='AdamW', lr=1.5e-3, betas=(.9, .98), weight_decay=.05)
    assert (cfg.train_dataloader.batch_size,
            cfg.auto_scale_lr.base_batch_size) == (32, 2048)
    found = rates(cfg, 2)
    assert len(found) == 2 * epochs
    assert found[9] == pytest.approx(1.5e-3)
    assert found[-1] == pytest.approx(1e-5, rel=.01)
    model = cfg.model.to_dict()
    model['teacher'] = None
    assert millions(build_meta(model)) == size


@pytest.mark.parametrize('source, target', CHAINS)
def test_pretraining_fits_what_starts_from_it(source: str,
                                              target: str) -> None:
    """Every weight of backbone and pyramid is carried over, but tables."""
    source_cfg, target_cfg = load(source), load(target)
    free = re.compile(r'absolute_pos_embed|relative_position|rel_pos_|fc_norm')
    for part in ('backbone', 'neck'):
        if target_cfg.model.get(part) is None:
            continue
        given = build_meta(source_cfg.model[part]).state_dict()
        wanted = build_meta(target_cfg.model[part]).state_dict()
        names = {n for n in wanted if not free.search(n)}
        assert names == {n for n in given if not free.search(n)}
        assert all(given[n].shape == wanted[n].shape for n in names)


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


def header_options(name: str, checkpoint: str) -> list[dict[str, str]]:
    """What the header says to start from: a dict for each way."""
    text = ast.get_docstring(
        ast.parse((ITPN / f'{name}.py').read_text())) or ''
    ways = {}
    for prefix in ('model.init_cfg', 'model.backbone.init_cfg'):
        pairs = re.findall(rf'({re.escape(prefix)}\.\w+)=([\w.]+)', text)
        ways[prefix] = {
            key: checkpoint if value.startswith('FILE') else value
            for key, value in pairs
        }
    return [way for way in ways.values() if way]


def started(name: str, options: dict[str, str]) -> nn.Module:
    cfg = load(name)
    cfg.merge_from_dict(options)
    for head in ('decode_head', 'auxiliary_head'):
        if cfg.model.get(head):
            cfg.model[head].norm_cfg = dict(type='BN')
    torch.manual_seed(1)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model


@pytest.mark.smoke
@pytest.mark.parametrize('name, tasks', [
    ('itpn-nano_cifar10', ['backbone']),
    ('maskrcnn_itpn_nano_nuclei', ['both', 'backbone']),
    ('upernet_itpn_nano_camvid', ['both', 'backbone']),
])
def test_header_options_start_from_pretraining(name: str, tasks: list[str],
                                               tmp_path: Path) -> None:
    """With and without the pyramid, by the options of the header alone."""
    source = load('itpn-nano_pretrain_pixel-mfm')
    torch.manual_seed(0)
    weights = MODELS.build(source.model).state_dict()
    torch.save(dict(state_dict=weights), tmp_path / 'pre.pth')
    ways = header_options(name, str(tmp_path / 'pre.pth'))
    assert len(ways) == len(tasks)
    for options, task in zip(ways, tasks):
        model = started(name, options)
        for key, value in model.backbone.named_parameters():
            if not re.search('pos_embed|relative_position|fc_norm', key):
                assert torch.equal(value, weights[f'backbone.{key}']), key
        own = model.backbone.absolute_pos_embed
        if own.shape != weights['backbone.absolute_pos_embed'].shape:
            assert own.std() > .1  # sines resized, not drawn anew
        if name == 'itpn-nano_cifar10':
            continue
        same = {
            key: torch.equal(value, weights[f'neck.{key}'])
            for key, value in model.neck.named_parameters()
            if value.ndim > 1
        }
        assert len(same) == 15
        assert set(same.values()) == {task == 'both'}
        # The heads are initialised as ever.
        if 'maskrcnn' in name:
            std = model.rpn_head.rpn_conv.weight.std().item()
            assert math.isclose(std, .01, rel_tol=.05)
