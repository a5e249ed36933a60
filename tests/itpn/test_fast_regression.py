"""Stored outputs of a small Fast-iTPN, so that any machine guards them.

They were stored once the same code agreed with the reference outputs that
``test_fast_network.py`` checks. Run this file as a program to store them
anew after a change that is meant to change them.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmvision_ext.itpn import FastITPNNetwork, FastITPNPyramidNetwork

STORE = Path(__file__).parents[1] / 'data' / 'itpn_fast_regression.npz'


def closed_form(shape, offset, scale):
    """Values that no random number generator can change."""
    index = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (scale * torch.sin(index * 1.7 + offset)).reshape(shape)


def fill(module):
    """Give every parameter of a module such values."""
    with torch.no_grad():
        for i, (name, parameter) in enumerate(
                sorted(module.named_parameters())):
            base = 1. if 'norm' in name and name.endswith('weight') else 0.
            parameter.copy_(
                base + closed_form(parameter.shape, 0.3 * i, 0.2))


def compute_backbone():
    network = FastITPNNetwork(
        dict(embed_dims=16, depths=(1, 1, 2), num_heads=2),
        img_size=48).double()
    fill(network)
    outs = dict(zip(('dense1', 'dense2', 'dense3'),
                    network(closed_form((1, 3, 40, 57), 0.1, 1.))))
    image = closed_form((1, 3, 48, 48), 0.2, 1.)
    outs |= zip(('visible1', 'visible2', 'visible3'),
                network.forward_visible(image, torch.tensor([[5, 0, 7]])))
    outs |= zip(('replaced1', 'replaced2', 'replaced3', 'aux'),
                network.forward_replaced(
                    image, torch.arange(9)[None] % 2 == 0,
                    closed_form((1, 1, 64), 0.4, 1.), aux_index=0))
    sum(out.square().sum() for out in outs.values()).backward()
    outs['grad_norms'] = torch.stack(
        [p.grad.norm() for _, p in sorted(network.named_parameters())])
    outs['grad_positions'] = network.pos_embed.grad
    return {k: v.detach().float().numpy() for k, v in outs.items()}


def compute_pyramid():
    network = FastITPNPyramidNetwork((4, 8, 16), 8, num_outs=4).double()
    fill(network)
    maps = [closed_form((1, *shape), 0.1, 1.)
            for shape in ((4, 12, 9), (8, 6, 5), (16, 3, 3))]
    outs = {f'out{i}': out for i, out in enumerate(network(maps))}
    sum(out.square().sum() for out in outs.values()).backward()
    outs['grad_norms'] = torch.stack(
        [p.grad.norm() for _, p in sorted(network.named_parameters())])
    return {k: v.detach().float().numpy() for k, v in outs.items()}


CASES = {'backbone': compute_backbone, 'pyramid': compute_pyramid}


@pytest.mark.parametrize('case', CASES)
def test_stored_values(case):
    stored = np.load(STORE)
    values = CASES[case]()
    assert len(values) == sum(k.startswith(f'{case}/') for k in stored.files)
    for key, value in values.items():
        expected = stored[f'{case}/{key}']
        np.testing.assert_allclose(
            value, expected, rtol=0, atol=1e-5 * np.abs(expected).max(),
            err_msg=key)


if __name__ == '__main__':
    np.savez_compressed(
        STORE, **{
            f'{case}/{key}': value
            for case, compute in CASES.items()
            for key, value in compute().items()
        })
