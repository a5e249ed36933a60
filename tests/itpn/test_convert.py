"""The forms of official files, made from the published names and shapes."""
import re

import pytest
import torch

from mmvision_ext.apis import load_model
from mmvision_ext.engine.build import build_model
from mmvision_ext.engine.convert import (
    ConversionError,
    check_conversion,
    convert_weights,
    sort_weights,
)
from mmvision_ext.engine.convert_cli import convert_file, main
from mmvision_ext.itpn import convert as family
from mmvision_ext.itpn.official import default_heads

ARCH = dict(embed_dims=32, depths=(1, 2, 2), num_heads=2)
WIDTHS = [8, 16, 32]


def _backbone(**options):
    return dict(type='mmvision_ext.ITPN', arch=ARCH, img_size=64, **options)


def _neck(**options):
    return dict(type='mmvision_ext.ITPNPyramid', in_channels=WIDTHS,
                out_channels=16, **options)


def _official(config):
    """A random network of ours and its weights under official names."""
    model = build_model(config).eval()
    with torch.no_grad():
        for value in model.parameters():
            value.normal_(std=0.2)
    state = {}
    for name, value in model.state_dict().items():
        name = re.sub(r'^head\.fc\.', 'head.', name)
        name = re.sub(r'^(backbone|neck|head)\.(?!weight|bias)', '', name)
        state[name] = value
    if any('bias_table' in name for name in state):
        state['relative_position_index'] = torch.zeros(16, 16).long()
    return model, state


def _classifier(**options):
    from mmvision_ext.engine.stock_models import image_classifier
    return image_classifier(
        _backbone(out_type='avg_featmap', **options), 32, 5, pooled=True)


def _pair(backbone=(), **neck):
    return dict(
        type='mmvision_ext.FeatureExtractor',
        backbone=_backbone(**dict(backbone), ln_eps=1e-5),
        neck=_neck(**neck, ln_eps=1e-5))


CLIP = dict(rpe='table', layer_scale=0.1)
SEGMENTATION = dict(num_outs=4, pool='max', concat=True, depth=2)

# Network, form, entries of the file, and those of them that are ignored.
FORMS = {
    'pixel classifier': (_classifier(rpe='table'), 'classification', 60, 1),
    'clip classifier': (_classifier(**CLIP), 'classification', 67, 1),
    'pixel detection': (_pair(), 'detection', 93, 0),
    'clip detection': (_pair(dict(layer_scale=0.1)), 'detection', 100, 0),
    'decomposed detection': (
        _pair(dict(layer_scale=0.1, rpe='decomposed')), 'detection', 104, 0),
    'pixel segmentation': (
        _pair(dict(rpe='table'), **SEGMENTATION), 'segmentation', 108, 1),
    'plain segmentation': (_pair(**SEGMENTATION), 'segmentation', 105, 0),
    'clip segmentation': (
        _pair(CLIP, **SEGMENTATION), 'segmentation', 115, 1),
    'backbone': (_backbone(rpe='table'), 'backbone', 56, 1),
}


@pytest.mark.parametrize('kind', list(FORMS))
def test_forms_and_values(kind, tmp_path):
    config, form, entries, ignored = FORMS[kind]
    model, state = _official(config)
    torch.save({'model': state}, tmp_path / 'src.pth')
    # two heads of sixteen channels: what a file without tables is taken for
    result = convert_file(tmp_path / 'src.pth', tmp_path / 'dst.pth')
    assert (result.family, result.form) == ('iTPN', form)
    assert (len(state), len(result.ignored)) == (entries, ignored)
    assert result.dropped == result.resized == ()
    assert len(result.state_dict) == entries - ignored
    other = load_model(tmp_path / 'dst.pth')
    for size in ((64, 64), (80, 48)):
        images = torch.randn(2, 3, *size)
        with torch.no_grad():
            expected, found = model(images), other(images)
        if isinstance(expected, torch.Tensor):
            expected, found = (expected, ), (found, )
        assert len(expected) == len(found)
        for a, b in zip(expected, found):
            assert torch.equal(a, b)


PRETRAINING = {
    'pixel': (dict(
        type='mmvision_ext.ITPNPixelPretrain',
        backbone=_backbone(),
        neck=_neck(depth=2, num_outs=3),
        decoder=dict(embed_dims=32, depth=3, num_heads=2)),
        'pixel pre-training', 'loss_pixel'),
    'clip': (dict(
        type='mmvision_ext.ITPNCLIPPretrain',
        backbone=dict(_backbone(**CLIP),
                      arch=dict(ARCH, depths=(1, 1, 8))),
        neck=_neck(num_outs=3),
        teacher_dims=12), 'CLIP pre-training', 'loss_aux'),
}


