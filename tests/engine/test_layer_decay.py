"""Layer-wise learning rates of every backbone in every framework."""
import logging
import re

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmvision_ext.engine import stock_models
from mmvision_ext.engine.build import build_model
from mmvision_ext.registry import MODELS

VHEAT = dict(type='mmvision_ext.VHeat', arch='nano', img_size=32)
VHEAT_WIDTHS = [24, 48, 96, 192]

ARCH = dict(embed_dims=32, depths=(1, 1, 2), num_heads=2)
ITPN_WIDTHS = [8, 16, 32]

# Of each backbone, the names in the layers from the stem to the heads.
LAYERS = {
    'VHeat': [
        r'patch_embed', r'freq_embed\.0|stages\.0', r'freq_embed\.1|stages\.1',
        r'freq_embed\.2|stages\.2\.blocks\.0',
        r'stages\.2\.(blocks\.1|downsample)', r'freq_embed\.3|stages\.3',
        r'norm'
    ],
    'ITPN': [
        r'patch_embed|absolute_pos_embed', r'blocks\.[01]', r'blocks\.[23]',
        r'blocks\.4', r'blocks\.5', r'fc_norm'
    ],
    'FastITPN': [
        r'patch_embed|pos_embed', r'blocks\.[01]', r'blocks\.[23]',
        r'blocks\.4', r'blocks\.5', r'fc_norm'
    ],
}


def _itpn(family):
    return dict(
        type=f'mmvision_ext.{family}', arch=ARCH, img_size=32,
        layer_scale=0.1)


def _neck(family, **options):
    kind = {'ITPN': 'ITPNPyramid', 'FastITPN': 'FastITPNPyramid'}[family]
    return dict(
        type=f'mmvision_ext.{kind}', in_channels=ITPN_WIDTHS, **options)


def _classifier(backbone, widths):
    return stock_models.image_classifier(
        dict(backbone, out_indices=(len(widths) - 1, )), widths[-1], 7)


def _detector(backbone, widths, neck=None):
    config = stock_models.mask_rcnn(backbone, widths, 3, neck)
    config['roi_head']['bbox_head']['fc_out_channels'] = 8
    return config


def _segmentor(backbone, widths, neck=None):
    return stock_models.upernet(backbone, widths, 5, 8, 8, neck=neck)


def _config(family, kind):
    """A model of one of the frameworks with a backbone of ours."""
    if family == 'VHeat':
        make = dict(mmpretrain=_classifier, mmdet=_detector,
                    mmseg=_segmentor)[kind]
        return make(VHEAT, VHEAT_WIDTHS)
    if kind == 'mmpretrain':
        return stock_models.image_classifier(
            dict(_itpn(family), out_type='avg_featmap'), 32, 7, pooled=True)
    if kind == 'mmdet':
        return _detector(_itpn(family), ITPN_WIDTHS, _neck(family))
    neck = _neck(family, out_channels=8, num_outs=4, pool='max', concat=True)
    return _segmentor(_itpn(family), [16, 24, 40, 40], neck)


def _wrapper(model, optimizer=(), **paramwise):
    paramwise = {
        'layer_decay_rate': 0.5, 'norm_decay_mult': 0.,
        'bias_decay_mult': 0., 'flat_decay_mult': 0., **paramwise
    }
    return build_optim_wrapper(
        model,
        dict(
            optimizer={
                'type': 'AdamW', 'lr': 0.1, 'weight_decay': 0.05,
                **dict(optimizer)
            },
            constructor='mmvision_ext.LayerDecayOptimWrapperConstructor',
            paramwise_cfg=paramwise))


def _groups(wrapper):
    # those of the wrapper itself end with a copy of the defaults
    return wrapper.optimizer.param_groups


def _by_name(model, wrapper):
    """Name to (layer, rate, decay)."""
    names = {id(p): n for n, p in model.named_parameters()}
    return {
        names[id(p)]: (group['layer_id'], group['lr'], group['weight_decay'])
        for group in _groups(wrapper) for p in group['params']
    }


def _count(model, pattern):
    """Parameters whose names match, those with decay and those without."""
    counts = [0, 0]
    for name, p in model.named_parameters():
        if re.match(pattern, name):
            counts[p.ndim == 1] += p.numel()
    return counts


@pytest.mark.parametrize('kind', ['mmpretrain', 'mmdet', 'mmseg'])
@pytest.mark.parametrize('family', list(LAYERS))
def test_table(family, kind):
    model = build_model(_config(family, kind))
    wrapper = _wrapper(model)
    patterns = [rf'backbone\.({names})' for names in LAYERS[family]]
    patterns[-1] += r'|(?!backbone\.)'
    last = len(patterns) - 1
    expected = []
    for layer, pattern in enumerate(patterns):
        for count, decay in zip(_count(model, pattern), (0.05, 0.)):
            assert count > 0
            expected.append((layer, count, 0.1 * 0.5**(last - layer), decay))
    found = [(g['layer_id'], sum(p.numel() for p in g['params']), g['lr'],
              g['weight_decay']) for g in _groups(wrapper)]
    assert sorted(found) == sorted(expected)
    assert [g['layer_id'] for g in _groups(wrapper)] == sorted(
        2 * list(range(last + 1)))
    assert sum(count for _, count, _, _ in found) == sum(
        p.numel() for p in model.parameters())


