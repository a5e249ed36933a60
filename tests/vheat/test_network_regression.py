"""Stored outputs of a small network, so that any machine guards them.

They were stored once the same code agreed with the reference outputs that
``test_network_golden.py`` checks. Run this file as a program to store them
anew after a change that is meant to change them.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmvision_ext.vheat import VHeatNetwork

STORE = Path(__file__).parents[1] / 'data' / 'vheat_regression.npz'
CASES = {
    'pre_bicubic': dict(post_norm=False, rule='bicubic'),
    'pre_aligned': dict(post_norm=False, rule='aligned'),
    'pre_pad': dict(post_norm=False, rule='pad'),
    'post_bicubic': dict(post_norm=True, rule='bicubic'),
}


def closed_form(shape, offset, scale):
    """Values that no random number generator can change."""
    index = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (scale * torch.sin(index * 1.7 + offset)).reshape(shape)


def compute(post_norm, rule):
    network = VHeatNetwork(
        dict(
            embed_dims=8,
            depths=(1, 1, 2, 1),
            post_norm=post_norm,
            layer_scale=0.5 if post_norm else None),
        img_size=32,
        table_resize=rule).double()
    with torch.no_grad():
        for i, (name, parameter) in enumerate(network.named_parameters()):
            base = 1. if 'norm' in name and name.endswith('weight') else 0.
            parameter.copy_(
                base + closed_form(parameter.shape, 0.3 * i, 0.2))
    outs = network(closed_form((1, 3, 40, 57), 0.1, 1.))
    sum(out.square().sum() for out in outs).backward()
    result = {f'stage{i}': out for i, out in enumerate(outs)}
    result['grad_norms'] = torch.stack(
        [parameter.grad.norm() for parameter in network.parameters()])
    result['grad_table'] = network.freq_embed[0].grad
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