@pytest.mark.parametrize('kind', list(PRETRAINING))
def test_pretraining_forms(kind, tmp_path):
    config, form, loss = PRETRAINING[kind]
    model, state = _official(config)
    torch.save({'model': state}, tmp_path / 'src.pth')
    result = convert_file(tmp_path / 'src.pth', tmp_path / 'dst.pth')
    assert result.form == form and result.dropped == ()
    assert result.model['neck']['depth'] == config['neck'].get('depth', 1)
    given = dict(noise=torch.rand(2, 16)) if kind == 'pixel' else dict(
        mask=torch.rand(2, 16) < 0.4, target=torch.randn(2, 16, 12))
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = model.loss(images, **given)
        found = load_model(tmp_path / 'dst.pth').loss(images, **given)
    assert loss in found and expected.keys() == found.keys()
    for name in found:
        assert torch.equal(expected[name], found[name])


# Of the eleven lists of published names: form, and what is read from them.
LISTED = [
    ('pixel pre-training', 'base', 'none', 224, (256, 2)),
    ('CLIP pre-training', 'base', 'table', 224, (256, 1)),
    ('classification', 'base', 'table', 224, None),
    ('classification', 'base', 'table', 224, None),
    ('detection', 'base', 'none', 224, (256, 1)),
    ('detection', 'base', 'none', 224, (256, 1)),
    ('detection', 'base', 'decomposed', 224, (256, 1)),
    ('segmentation', 'base', 'table', 512, (256, 2)),
    ('segmentation', 'base', 'table', 512, (256, 2)),
    ('classification', 'base', None, 224, None),
    ('classification', 'tiny', None, 224, None),
]


def _listed(shared_root):
    """The lists: title and state dict without values."""
    text = (shared_root / 'specs/itpn_state_dict_keys.txt').read_text()
    parts = re.split(r'=+\n(.*entries=.*)\n=+\n', text)[1:]
    for title, body in zip(parts[::2], parts[1::2]):
        state = {}
        for line in body.strip().splitlines():
            name, shape = re.match(r'(\S+)\s+\(([\d, ]*)\)', line).groups()
            shape = [int(n) for n in shape.split(',') if n.strip()]
            state[name] = torch.empty(shape, device='meta')
        yield title, state


def test_all_released_forms(shared_root):
    lists = list(_listed(shared_root))
    assert len(lists) == len(LISTED)
    for (title, state), expected in zip(lists, LISTED):
        form, arch, rpe, img_size, pyramid = expected
        assert len(state) == int(re.search(r'entries=(\d+)', title)[1])
        result = family.convert(sort_weights(state))
        assert result.form == form, title
        assert (result.family == 'Fast-iTPN') == title.startswith('FAST')
        backbone = result.model['backbone']
        assert backbone['arch'] == arch
        assert backbone.get('rpe') == rpe
        assert backbone['img_size'] == img_size
        assert backbone.get('pos_size') == (14 if img_size == 512 else None)
        assert (backbone['layer_scale'] == 0.1) == (
            'clip' in title.lower() or 'FAST' in title)
        assert backbone['ln_eps'] == (
            1e-5 if form in ('detection', 'segmentation') else 1e-6)
        if pyramid:
            neck = result.model['neck']
            assert (neck['out_channels'], neck['depth']) == pyramid
        assert result.dropped == ()
        assert result.ignored == tuple(
            n for n in state if n == 'relative_position_index')
        # the notes are about the form alone: the heads are those of a name
        assert len(result.notes) == (form in ('detection', 'segmentation'))
        with torch.device('meta'):
            own = build_model(result.model).state_dict()
        assert {n: v.shape for n, v in own.items()} == {
            n: v.shape for n, v in result.state_dict.items()}, title
        params = int(re.search(r'params=(\d+)', title)[1])
        assert sum(v.numel() for v in result.state_dict.values()) == params


def test_pyramid_of_another_width(shared_root):
    state = dict(list(_listed(shared_root))[0][1])
    for name, value in state.items():
        if name.split('.')[0] in family.PYRAMID + ('decoder_embed', ):
            shape = [512 if n == 256 else 2048 if n == 1024 else n
                     for n in value.shape]
            if name in ('align_dim_16to8.weight', ):
                shape = [512, 256]
            state[name] = torch.empty(shape, device='meta')
    # where stage and pyramid are equally wide nothing aligns them
    del state['align_dim_16tofpn.weight'], state['align_dim_16tofpn.bias']
    result = family.convert(sort_weights(state))
    assert result.model['neck']['out_channels'] == 512
    with torch.device('meta'):
        own = build_model(result.model).state_dict()
    assert {n: v.shape for n, v in own.items()} == {
        n: v.shape for n, v in result.state_dict.items()}