def _scales(arch, rate, names, **options):
    """Rates of some parameters over that of the heads, without weights."""
    widths = [128, 256, 512] if arch == 'base' else [192, 384, 768]
    with torch.device('meta'):
        model = build_model(dict(
            type='mmvision_ext.FeatureExtractor',
            backbone=dict(type='mmvision_ext.ITPN', arch=arch),
            neck=dict(type='mmvision_ext.ITPNPyramid', in_channels=widths)))
    values = _by_name(model, _wrapper(
        model, layer_decay_rate=rate, **options))
    assert values['neck.align_dim_16to8.weight'][1] == 0.1
    return [values[f'backbone.{name}'][1] / 0.1 for name in names]


@pytest.mark.parametrize('arch,rate,num_layers,expected', [
    ('base', 0.9, None, 1.1111),
    ('large', 0.95, None, 1.0526),
    ('base', 0.9**(13 / 32), None, 1.0437),
    ('base', 0.9**(13 / 46), 44, 0.6791),
])
def test_legacy_rate_of_the_last_block(arch, rate, num_layers, expected):
    last = 31 if arch == 'base' else 45
    names = [f'blocks.{last}.mlp.fc1.weight', f'blocks.{last - 1}.norm1.bias',
             'patch_embed.proj.weight', 'absolute_pos_embed']
    found = _scales(arch, rate, names, legacy=True, num_layers=num_layers)
    exponent = (num_layers or last - 1) + 1
    assert found == pytest.approx(
        [expected, expected * rate, rate**exponent, 1.], rel=1e-4)
    # and as it was meant
    found = _scales(arch, rate, names)
    assert found == pytest.approx(
        [rate, rate**2, rate**last, rate**last])


def test_legacy_of_fast_counts_merges():
    model = build_model(_config('FastITPN', 'mmpretrain'))
    values = _by_name(model, _wrapper(model, legacy=True))
    assert values['head.fc.weight'][:2] == (7, 0.1)
    assert values['backbone.blocks.5.attn.q_bias'][:2] == (6, 0.05)
    assert values['backbone.blocks.1.reduction.weight'][:2] == (2, 0.1 / 32)
    assert values['backbone.patch_embed.proj.weight'][:2] == (0, 0.1 / 128)


def test_custom_keys_of_the_recipes():
    model = build_model(dict(
        _config('ITPN', 'mmpretrain'),
        backbone=dict(_itpn('ITPN'), out_type='avg_featmap', rpe='table')))
    values = _by_name(model, _wrapper(model, custom_keys={
        'pos_embed': dict(decay_mult=0.),
        'relative_position_bias_table': dict(decay_mult=0.)}))
    free = {name.split('.')[-1] for name, (_, _, decay) in values.items()
            if not decay}
    assert free == {'bias', 'weight', 'gamma_1', 'gamma_2',
                    'absolute_pos_embed', 'relative_position_bias_table'}
    assert all(decay == 0.05 for name, (_, _, decay) in values.items()
               if re.search(r'(fc\d?|qkv|proj|reduction)\.weight', name))


def test_default_rules_and_custom_keys():
    model = build_model(_classifier(VHEAT, VHEAT_WIDTHS))
    wrapper = _wrapper(
        model, norm_decay_mult=0.5, bias_decay_mult=0.25,
        flat_decay_mult=None, dwconv_decay_mult=2.,
        custom_keys={
            'freq_embed': dict(decay_mult=0.),
            'freq_embed.1': dict(lr_mult=3., betas=[0.5, 0.6]),
            'head': dict(lr_mult=0.1)
        })
    values = _by_name(model, wrapper)
    assert values['backbone.freq_embed.0'] == (1, 0.1 / 32, 0.)
    # the longest key counts alone
    assert values['backbone.freq_embed.1'] == (
        2, pytest.approx(0.3 / 16), 0.05)
    assert values['head.fc.weight'] == (6, pytest.approx(0.01), 0.05)
    assert values['head.fc.bias'] == (6, pytest.approx(0.01), 0.05)
    assert values['backbone.patch_embed.norm1.weight'][2] == 0.025
    assert values['backbone.patch_embed.conv1.bias'][2] == 0.0125
    block = 'backbone.stages.0.blocks.0.op.'
    assert values[f'{block}dwconv.weight'][2] == 0.1
    assert values[f'{block}linear.weight'][2] == 0.05
    special = [g for g in _groups(wrapper) if g['betas'] == [0.5, 0.6]]
    assert len(special) == 1 and len(special[0]['params']) == 1


