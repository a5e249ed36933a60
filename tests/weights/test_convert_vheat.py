"""Official vHeat files of every form, container and prefix."""
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.utils import get_installed_path

from mmvision_ext.apis import load_model
from mmvision_ext.engine import stock_models
from mmvision_ext.engine.convert import (
    ConversionError,
    check_conversion,
    convert_weights,
    sort_weights,
)
from mmvision_ext.engine.convert_cli import convert_file
from mmvision_ext.registry import MODELS
from mmvision_ext.vheat.convert import original_name


def _add_prefix(state, prefix):
    return {prefix + name: value for name, value in state.items()}


# What the names become: one tensor of each kind, in the third stage.
RENAMED = {
    'patch_embed.conv2.weight': 'patch_embed.conv2.weight',
    'patch_embed.norm1.1.bias': 'patch_embed.norm1.bias',
    'freq_embed.2': 'freq_embed.2',
    'layers.2.1.norm2.weight': 'stages.2.blocks.1.norm2.weight',
    'layers.2.1.op.dwconv.weight': 'stages.2.blocks.1.op.dwconv.weight',
    'layers.2.1.op.linear.bias': 'stages.2.blocks.1.op.linear.bias',
    'layers.2.1.op.out_norm.bias': 'stages.2.blocks.1.op.out_norm.bias',
    'layers.2.1.op.out_linear.bias': 'stages.2.blocks.1.op.out_linear.bias',
    'layers.2.1.op.to_k.0.weight': 'stages.2.blocks.1.op.to_k.weight',
    'layers.2.1.mlp.fc2.weight': 'stages.2.blocks.1.mlp.fc2.weight',
    'layers.2.1.gamma2': 'stages.2.blocks.1.gamma2',
    'layers.2.2.0.weight': 'stages.2.downsample.conv.weight',
    'layers.2.2.1.bias': 'stages.2.downsample.norm.bias',
}


def test_names_and_values(official):
    state = official(gamma=True, classes=5)
    result = convert_weights(state)
    expected = {f'backbone.{new}': old for old, new in RENAMED.items()}
    expected.update({
        'backbone.norm3.weight': 'classifier.0.weight',
        'head.fc.bias': 'classifier.3.bias',
    })
    for new, old in expected.items():
        assert result.sources[new] == old
        value = result.state_dict[new]
        assert torch.equal(value, state[old].reshape(value.shape)), new
    assert len(result.state_dict) == len(state) == 125
    assert result.state_dict['backbone.stages.2.blocks.1.mlp.fc2.weight'
                             ].shape == (64, 256)
    assert len(result.reshaped) == 10  # two in each of five blocks
    assert result.resized == result.dropped == ()


RELEASED = pytest.mark.parametrize(
    'arch,dims,depths,gamma,tensors,parameters', [
        ('tiny', 96, (2, 2, 6, 2), False, 241, 30_853_480),
        ('small', 96, (2, 2, 18, 2), True, 505, 52_220_392),
        ('base', 128, (2, 2, 18, 2), True, 505, 92_132_328),
    ])


@RELEASED
def test_released_classifiers(official, arch, dims, depths, gamma, tensors,
                              parameters):
    state = official(dims, depths, gamma, (56, 56), 1000)
    result = convert_weights({'model': state})
    assert result.model['backbone'] == dict(
        type='mmvision_ext.VHeat', arch=arch, img_size=224, in_channels=3,
        out_indices=(3, ))
    assert result.model['head']['num_classes'] == 1000
    assert len(result.state_dict) == tensors
    assert sum(t.numel() for t in result.state_dict.values()) == parameters
    assert check_conversion(result) is None


@RELEASED
def test_files_made_here_have_the_released_names(
        official, shared_root, arch, dims, depths, gamma, tensors,
        parameters):
    text = (shared_root / 'specs/vheat_state_dict_keys.txt').read_text()
    section = text.split('##### ')[1 + ['tiny', 'small', 'base'].index(arch)]
    listed = {}
    for line in section.split('## after')[0].splitlines()[1:]:
        if line.strip():
            name, shape = line.split('\t')
            listed[name] = tuple(
                int(n) for n in shape.strip('()').split(',') if n.strip())
    state = official(dims, depths, gamma, (56, 56), 1000)
    assert {n: tuple(v.shape) for n, v in state.items()} == listed


