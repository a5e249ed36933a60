"""Agreement with reference outputs, the pyramid included."""

import ast

import numpy as np
import pytest
import torch

from mmvision_ext.itpn import ITPNNetwork, ITPNPyramidNetwork

ATOL = 2e-5
DENSE = [
    'itpn_det_pixel', 'itpn_det_clip', 'itpn_det_clip_rpe', 'itpn_seg_norpe',
    'itpn_seg_rpe224'
]


def load_case(shared_root, name, with_cp=False):
    """Reference arrays, backbone, pyramid (or None) and the parameters."""
    case = np.load(shared_root / 'golden' / f'{name}.npz')
    config = ast.literal_eval(str(case['config']))
    weights = {
        key[len('param/'):]: torch.from_numpy(case[key])
        for key in case.files if key.startswith('param/')
    }
    kind = config['kind']
    rpe = 'none' if not config['rpe'] else \
        'decomposed' if 'decomposed' in kind else 'table'
    ln_eps = 1e-5 if kind.startswith(('det', 'seg')) else 1e-6
    backbone = ITPNNetwork(
        dict(
            embed_dims=config['embed_dim'],
            depths=(1, 1, config['depth']),
            num_heads=config['num_heads']),
        rpe=rpe,
        layer_scale=config.get('init_values'),
        ln_eps=ln_eps,
        drop_path_rate=config.get('drop_path_rate', 0.),
        out_type='avg_featmap' if 'cls' in kind else 'featmap',
        with_cp=with_cp)
    pyramid = None
    if 'fpn_dim' in config:
        pyramid = ITPNPyramidNetwork(
            backbone.num_features,
            config['fpn_dim'],
            # the class of pixel pre-training has no argument for it
            config.get('fpn_depth', 2),
            num_outs=config['num_outs'],
            pool='max' if kind == 'seg' else 'avg',
            concat=kind == 'seg',
            ln_eps=ln_eps,
            with_cp=with_cp)
    unused = set(weights) - {'relative_position_index'}
    for network in filter(None, (backbone, pyramid)):
        found = network.load_state_dict(weights, strict=False)
        assert not found.missing_keys
        unused &= set(found.unexpected_keys)
    return case, backbone.eval(), pyramid, weights, unused


def close(actual, expected):
    np.testing.assert_allclose(actual.detach().numpy(), expected, atol=ATOL)


@pytest.mark.parametrize('name', ['itpn_cls_pixel', 'itpn_cls_clip'])
def test_logits(shared_root, name):
    case, backbone, _, weights, unused = load_case(shared_root, name)
    assert unused == {'head.weight', 'head.bias'}
    image = torch.from_numpy(case['input/img'])
    with torch.no_grad():
        feature, = backbone(image)
        backbone.out_type = 'featmap'
        tokens = backbone(image)[2].flatten(2).transpose(1, 2)
    close(tokens, case['output/tokens'])
    logits = torch.nn.functional.linear(feature, weights['head.weight'],
                                        weights['head.bias'])
    close(logits, case['output/logits'])


@pytest.mark.parametrize('with_cp', [False, True])
@pytest.mark.parametrize('name', DENSE)
def test_maps(shared_root, name, with_cp):
    case, backbone, pyramid, _, unused = load_case(shared_root, name, with_cp)
    assert not unused
    sizes = [
        key.removeprefix('input/img_') for key in case.files
        if key.startswith('input/')
    ]
    for size in sizes[:1] if with_cp else sizes:
        with torch.set_grad_enabled(with_cp):
            outs = pyramid(
                backbone(torch.from_numpy(case[f'input/img_{size}'])))
        assert len(outs) == pyramid.num_outs
        for i, out in enumerate(outs):
            close(out, case[f'output/feats_{size}/{i}'])


def test_visible_patches(shared_root):
    case, backbone, pyramid, _, unused = load_case(shared_root,
                                                   'itpn_pretrain_pixel')
    assert all(
        name.startswith(('mask_token', 'decoder_')) for name in unused)
    with torch.no_grad():
        levels = pyramid.forward_tokens(*backbone.forward_visible(
            torch.from_numpy(case['input/img']),
            torch.from_numpy(case['input/ids_keep'])))
    for level, stride in zip(levels, (4, 8, 16)):
        close(level, case[f'output/fpn_{stride}'])


def test_replaced_patches(shared_root):
    """The main branch of pre-training on CLIP features, from the parts."""
    case, backbone, pyramid, weights, _ = load_case(shared_root,
                                                    'itpn_pretrain_clip')
    layer_norm = torch.nn.functional.layer_norm
    linear = torch.nn.functional.linear
    with torch.no_grad():
        *stages, aux = backbone.forward_replaced(
            torch.from_numpy(case['input/img']),
            torch.from_numpy(case['input/bool_masked_pos']),
            weights['mask_token'],
            aux_index=7)
        assert torch.equal(aux, stages[2])  # behind the last block
        fused = 0
        for i, level in enumerate(pyramid.forward_tokens(*stages)[::-1]):
            norm, proj = (f'decoder_embed.{i}.{k}.' for k in (0, 1))
            y = layer_norm(level, level.shape[-1:], weights[f'{norm}weight'],
                           weights[f'{norm}bias'], 1e-6)
            y = linear(y, weights[f'{proj}weight'], weights[f'{proj}bias'])
            # (B, N, s, s, c) -> (B, N, C)
            fused = fused + y.flatten(2)
        main = linear(
            layer_norm(fused, fused.shape[-1:], weights['norm.weight'],
                       weights['norm.bias'], 1e-6),
            weights['lm_head.weight'], weights['lm_head.bias'])
    close(main, case['output/main'])


def test_position_of_pixel_pretraining(shared_root):
    from mmvision_ext.itpn.position import sincos_position
    case = np.load(shared_root / 'golden' / 'itpn_pretrain_pixel.npz')
    # Noise was added to the reference. Any other order is off by 1 and more.
    noise = sincos_position(64, (14, 14)) - torch.from_numpy(
        case['param/decoder_pos_embed'])
    assert noise.abs().max() < 0.1 and noise.std() < 0.03