@pytest.fixture
def lines(monkeypatch):
    """What is logged for the user."""
    found = []

    def handle(record):
        if record.levelno >= logging.INFO:
            found.append(record.getMessage())

    monkeypatch.setattr(MMLogger.get_current_instance(), 'handle', handle)
    return found


def test_logged_once_as_a_table(lines):
    model = build_model(
        _classifier(dict(VHEAT, frozen_stages=0), VHEAT_WIDTHS))
    frozen = sum(p.numel() for p in model.parameters()
                 if not p.requires_grad)
    wrapper = _wrapper(model)
    assert frozen > 0 and len(lines) == 1
    rows = lines[0].splitlines()
    assert rows[0] == ('layer-wise learning rates of VHeat in '
                       'ImageClassifier (base 0.1, decay 0.5 a layer):')
    assert rows[1].split() == ['layer', 'parameters', 'lr', 'scale',
                               'weight', 'decay']
    table = [row.split() for row in rows[2:-1]]
    assert len(table) == len(_groups(wrapper)) == 10
    assert ['6', '1,344', '1', '0.05'] in table
    assert ['6', '391', '1', '0'] in table
    assert [row[0] for row in table] == sorted(row[0] for row in table)
    # layers 0 and 1 are frozen
    assert table[0][0] == '2' and table[0][2] == '0.0625'
    assert rows[-1] == f'frozen: {frozen:,} parameters'
    assert MMLogger.get_current_instance().level < 40


def test_silent_on_other_ranks(monkeypatch, lines):
    from mmvision_ext.engine import layer_decay
    monkeypatch.setattr(layer_decay, 'is_main_process', lambda: False)
    _wrapper(build_model(_classifier(VHEAT, VHEAT_WIDTHS)))
    assert lines == []


def test_steps_resumes_and_unwraps():

    class Wrapped(nn.Module):

        def __init__(self, module):
            super().__init__()
            self.module = module

    def make():
        model = build_model(_classifier(VHEAT, VHEAT_WIDTHS))
        return model, _wrapper(Wrapped(model), dict(fused=True))

    model, wrapper = make()
    assert len(_groups(wrapper)) == 14
    before = model.backbone.patch_embed.conv1.weight.detach().clone()
    loss = model(torch.randn(2, 3, 32, 32)).square().sum()
    wrapper.update_params(loss)
    moved = (model.backbone.patch_embed.conv1.weight - before).abs().max()
    # the first step of Adam is the rate, and decay adds a little
    assert 0.9 < moved / (0.1 / 64) < 1.1
    other, resumed = make()
    other.load_state_dict(model.state_dict())
    resumed.load_state_dict(wrapper.state_dict())
    for a, b in zip(_groups(wrapper), _groups(resumed)):
        assert [p.shape for p in a['params']] == [
            p.shape for p in b['params']]
        for p, q in zip(a['params'], b['params']):
            assert torch.equal(
                wrapper.optimizer.state[p]['exp_avg'],
                resumed.optimizer.state[q]['exp_avg'])


def test_without_weight_decay():
    model = build_model(_classifier(VHEAT, VHEAT_WIDTHS))
    wrapper = build_optim_wrapper(
        model,
        dict(optimizer=dict(type='SGD', lr=1.),
             constructor='mmvision_ext.LayerDecayOptimWrapperConstructor',
             paramwise_cfg=dict(layer_decay_rate=1.)))
    assert [g['lr'] for g in _groups(wrapper)] == [1.] * 7
    assert [g['layer_id'] for g in _groups(wrapper)] == list(range(7))


@pytest.mark.parametrize('options,message', [
    (dict(layer_decay_rate=None), 'layer_decay_rate in paramwise_cfg is None'),
    (dict(layer_decay_rate=0), 'is 0; expected a number above 0'),
    (dict(layer_decay_rate=1.5), 'is 1.5; expected a number above 0'),
    (dict(decay_rate=0.9), "unknown keys .'decay_rate'.*layer_decay_rate"),
    (dict(num_layers=30), 'num_layers is 30.*legacy=True alone'),
    (dict(num_layers=0, legacy=True), 'num_layers is 0; it is at least 1'),
])
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        _wrapper(nn.Linear(2, 2), **options)


def test_no_rate_to_scale():
    with pytest.raises(ValueError, match='the optimizer has no lr'):
        _wrapper(nn.Linear(2, 2), dict(lr=None))


def test_models_without_layers():
    with pytest.raises(TypeError, match='Linear has no backbone; expected'):
        _wrapper(nn.Linear(2, 2))
    model = build_model(_segmentor(
        dict(type='mmpretrain.MobileNetV2'), [1, 1, 1, 1]))
    with pytest.raises(
            TypeError, match='MobileNetV2, the backbone of EncoderDecoder, '
            'does not say how deep.*leave out constructor'):
        _wrapper(model)
    model = build_model(_classifier(VHEAT, VHEAT_WIDTHS))
    with pytest.raises(TypeError, match='legacy=True, but VHeat knows'):
        _wrapper(model, legacy=True)
    assert MODELS.get('mmvision_ext.VHeat') is type(model.backbone)
