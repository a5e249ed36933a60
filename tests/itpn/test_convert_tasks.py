"""Whole detectors and segmentors; one pre-training file for all tasks."""
import logging
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.utils import get_installed_path

from mmvision_ext.apis import load_model
from mmvision_ext.engine import stock_models
from mmvision_ext.engine.build import build_model
from mmvision_ext.engine.convert import sort_weights
from mmvision_ext.engine.convert_cli import convert_file
from mmvision_ext.itpn import convert as family
from mmvision_ext.itpn.official import PYRAMID

ARCH = dict(embed_dims=32, depths=(1, 1, 2), num_heads=2)
WIDTHS = [8, 16, 32]


def _backbone(**options):
    return dict(type='mmvision_ext.ITPN', arch=ARCH, img_size=64, **options)


def _neck(**options):
    return dict(type='mmvision_ext.ITPNPyramid', in_channels=WIDTHS,
                **options)


def _official(state):
    """Official names: the pyramid is a part of the backbone there."""
    return {re.sub(r'^neck\.', 'backbone.', name): value
            for name, value in state.items()}


def _heads(box, build):
    head = dict(box(3), reg_class_agnostic=build == 'cascade')
    make = dict(mask=stock_models.mask_rcnn,
                cascade=stock_models.cascade_mask_rcnn)[build]
    return make(_backbone(), WIDTHS, 3, _neck(), head)


@pytest.mark.parametrize('box,build', [
    (stock_models.conv_box_head, 'mask'),
    (stock_models.conv_box_head, 'cascade'),
    (stock_models.fc_box_head, 'mask'),
])
def test_detectors(box, build):
    config = _heads(box, build)
    with torch.device('meta'):
        state = build_model(config).state_dict()
    result = family.convert(sort_weights(_official(state)))
    assert result.form == 'detection' and result.dropped == ()
    ours = dict(result.model)
    backbone, neck = ours.pop('backbone'), ours.pop('neck')
    # all but backbone and pyramid, whose defaults are written out
    for part in ('backbone', 'neck'):
        config.pop(part)
    assert ours == config
    assert backbone['ln_eps'] == neck['ln_eps'] == 1e-5
    assert neck['out_channels'] == 256 and neck['num_outs'] == 5
    assert set(result.state_dict) == set(state)
    with torch.device('meta'):
        own = build_model(result.model).state_dict()
    assert {n: v.shape for n, v in own.items()} == {
        n: v.shape for n, v in state.items()}


def test_the_cascade_is_the_stock_one_with_its_box_heads():
    file = (get_installed_path('mmdet') + '/.mim/configs/_base_/models/'
            'cascade-mask-rcnn_r50_fpn.py')
    stock = Config.fromfile(file).to_dict()['model']
    for head in stock['roi_head']['bbox_head']:
        coder = head['bbox_coder']
        head.clear()
        head.update(stock_models.conv_box_head(80), bbox_coder=coder)
    ours = stock_models.cascade_mask_rcnn(
        {}, [256, 512, 1024, 2048], 80,
        box_head=stock_models.conv_box_head(80))
    assert ours.pop('_scope_') + '.' + stock.pop('type') == ours.pop('type')
    assert dict(ours, backbone=0) == dict(stock, backbone=0)


def test_segmentor(tmp_path):
    neck = _neck(out_channels=16, depth=2, num_outs=4, pool='max',
                 concat=True)
    config = stock_models.upernet(
        _backbone(rpe='table'), [24, 32, 48, 48], 7, 12, 8,
        dict(mode='slide', crop_size=(512, 512), stride=(341, 341)), neck)
    state = build_model(config).state_dict()
    official = {'state_dict': _official(state), 'meta': {'epoch': 1}}
    official['state_dict']['backbone.relative_position_index'] = \
        torch.zeros(16, 16).long()
    torch.save(official, tmp_path / 'src.pth')
    result = convert_file(tmp_path / 'src.pth', tmp_path / 'dst.pth')
    assert result.form == 'segmentation' and result.dropped == ()
    assert result.ignored == ('backbone.relative_position_index', )
    ours = dict(result.model)
    assert ours.pop('backbone')['rpe'] == 'table'
    assert ours.pop('neck')['depth'] == 2
    assert ours == {k: v for k, v in config.items()
                    if k not in ('backbone', 'neck')}
    model = load_model(tmp_path / 'dst.pth')
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    with torch.no_grad():
        assert model(torch.randn(1, 3, 64, 96)).shape == (1, 7, 16, 24)


@pytest.fixture(params=['pixel', 'clip'])
def pretrained(request, tmp_path):
    """Kind, converted file and official weights of a pre-training."""
    if request.param == 'pixel':
        config = dict(
            type='mmvision_ext.ITPNPixelPretrain', backbone=_backbone(),
            neck=_neck(out_channels=24, depth=2, num_outs=3),
            decoder=dict(embed_dims=32, depth=1, num_heads=2))
    else:
        config = dict(
            type='mmvision_ext.ITPNCLIPPretrain',
            backbone=_backbone(rpe='table', layer_scale=0.1),
            neck=_neck(out_channels=24, num_outs=3), teacher_dims=12)
    model = build_model(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    state = {n.partition('.')[2]: v for n, v in model.state_dict().items()}
    src, dst = tmp_path / 'src.pth', tmp_path / 'dst.pth'
    torch.save({'model': state}, src)
    convert_file(src, dst)
    return request.param, str(dst), state


def _start(config, file):
    """A model started from a file, and its warnings."""
    lines = []

    def handle(record):
        if record.levelno >= logging.WARNING:
            lines.append(record.getMessage())

    model = build_model(dict(
        config, init_cfg=dict(type='Pretrained', checkpoint=file)))
    logger = MMLogger.get_current_instance()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logger, 'handle', handle)
        model.init_weights()
    return model, [line for line in lines if line.startswith('ITPN')]


