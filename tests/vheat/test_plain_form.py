"""The network against its plain form, which the benchmark compares it with.
"""
import pytest
import torch
from torch import nn

from mmvision_ext.vheat.network import VHeatNetwork

from .plain_vheat import plain_vheat

PRE = dict(embed_dims=8, depths=(1, 1, 2, 1))
POST = dict(PRE, post_norm=True, layer_scale=0.5)
SCALED = dict(PRE, layer_scale=0.5)


def pair(arch: dict, **kwargs) -> tuple[VHeatNetwork, VHeatNetwork]:
    torch.manual_seed(0)
    ours = VHeatNetwork(arch=arch, img_size=64, **kwargs)
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            parameter.normal_(std=1. if 'freq' in name else 0.3)
            if 'norm' in name and name.endswith('weight'):
                parameter.add_(1.)
    plain = plain_vheat(arch=arch, img_size=64, **kwargs)
    plain.load_state_dict(ours.state_dict())
    return ours, plain


@pytest.mark.parametrize('arch', [PRE, POST, SCALED])
@pytest.mark.parametrize('size', [(64, 64), (132, 101)])
def test_outputs_and_gradients(arch: dict, size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size)
    results = []
    for net in pair(arch):
        outs = net(x)
        torch.manual_seed(1)
        sum((out * torch.randn_like(out)).sum() for out in outs).backward()
        with torch.no_grad():
            inferred = net.eval()(x)
        results.append((outs, inferred, dict(net.named_parameters())))
    (ours, inferred, params), (plain, _, wanted) = results
    for a, b, c in zip(ours, inferred, plain):
        torch.testing.assert_close(a, c, rtol=0, atol=2e-4)
        torch.testing.assert_close(b, c, rtol=0, atol=2e-4)
    for name, parameter in params.items():
        top = wanted[name].grad.abs().max()
        difference = (parameter.grad - wanted[name].grad).abs().max()
        assert difference <= 1e-4 * top + 1e-6, name


def test_drop_path_draws_the_same_in_both_forms() -> None:
    x = torch.randn(4, 3, 64, 64)
    outs = []
    for net in pair(POST, drop_path_rate=0.5):
        torch.manual_seed(3)
        outs.append(net.train()(x))
    for a, b in zip(*outs):
        torch.testing.assert_close(a, b, rtol=0, atol=2e-4)


@pytest.mark.parametrize('name', [
    'norm2', 'op.dwconv', 'op.linear', 'op.out_norm', 'op.out_linear',
    'mlp', 'mlp.fc1'])
def test_hooked_modules_are_called(name: str) -> None:
    net, _ = pair(PRE)
    net.eval()
    x = torch.randn(1, 3, 64, 64)
    seen: list[nn.Module] = []
    with torch.no_grad():
        expected = net(x)
        block = net.stages[2].blocks[1]
        handle = block.get_submodule(name).register_forward_hook(
            lambda module, *_: seen.append(module))
        found = net(x)
        assert seen == [block.get_submodule(name)]
        handle.remove()
        assert len(seen) == 1 and net(x) and len(seen) == 1
    for a, b in zip(expected, found):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-4)


def test_what_a_block_keeps_for_the_backward_pass() -> None:
    net, plain = pair(dict(PRE, depths=(2, 1, 1, 1)))
    sizes = []
    for network in (net, plain):
        kept: dict[int, int] = {}

        def keep(t: torch.Tensor, kept: dict[int, int] = kept
                 ) -> torch.Tensor:
            kept[t.untyped_storage().data_ptr()] = \
                t.untyped_storage().nbytes()
            return t

        x = torch.randn(1, 3, 256, 256)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            outs = network(x)
        sizes.append(sum(kept.values()))
        assert outs
    assert sizes[0] < 0.5 * sizes[1]