@pytest.mark.parametrize('prefix', [
    '', 'module.', 'backbone.', 'module.backbone.', 'backbone.module.',
    'module.module.backbone.backbone.'
])
@pytest.mark.parametrize('container', [None, 'model', 'model_ema',
                                       'state_dict'])
def test_containers_and_prefixes(official, prefix, container):
    state = official()
    content = _add_prefix(state, prefix)
    if container:
        content = {container: content, 'epoch': 3, 'optimizer': {'state': {}}}
    result = convert_weights(content)
    assert (result.family, result.form) == ('vHeat', 'backbone')
    assert set(result.sources.values()) == {prefix + n for n in state}
    assert torch.equal(result.state_dict['backbone.norm1.bias'],
                       state['outnorm1.bias'])
    assert result.model['out_indices'] == (0, 1, 2, 3)
    assert check_conversion(result) is None


def test_choice_among_containers(official):
    live, average = official(classes=3), official(classes=3)
    content = {'model_ema': average, 'model': live, 'config': object()}
    name = 'backbone.freq_embed.0'
    result = convert_weights(content)
    assert torch.equal(result.state_dict[name], live['freq_embed.0'])
    assert "'model' was converted; the file also has model_ema" in \
        result.report()
    result = convert_weights(content, key='model_ema')
    assert torch.equal(result.state_dict[name], average['freq_embed.0'])
    with pytest.raises(ConversionError, match="no weights under 'ema'.*model"):
        convert_weights(content, key='ema')


@pytest.mark.parametrize('grid,img_size', [
    ((56, 56), 224), ((128, 128), 512), ((24, 40), (96, 160)), ((8, 8), 32),
    ((30, 17), (120, 68)),
])
def test_any_table_grid(official, grid, img_size):
    state = official(grid=grid)
    result = convert_weights(state)
    assert result.model['img_size'] == img_size
    assert result.resized == ()
    assert torch.equal(result.state_dict['backbone.freq_embed.1'],
                       state['freq_embed.1'])
    assert check_conversion(result) is None


def test_tables_that_do_not_halve_are_resized(official):
    state = official(grid=(16, 16))
    state['freq_embed.3'] = torch.full((3, 3, 128), 0.25)
    result = convert_weights(state)
    assert result.resized == ('backbone.freq_embed.3', )
    assert 'resized 1, dropped 0' in result.report()
    assert torch.allclose(result.state_dict['backbone.freq_embed.3'],
                          torch.full((2, 2, 128), 0.25))
    assert check_conversion(result) is None


def test_some_outputs_only(official):
    state = official()
    for i in (0, 2):
        del state[f'outnorm{i}.weight'], state[f'outnorm{i}.bias']
    result = convert_weights(state)
    assert result.model['out_indices'] == (1, 3)
    assert check_conversion(result) is None
    for i in (1, 3):
        del state[f'outnorm{i}.weight'], state[f'outnorm{i}.bias']
    result = convert_weights(state)
    assert result.model['out_norm'] is False
    assert result.model['out_indices'] == (0, 1, 2, 3)
    assert check_conversion(result) is None


def _stock(package, path, backbone_channels, **heads):
    """A stock detector or segmentor with a vHeat backbone, as state dict."""
    file = get_installed_path(package) + f'/.mim/configs/_base_/models/{path}'
    model = Config.fromfile(file).to_dict()['model']
    model['_scope_'] = package
    model['backbone'] = dict(
        type='mmvision_ext.VHeat', img_size=64,
        arch=dict(embed_dims=16, depths=(1, 1, 2, 1)))
    for name, head in heads.items():
        model[name].update(head)
    return model, MODELS.build(ConfigDict(model)).state_dict()


def _official_downstream(state, backbone):
    heads = {n: v for n, v in state.items() if not n.startswith('backbone.')}
    return {**_add_prefix(backbone, 'backbone.'), **heads}