def test_form_and_heads_can_be_chosen():
    state = _official(_pair())[1]
    result = convert_weights(state)
    assert result.model['neck']['num_outs'] == 5
    assert 'taken for those of detection' in result.notes[0]
    assert '2 of 16 channels are assumed' in result.notes[1]
    result = convert_weights(state, form='segmentation', num_heads=4)
    assert result.form == 'segmentation' and result.notes == ()
    assert result.model['neck']['concat'] is True
    assert result.model['backbone']['arch']['num_heads'] == 4
    assert check_conversion(result) is None
    with pytest.raises(ConversionError, match='--form|are those of: class'):
        convert_weights(_official(_classifier())[1], form='detection')
    with pytest.raises(ConversionError, match="'cascade'; choose detection"):
        convert_weights(state, form='cascade')
    with pytest.raises(ConversionError, match='num_heads is 4, but.*2 heads'):
        convert_weights(_official(_classifier(rpe='table'))[1], num_heads=4)
    assert [default_heads(*pair) for pair in (
        (512, 64), (768, 64), (384, 64), (192, 64), (128, 64), (64, 64),
        (512, 32), (64, 32), (20, 64))] == [8, 12, 6, 3, 2, 4, 16, 4, 1]


def test_backbone_only_lists_what_it_leaves():
    state = _official(_pair())[1]
    state['mask_token'] = torch.zeros(1, 1, 32)
    state['extra'] = torch.zeros(1)
    result = convert_weights(state, backbone_only=True)
    assert result.form == 'backbone'
    assert result.model['type'] == 'mmvision_ext.ITPN'
    assert result.model['ln_eps'] == 1e-5
    assert check_conversion(result) is None
    left = {n for n in state if n.split('.')[0] in family.PYRAMID}
    assert set(result.dropped) == {*left, 'mask_token', 'extra'}
    report = result.report()
    assert all(name in report for name in result.dropped)


def test_tables_of_another_size_are_resized_by_the_network(tmp_path):
    state = _official(_classifier(rpe='table'))[1]
    torch.save(state, tmp_path / 'src.pth')
    convert_file(tmp_path / 'src.pth', tmp_path / 'dst.pth')
    config = _classifier(rpe='table')
    config['backbone'].update(img_size=96, init_cfg=dict(
        type='Pretrained', checkpoint=str(tmp_path / 'dst.pth'),
        prefix='backbone.'))
    model = build_model(config)
    model.init_weights()
    table = model.backbone.blocks[5].attn.relative_position_bias_table
    assert table.shape == (121, 2)
    expected = torch.nn.functional.interpolate(
        state['blocks.5.attn.relative_position_bias_table'].T.reshape(
            1, 2, 7, 7), size=(11, 11), mode='bicubic')
    assert torch.allclose(table.T.reshape(1, 2, 11, 11), expected, atol=1e-6)
    assert model.backbone.absolute_pos_embed.shape == (1, 36, 32)


def _edit(state, drop=(), **shapes):
    state = {n: v for n, v in state.items() if n not in drop}
    state.update({n.replace('__', '.'): torch.zeros(s)
                  for n, s in shapes.items()})
    return state


@pytest.mark.parametrize('edit,message', [
    (lambda s: _edit(s, drop=['blocks.5.attn.proj.bias']),
     r'1 tensors are missing.*blocks\.5\.attn\.proj\.bias'),
    (lambda s: _edit(s, drop=['align_dim_16to8.weight']),
     r'1 tensors are missing.*align_dim_16to8\.weight'),
    (lambda s: _edit(s, drop=['fpn_modules.0.mlp.fc1.weight']),
     r'fpn_modules\.0\.mlp\.fc1\.weight is missing'),
    (lambda s: _edit(s, drop=['absolute_pos_embed']),
     'absolute_pos_embed is missing'),
    (lambda s: _edit(s, absolute_pos_embed=(1, 15, 32)),
     'absolute_pos_embed has 15 entries; expected those of a square'),
    (lambda s: _edit(s, blocks__5__attn__extra=(3, )),
     r'no place in iTPN: blocks\.5\.attn\.extra'),
    (lambda s: _edit(s, align_dim_8to4__bias=(16, )),
     r'no place in iTPN: align_dim_8to4\.bias'),
    (lambda s: _edit(s, blocks__6__norm1__weight=(31, )),
     r'unexpected shapes.*blocks\.6\.norm1\.weight \(31,\)'),
    (lambda s: _edit(s, blocks__0__reduction__weight=(4, 4)),
     '3 of 7 blocks join tokens; expected 2'),
    (lambda s: _edit(s, blocks__9__norm1__weight=(32, )),
     'blocks 7, 8 of 10 are missing'),
    (lambda s: _edit(s, drop=[n for n in s if n.startswith(
        ('blocks.5.', 'blocks.6.'))]), 'stage 2 has no blocks'),
    (lambda s: {**{'backbone.' + n: v for n, v in s.items()},
                'bbox_head.conv.weight': torch.ones(1)},
     r'bbox_head\.conv\.weight belong to heads.*--form detection'),
    (lambda s: {**{'backbone.' + n: v for n, v in s.items()},
                'neck.split_8to4.norm.weight': torch.ones(1)},
     'pyramid is under neck.: this is a file of this package'),
    (lambda s: {n.replace('absolute_pos', 'pos'): v for n, v in s.items()},
     "mmpretrain's HiViT or iTPN .pos_embed with blocks.5.attn.qkv.weight"),
])
def test_refused(edit, message):
    state = _official(_pair())[1]
    with pytest.raises(ConversionError, match=message):
        convert_weights({'model': edit(state)})


