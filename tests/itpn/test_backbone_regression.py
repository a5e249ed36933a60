"""Stored outputs of a small network, so that any machine guards them.

They were stored once the same code agreed with the reference outputs that
``test_backbone_golden.py`` checks. Run this file as a program to store them
anew after a change that is meant to change them.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmvision_ext.itpn import ITPNNetwork, ITPNPyramidNetwork

STORE = Path(__file__).parents[1] / 'data' / 'itpn_regression.npz'
CASES = {
    'plain': dict(rpe='none', layer_scale=None),
    'table': dict(rpe='table', layer_scale=0.5),
    'decomposed': dict(rpe='decomposed', layer_scale=None),
    'windows': dict(rpe='table', layer_scale=None, window_size=2,
                    global_indices=(1, )),
}


def closed_form(shape, offset, scale):
    """Values that no random number generator can change."""
    index = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (scale * torch.sin(index * 1.7 + offset)).reshape(shape)


def fill(network):
    with torch.no_grad():
        for i, (name, parameter) in enumerate(network.named_parameters()):
            base = 1. if 'norm' in name and name.endswith('weight') else 0.
            parameter.copy_(
                base + closed_form(parameter.shape, 0.3 * i, 0.2))


def compute(**kwargs):
    backbone = ITPNNetwork(
        dict(embed_dims=32, depths=(1, 1, 2), num_heads=2), img_size=32,
        **kwargs).double()
    pyramid = ITPNPyramidNetwork((8, 16, 32), 8).double()
    fill(backbone)
    fill(pyramid)
    outs = pyramid(backbone(closed_form((1, 3, 43, 58), 0.1, 1.)))
    sum(out.square().sum() for out in outs).backward()
    result = {f'level{i}': out for i, out in enumerate(outs)}
    if 'window_size' not in kwargs:
        visible = backbone.forward_visible(
            closed_form((1, 3, 32, 48), 0.2, 1.), torch.tensor([[4, 0, 5]]))
        result['visible'] = visible[2]
    mask = torch.tensor([[True, False, False, True, False, True]])
    result['replaced'] = backbone.forward_replaced(
        closed_form((1, 3, 32, 48), 0.2, 1.), mask,
        closed_form((1, 1, 32), 0.4, 1.))[2]
    parameters = [*backbone.parameters(), *pyramid.parameters()]
    result['grad_norms'] = torch.stack([p.grad.norm() for p in parameters])
    result['grad_position'] = backbone.absolute_pos_embed.grad
    return {
        key: value.detach().float().numpy()
        for key, value in result.items()
    }


@pytest.mark.parametrize('case', CASES)
def test_stored_values(case):
    stored = np.load(STORE)
    for key, value in compute(**CASES[case]).items():
        expected = stored[f'{case}/{key}']
        np.testing.assert_allclose(
            value, expected, atol=1e-5 * np.abs(expected).max(), err_msg=key)


if __name__ == '__main__':
    np.savez_compressed(
        STORE, **{
            f'{case}/{key}': value
            for case, settings in CASES.items()
            for key, value in compute(**settings).items()
        })