def test_detector(official, save, tmp_path):
    channels = [16, 32, 64, 128]
    model, stock = _stock('mmdet', 'mask-rcnn_r50_fpn.py', channels,
                          neck=dict(in_channels=channels))
    backbone = official()
    content = _official_downstream(stock, backbone)
    src = save({'meta': {'epoch': 12}, 'state_dict': content})
    result = convert_file(src, tmp_path / 'det.pth')
    assert result.form == 'detection' and result.dropped == ()
    assert len(result.state_dict) == len(content)
    # the backbone's and nothing else
    assert sum(n != o for n, o in result.sources.items()) == sum(
        original_name(n[9:], (1, 1, 2, 1)) != n[9:]
        for n in result.state_dict if n.startswith('backbone.'))
    ours = dict(result.model)
    assert ours.pop('type') == 'mmdet.MaskRCNN'
    assert model.pop('type') == 'MaskRCNN'
    assert dict(ours, backbone=0) == dict(model, backbone=0)
    detector = load_model(tmp_path / 'det.pth')
    assert torch.equal(detector.roi_head.mask_head.convs[3].conv.weight,
                       stock['roi_head.mask_head.convs.3.conv.weight'])
    assert torch.equal(detector.backbone.freq_embed[3],
                       backbone['freq_embed.3'])
    assert not detector.training


@pytest.mark.parametrize('aux', [True, False])
def test_segmentor(official, save, tmp_path, aux):
    channels = [16, 32, 64, 128]
    heads = dict(decode_head=dict(in_channels=channels, channels=24,
                                  num_classes=7),
                 auxiliary_head=dict(in_channels=64, channels=12,
                                     num_classes=7))
    model, stock = _stock('mmseg', 'upernet_swin.py', channels, **heads)
    if not aux:
        del model['auxiliary_head']
        stock = {n: v for n, v in stock.items()
                 if not n.startswith('auxiliary')}
    content = _official_downstream(stock, official())
    result = convert_file(save({'state_dict': content}), tmp_path / 'seg.pth')
    assert result.form == 'segmentation' and result.dropped == ()
    ours = dict(result.model)
    assert ours.pop('type') == 'mmseg.EncoderDecoder'
    assert ours.pop('test_cfg') == dict(
        mode='slide', crop_size=(512, 512), stride=(341, 341))
    assert ours.pop('data_preprocessor') == model.pop('data_preprocessor')
    for extra in ('type', 'test_cfg', 'pretrained'):
        model.pop(extra)
    assert dict(ours, backbone=0) == dict(model, backbone=0)
    segmentor = load_model(tmp_path / 'seg.pth')
    with torch.no_grad():
        assert segmentor(torch.randn(1, 3, 64, 96)).shape == (1, 7, 16, 24)


def test_other_heads_need_backbone_only(official):
    content = _add_prefix(official(), 'backbone.')
    content['bbox_head.cls_convs.0.conv.weight'] = torch.ones(2, 2, 1, 1)
    with pytest.raises(ConversionError, match='bbox_head.*--backbone-only'):
        check_conversion(convert_weights(content))
    result = convert_weights(content, backbone_only=True)
    assert result.dropped == ('bbox_head.cls_convs.0.conv.weight', )
    assert result.model['type'] == 'mmvision_ext.VHeat'
    assert check_conversion(result) is None


def test_backbone_of_a_classifier(official):
    state = official(classes=5)
    result = convert_weights(state, backbone_only=True)
    assert result.form == 'backbone'
    assert result.model['out_indices'] == (3, )
    assert result.dropped == ('classifier.3.weight', 'classifier.3.bias')
    assert check_conversion(result) is None


def _edit(state, drop=(), **shapes):
    state = {n: v for n, v in state.items() if n not in drop}
    state.update({n.replace('__', '.'): torch.zeros(s)
                  for n, s in shapes.items()})
    return state