def test_relatives_and_converted_files_are_told(tmp_path):
    from mmpretrain.models import HiViT
    theirs = HiViT(
        arch=dict(embed_dims=32, depths=[1, 1, 2], num_heads=2),
        img_size=64, out_indices=[5], rpe=True).state_dict()
    with pytest.raises(ConversionError, match="mmpretrain's HiViT or iTPN"):
        convert_weights({'state_dict': {
            f'backbone.{n}': v for n, v in theirs.items()}})
    torch.save(_official(_pair())[1], tmp_path / 'src.pth')
    convert_file(tmp_path / 'src.pth', tmp_path / 'dst.pth')
    with pytest.raises(ConversionError, match='is a converted one already'):
        convert_file(tmp_path / 'dst.pth', tmp_path / 'again.pth')


def test_options_of_one_family_are_not_for_another():
    from mmvision_ext.vheat import VHeatNetwork
    state = VHeatNetwork('nano', img_size=32).state_dict()
    official = {'layers.0.0.op.dwconv.weight': torch.ones(1), **state}
    with pytest.raises(ConversionError, match='num_heads: not for this file'):
        convert_weights(official, num_heads=3)


def test_fast_pretraining_file(tmp_path):
    arch = dict(embed_dims=32, depths=(1, 1, 2), num_heads=2)
    config = dict(
        type='mmvision_ext.FeatureExtractor',
        backbone=dict(type='mmvision_ext.FastITPN', arch=arch, img_size=64,
                      ln_eps=1e-6),
        neck=dict(type='mmvision_ext.FastITPNPyramid', in_channels=WIDTHS,
                  out_channels=16, mlp_ratio=3.))
    model, state = _official(config)
    extra = {
        'mask_token': torch.zeros(1, 1, 128),
        'decoder_embed.0.1.weight': torch.zeros(32, 16, 1, 1),
        'lm_head.weight': torch.zeros(12, 32), 'lm_head.bias': torch.zeros(12)
    }
    torch.save({'module': {**state, **extra}}, tmp_path / 'src.pth')
    result = convert_file(tmp_path / 'src.pth', tmp_path / 'dst.pth')
    assert result.family == 'Fast-iTPN'
    assert result.dropped == tuple(extra)
    assert result.model['neck']['mlp_ratio'] == 3.
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for a, b in zip(model(images), load_model(tmp_path / 'dst.pth')(
                images)):
            assert torch.equal(a, b)
    # files with the coarsest level alone
    part = {n: v for n, v in state.items() if not n.startswith(
        ('split', 'block_', 'align_dim_16to8', 'align_dim_8to4', 'norm.'))}
    result = convert_weights({**part, **extra})
    assert result.form == 'backbone'
    assert 'align_dim_16tofpn.weight' in result.dropped


def test_command(tmp_path, capsys):
    model, state = _official(_pair())
    torch.save(state, tmp_path / 'src.pth')
    command = [str(tmp_path / 'src.pth'), str(tmp_path / 'dst.pth')]
    assert main([*command, '--form', 'segmentation', '--num-heads', '4']) == 0
    out = capsys.readouterr().out
    assert ('recognised: iTPN segmentation (custom: embed_dims 32, depths '
            '(1, 2, 2), 4 heads (not in the file), img_size 64') in out
    assert 'pyramid of width 16 and depth 1' in out
    assert f'matched {len(state)}, renamed {len(state)}' in out
    assert [m.shape[1] for m in load_model(tmp_path / 'dst.pth')(
        torch.zeros(1, 3, 64, 64))] == [24, 32, 48, 48]