def _carried(model, state):
    """Names in the model that hold the very values of the file."""
    carried = set()
    for name, value in model.state_dict().items():
        part, _, short = name.partition('.')
        if part in ('backbone', 'neck') and short in state and \
                value.shape == state[short].shape and \
                torch.equal(value, state[short]):
            carried.add(name)
    return carried


def _split(state):
    neck = {n for n in state if n.split('.')[0] in PYRAMID}
    backbone = {n for n in state if n.split('.')[0] in (
        'absolute_pos_embed', 'patch_embed', 'blocks')}
    return backbone, neck


def test_file_starts_a_detector(pretrained):
    kind, file, state = pretrained
    backbone, neck = _split(state)
    config = stock_models.mask_rcnn(
        _backbone(layer_scale=0.1 if kind == 'clip' else None), WIDTHS, 3,
        _neck(out_channels=24, depth=1))
    config['rpn_head'].update(in_channels=24, feat_channels=8)
    for head in ('bbox_head', 'mask_head'):
        config['roi_head'][head]['in_channels'] = 24
        config['roi_head'][f'{head[:-5]}_roi_extractor']['out_channels'] = 24
    config['roi_head']['bbox_head']['fc_out_channels'] = 8
    model, lines = _start(config, file)
    tables = {n for n in backbone if n.endswith('bias_table')}
    extra = {n for n in neck if '_16to8.1.' in n or '_8to4.1.' in n}
    carried = _carried(model, state)
    assert carried == {f'backbone.{n}' for n in backbone - tables} | {
        f'neck.{n}' for n in neck - extra}
    parts = [n for n in model.state_dict()
             if n.startswith(('backbone.', 'neck.'))]
    assert carried == set(parts)
    if kind == 'pixel':
        assert (len(carried), len(extra)) == (87, 12)
        assert lines == [
            'ITPNPyramid: 12 tensors given without a place for them, left '
            'out: neck.block_16to8.1, neck.block_8to4.1']
    else:
        assert (len(carried), len(tables)) == (93, 2)
        assert len(lines) == 1 and lines[0].startswith(
            'ITPN: 2 tensors given without a place for them, left out: '
            'backbone.blocks.4.attn.relative_position_bias_table, ')
    # heads are initialised as always
    assert model.rpn_head.rpn_conv.weight.std().item() == pytest.approx(
        0.01, rel=0.1)


def test_file_starts_a_segmentor(pretrained):
    kind, file, state = pretrained
    backbone, neck = _split(state)
    model, lines = _start(
        stock_models.upernet(
            dict(_backbone(layer_scale=0.1 if kind == 'clip' else None),
                 img_size=96, pos_size=4, rpe='table'),
            [32, 40, 56, 56], 7, 8, 8,
            neck=_neck(out_channels=24, depth=2, num_outs=4, pool='max',
                       concat=True)), file)
    tables = {n for n in backbone if n.endswith('bias_table')}
    assert _carried(model, state) == {
        f'backbone.{n}' for n in backbone - tables} | {
            f'neck.{n}' for n in neck}
    table = model.backbone.blocks[5].attn.relative_position_bias_table
    assert table.shape == (121, 2)
    if kind == 'pixel':
        assert table.abs().max() == 0.
        assert len(lines) == 1 and lines[0].startswith(
            'ITPN: 2 tensors not among the weights given, left as they are: '
            'backbone.blocks.4.attn.relative_position_bias_table, ')
    else:
        # resized, and the second blocks of the pyramid start afresh
        centre = state['blocks.5.attn.relative_position_bias_table'][24]
        assert torch.allclose(table[60], centre, atol=1e-6)
        assert lines == [
            'ITPNPyramid: 12 tensors not among the weights given, left as '
            'they are: neck.block_16to8.1, neck.block_8to4.1']


def test_file_starts_a_classifier(pretrained):
    kind, file, state = pretrained
    backbone, _ = _split(state)
    model, lines = _start(
        stock_models.image_classifier(
            _backbone(out_type='avg_featmap', rpe='table',
                      layer_scale=0.1 if kind == 'clip' else None),
            32, 5, pooled=True), file)
    assert _carried(model, state) == {f'backbone.{n}' for n in backbone}
    assert len(backbone) == {'pixel': 47, 'clip': 55}[kind]
    assert len(lines) == 1
    assert f'ITPN: {4 if kind == "pixel" else 2} tensors not among' in \
        lines[0]
    assert 'backbone.fc_norm' in lines[0]
    assert model.backbone.fc_norm.weight.tolist() == [1.] * 32


def test_pyramid_of_another_width_is_refused(pretrained):
    _, file, _ = pretrained
    config = dict(
        type='mmvision_ext.FeatureExtractor', backbone=_backbone(),
        neck=_neck(out_channels=16))
    # of a file with layer scale not even the backbone fits
    with pytest.raises(ValueError, match='not weights of this ITPN'):
        _start(config, file)
