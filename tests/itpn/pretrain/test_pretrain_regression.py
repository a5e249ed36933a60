"""Stored losses of small models, so that any machine guards them.

They were stored once the same code agreed with the reference outputs that
``test_pretrain_golden.py`` checks; masked feature modelling has no reference.
Run this file as a program to store them anew after a change that is meant to
change them.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmvision_ext.itpn.pretrain import ITPNCLIPPretrain, ITPNPixelPretrain

STORE = Path(__file__).parents[2] / 'data' / 'itpn_pretrain_regression.npz'
PARTS = (dict(
    type='mmvision_ext.ITPN',
    arch=dict(embed_dims=32, depths=(1, 1, 4), num_heads=2),
    img_size=64),
         dict(
             type='mmvision_ext.ITPNPyramid',
             in_channels=(8, 16, 32),
             out_channels=16))


def closed_form(shape, offset, scale):
    """Values that no random number generator can change."""
    index = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (scale * torch.sin(index * 1.7 + offset)).reshape(shape)


def fill(model):
    with torch.no_grad():
        for i, (name, parameter) in enumerate(model.named_parameters()):
            base = 1. if 'norm' in name and name.endswith('weight') else 0.
            parameter.copy_(
                base + closed_form(parameter.shape, 0.3 * i, 0.2))
    return model.double().eval()


def pixel(mfm):
    backbone, neck = PARTS
    model = fill(
        ITPNPixelPretrain(
            backbone,
            neck,
            decoder=dict(embed_dims=32, depth=1, num_heads=2),
            mfm=mfm))
    return model, model.loss(
        closed_form((2, 3, 64, 80), 0.1, 1.), noise=closed_form(
            (2, 20), 0.7, 1.))


def clip(mfm, **kwargs):
    backbone, neck = PARTS
    model = fill(
        ITPNCLIPPretrain(
            dict(backbone, rpe='table', layer_scale=0.1),
            neck,
            teacher_dims=5,
            mfm=mfm,
            **kwargs))
    return model, model.loss(
        closed_form((2, 3, 64, 80), 0.1, 1.),
        mask=closed_form((2, 20), 0.7, 1.) > 0.3,
        target=closed_form((2, 20, 5), 0.2, 1.5))


CASES = {
    'pixel': lambda: pixel(None),
    'pixel_mfm': lambda: pixel(dict(weight=0.5)),
    'pixel_cosine': lambda: pixel(dict(distance='cosine')),
    'clip': lambda: clip(None),
    'clip_mfm': lambda: clip(dict(teacher='clip'), masked_only=True),
    'clip_stride4': lambda: clip(dict(), mask_stride=4),
}


def compute(case):
    model, losses = CASES[case]()
    sum(losses.values()).backward()
    result = {name: value.item() for name, value in losses.items()}
    for part in ('backbone', 'neck', 'head'):
        result[f'grad_{part}'] = sum(
            parameter.grad.square().sum().item()
            for parameter in getattr(model, part).parameters()
            if parameter.requires_grad)**0.5
    return result


@pytest.mark.parametrize('case', CASES)
def test_stored_values(case):
    stored = np.load(STORE)
    names = {key.split('/')[1] for key in stored.files
             if key.startswith(f'{case}/')}
    computed = compute(case)
    assert computed.keys() == names
    for name, value in computed.items():
        assert value == pytest.approx(
            float(stored[f'{case}/{name}']), rel=1e-5), name


if __name__ == '__main__':
    np.savez_compressed(
        STORE, **{
            f'{case}/{name}': value
            for case in CASES
            for name, value in compute(case).items()
        })
