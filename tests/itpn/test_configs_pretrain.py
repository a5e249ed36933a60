"""The pre-training configs of iTPN, and what starts from their weights."""
import ast
import math
import re
from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from .recipes import (
    ITPN,
    WIDTHS,
    build_meta,
    load,
    millions,
    rates,
    steps_of,
)

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