@pytest.mark.parametrize('edit,message', [
    (lambda s: _edit(s, layers__2__1__op__k_exp=(4, 4, 64)),
     r're-parameterised.*layers\.2\.1\.op\.k_exp.*training form'),
    (lambda s: _edit(s, drop=['layers.1.0.op.to_k.0.bias']),
     r'1 tensors are missing.*layers\.1\.0\.op\.to_k\.0\.bias'),
    (lambda s: _edit(s, drop=[n for n in s if n.startswith('layers.2.0.')]),
     r'18 tensors are missing.*layers\.2\.0\.norm1\.weight'),
    (lambda s: _edit(s, drop=[n for n in s if n.startswith('layers.3.')]),
     'stage 3 has no blocks'),
    (lambda s: _edit(s, drop=['freq_embed.0']), 'freq_embed.0 is missing'),
    (lambda s: _edit(s, drop=['patch_embed.conv2.weight']),
     'patch_embed.conv2.weight is missing'),
    (lambda s: _edit(s, classifier__3__weight=(5, 99)),
     'takes 99 channels'),
    (lambda s: _edit(s, layers__2__1__op__linear__weight=(64, 64)),
     r'unexpected shapes.*layers\.2\.1\.op\.linear\.weight \(64, 64\)'),
    (lambda s: _edit(s, layers__2__1__mlp__fc1__weight=(64, 64, 1, 1)),
     r'unexpected shapes.*mlp\.fc1\.weight'),
    (lambda s: _edit(s, freq_embed__1=(8, 8, 31)),
     r'unexpected shapes.*freq_embed\.1 \(8, 8, 31\)'),
    (lambda s: _edit(s, layers__0__0__attn__weight=(16, 16)),
     r'have no place in vHeat: layers\.0\.0\.attn\.weight'),
    (lambda s: _edit(s, layers__0__0__gamma1=(16, ),
                     layers__0__0__gamma2=(16, )),
     r'8 tensors are missing.*layers\.1\.0\.gamma1'),
    (lambda s: _edit(s, outnorm1__weight=(32, )),
     r'have no place in vHeat: outnorm1\.weight'),
])
def test_refused(official, edit, message):
    with pytest.raises(ConversionError, match=message):
        convert_weights({'model': edit(official(classes=5))})


def test_dropped_and_not_finite_are_told(official):
    state = official(classes=5)
    state['total_ops'] = torch.zeros(1)
    state['version'] = 3
    state['layers.0.0.norm1.weight'][2] = float('nan')
    result = convert_weights(state)
    assert result.dropped == ('total_ops', 'version')
    report = result.report()
    assert 'matched 115, renamed 115, reshaped 10, resized 0, dropped 2' in \
        report
    assert 'warning: 1 tensors hold NaN or infinity: ' \
        'backbone.stages.0.blocks.0.norm1.weight' in report


@pytest.mark.parametrize('content,message', [
    ([1, 2], 'holds a list, no state dict'),
    ({}, 'no tensors'),
    ({'model': {}}, "no tensors under 'model'"),
    ({'conv1.weight': torch.ones(1), 'layer1.0.conv1.weight': torch.ones(1)},
     'known family.*conv1.weight, layer1'),
    ({'a': torch.ones(1), 'module.a': torch.ones(1)}, 'mixes two networks'),
])
def test_foreign_content(content, message):
    with pytest.raises(ConversionError, match=message):
        convert_weights(content)


def test_a_converted_file_is_not_converted_again(official):
    result = convert_weights(official())
    with pytest.raises(ConversionError, match='known family'):
        convert_weights({'state_dict': result.state_dict})


def test_sorting_keeps_every_name(official):
    source = sort_weights({**_add_prefix(official(), 'module.backbone.'),
                           'module.neck.conv.weight': torch.ones(1)})
    assert set(source.rest) == {'neck.conv.weight'}
    assert source.raw_names['neck.conv.weight'] == 'module.neck.conv.weight'
    assert source.raw_names['freq_embed.0'] == 'module.backbone.freq_embed.0'


def test_stock_classifier_builds_under_another_default_scope(official):
    from mmengine.registry import DefaultScope
    result = convert_weights(official(classes=5))
    with DefaultScope.overwrite_default_scope('mmdet'):
        assert check_conversion(result) is None
    assert stock_models.image_classifier({}, 8, 5)['head']['in_channels'] == 8
