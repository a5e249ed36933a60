"""Agreement with reference outputs."""

import ast

import numpy as np
import pytest
import torch

from mmvision_ext.vheat import VHeatNetwork
from mmvision_ext.vheat.convert import original_name

BACKBONES = [
    f'vheat_backbone_table{table}_{size}' for table in (64, 128)
    for size in ('64x64', '75x101', '96x64', '128x160')
]


def load_case(shared_root, name):
    case = np.load(shared_root / 'golden' / f'{name}.npz')
    config = ast.literal_eval(str(case['config']))
    classifier = 'num_classes' in config
    network = VHeatNetwork(
        dict(
            embed_dims=config['dims'],
            depths=config['depths'],
            post_norm=config['post_norm'],
            layer_scale=config.get('layer_scale')),
        img_size=config['img_size'],
        out_indices=(3, ) if classifier else (0, 1, 2, 3))
    depths = tuple(config['depths'])
    names = {
        name: original_name(name, depths, classifier)
        for name in network.state_dict()
    }
    network.load_state_dict({
        name: torch.from_numpy(case[f'param/{names[name]}']).reshape(
            parameter.shape)
        for name, parameter in network.named_parameters()
    })
    return case, network, names


@pytest.mark.parametrize('name', BACKBONES)
@pytest.mark.parametrize('training', [True, False])
def test_maps(shared_root, name, training):
    case, network, _ = load_case(shared_root, name)
    with torch.set_grad_enabled(training):
        outs = network.train(training)(torch.from_numpy(case['input']))
    assert len(outs) == 4
    for i, out in enumerate(outs):
        np.testing.assert_allclose(
            out.detach().numpy(), case[f'output/stage{i}'], atol=3e-5)


@pytest.mark.parametrize('name', ['vheat_cls_prenorm', 'vheat_cls_postnorm'])
def test_logits_and_gradients(shared_root, name):
    case, network, names = load_case(shared_root, name)
    head = [
        torch.from_numpy(case[f'param/classifier.3.{key}']).requires_grad_()
        for key in ('weight', 'bias')
    ]
    feature = network(torch.from_numpy(case['input']))[0].mean((2, 3))
    logits = torch.nn.functional.linear(feature, *head)
    np.testing.assert_allclose(
        logits.detach().numpy(), case['output/logits'], atol=1e-5)
    (logits * torch.linspace(-1, 1, 10)).sum().backward()
    grads = {names[key]: p.grad for key, p in network.named_parameters()}
    grads['classifier.3.weight'], grads['classifier.3.bias'] = (
        p.grad for p in head)
    assert len(grads) == sum(key.startswith('grad/') for key in case.files)
    for key, grad in grads.items():
        expected = case[f'grad/{key}']
        np.testing.assert_allclose(
            grad.numpy().reshape(expected.shape), expected,
            atol=1e-4 * max(np.abs(expected).max(), 1e-6), err_msg=key)
