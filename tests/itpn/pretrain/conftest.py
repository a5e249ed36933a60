"""Small pre-training models and images."""

import ast
import re
import types

import numpy as np
import pytest
import torch

from mmvision_ext.itpn.arch import resolve_arch
from mmvision_ext.itpn.pretrain import ITPNCLIPPretrain, ITPNPixelPretrain

ARCH = dict(embed_dims=32, depths=(1, 1, 4), num_heads=2)
NECK_PART = re.compile(r'(align_dim_|split_|block_|fpn_modules)')
BACKBONE_PART = re.compile(r'(patch_embed|blocks|absolute_pos_embed)')


def build_pixel(img_size=64, arch=ARCH, fpn=16, neck_depth=1, decoder=None,
                backbone=None, **kwargs):
    """A pixel model; a different one on the same arguments is equal."""
    dims = arch['embed_dims']
    torch.manual_seed(0)
    return ITPNPixelPretrain(
        dict(type='mmvision_ext.ITPN', arch=arch, img_size=img_size,
             **(backbone or {})),
        dict(type='mmvision_ext.ITPNPyramid',
             in_channels=(dims // 4, dims // 2, dims), out_channels=fpn,
             depth=neck_depth),
        decoder=dict(embed_dims=32, depth=1, num_heads=2)
        if decoder is None else decoder,
        **kwargs)


def build_clip(img_size=64, arch=ARCH, fpn=16, teacher_dims=12,
               backbone=None, **kwargs):
    dims = arch['embed_dims']
    torch.manual_seed(0)
    return ITPNCLIPPretrain(
        dict(type='mmvision_ext.ITPN', arch=arch, img_size=img_size,
             rpe='table', layer_scale=0.1, **(backbone or {})),
        dict(type='mmvision_ext.ITPNPyramid',
             in_channels=(dims // 4, dims // 2, dims), out_channels=fpn),
        teacher_dims=teacher_dims,
        **kwargs)


def build_on_meta(build, arch, **kwargs):
    """A model of a released architecture, without memory for it."""
    settings = resolve_arch(arch)
    with torch.device('meta'):
        return build(
            arch=dict(
                embed_dims=settings.embed_dims,
                depths=settings.depths,
                num_heads=settings.num_heads),
            fpn=256,
            **kwargs)


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def load_golden(shared_root, name):
    case = np.load(shared_root / 'golden' / f'itpn_pretrain_{name}.npz')
    return case, ast.literal_eval(str(case['config']))


def own_name(name):
    """The name in a model of ours for a released one."""
    if NECK_PART.match(name):
        return f'neck.{name}'
    if BACKBONE_PART.match(name):
        return f'backbone.{name}'
    return f'head.{name}'


def load_released(model, case):
    """Give a model the parameters of a reference case, all of them."""
    model.load_state_dict({
        own_name(key.removeprefix('param/')): torch.from_numpy(case[key])
        for key in case.files
        if key.startswith('param/') and not key.endswith('position_index')
    })


def check_grad_norms(model, case):
    norms = {
        own_name(key.removeprefix('output/grad_norms/')): float(case[key])
        for key in case.files if key.startswith('output/grad_norms/')
    }
    trained = {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    assert trained.keys() == norms.keys()
    for name, expected in norms.items():
        assert trained[name].grad.double().norm().item() == pytest.approx(
            expected, rel=1e-4, abs=1e-9), name


@pytest.fixture
def pretrain():
    """The functions of this module."""
    return types.SimpleNamespace(**globals())


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, 64, 64, generator=generator)
