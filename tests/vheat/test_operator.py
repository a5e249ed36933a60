"""Properties of the heat conduction operator."""

import copy
import math

import pytest
import torch

from mmvision_ext.ops import decay_map
from mmvision_ext.vheat import HeatConduction2d


def perturbed(**kwargs) -> HeatConduction2d:
    op = HeatConduction2d(6, table_size=(4, 5), **kwargs)
    with torch.no_grad():
        for parameter in op.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return op


def plain(op, x):
    """The formulas as written: explicit sums over positions, float64."""
    b, c, h, w = x.shape
    y = torch.nn.functional.conv2d(
        x, op.dwconv.weight, op.dwconv.bias, padding=1, groups=c)
    u, z = op.linear(y.permute(0, 2, 3, 1)).split(c, dim=-1)

    def basis(n):
        a = [math.sqrt((1 if i == 0 else 2) / n) for i in range(n)]
        return torch.tensor(
            [[a[i] * math.cos(math.pi * i * (j + .5) / n)
              for j in range(n)] for i in range(n)], dtype=x.dtype)

    k = torch.relu(op.to_k(op.freq_embed))
    energy = torch.einsum('nh,mw,bhwc->bnmc', basis(h), basis(w), u)
    for n in range(h):
        for m in range(w):
            squared = (math.pi * n / h)**2 + (math.pi * m / w)**2
            energy[:, n, m] *= torch.exp(-squared * k[n, m])
    v = torch.einsum('nh,mw,bnmc->bhwc', basis(h), basis(w), energy)
    v = torch.nn.functional.layer_norm(
        v, (c, ), op.out_norm.weight, op.out_norm.bias, 1e-5)
    return op.out_linear(v * z * torch.sigmoid(z)).permute(0, 3, 1, 2)


def test_equals_the_formulas():
    op = perturbed().double()
    x = torch.randn(2, 6, 4, 5, dtype=torch.float64)
    with torch.no_grad():
        assert torch.allclose(op(x), plain(op, x), atol=1e-12)


def test_decay_is_one_at_dc_and_falls():
    to_k = torch.nn.Linear(3, 3)
    torch.nn.init.normal_(to_k.weight)
    decay = decay_map(torch.randn(6, 4, 3), to_k.weight, to_k.bias)
    assert (decay[0, 0] == 1).all()
    assert (decay <= 1).all() and (decay >= 0).all()
    assert decay.min() < 0.5


def test_zero_diffusivity_conducts_nothing_and_constants_stay():
    op = perturbed()
    heat = torch.randn(2, 7, 9, 6)
    from mmvision_ext.ops import conduct_heat
    with torch.no_grad():
        decay = op.decay(op.freq_embed, (7, 9))
        constant = torch.randn(2, 1, 1, 6).expand(2, 7, 9, 6)
        assert torch.allclose(
            conduct_heat(constant, decay), constant, atol=1e-5)
        assert not torch.allclose(
            conduct_heat(heat, decay), heat, atol=1e-2)
        op.to_k.weight.zero_()
        op.to_k.bias.fill_(-1.)
        decay = op.decay(op.freq_embed, (7, 9))
        assert (decay == 1).all()
        assert torch.allclose(conduct_heat(heat, decay), heat, atol=1e-5)


def test_transposed_input_and_parameters_transpose_the_output():
    op = perturbed().double()
    x = torch.randn(2, 6, 8, 5, dtype=torch.float64)
    turned = copy.deepcopy(op)
    with torch.no_grad():
        turned.freq_embed.data = op.freq_embed.transpose(0, 1).clone()
        turned.dwconv.weight.copy_(op.dwconv.weight.transpose(2, 3))
        out = turned(x.transpose(2, 3)).transpose(2, 3)
        assert torch.allclose(out, op(x), atol=1e-12)


@pytest.mark.parametrize('size', [(1, 1), (1, 6), (4, 5), (11, 3)])
def test_gradients_at_any_size(size):
    op = perturbed().double()
    x = torch.randn(1, 6, *size, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(op, (x, ))
    assert torch.autograd.gradcheck(
        lambda table: op(x.detach(), table), (op.freq_embed, ))


def test_initialisation():
    torch.manual_seed(0)
    op = HeatConduction2d(256, table_size=(16, 16))
    for weight in (op.linear.weight, op.to_k.weight, op.out_linear.weight,
                   op.freq_embed):
        assert weight.std().item() == pytest.approx(0.02, rel=0.02)
    for layer in (op.linear, op.to_k, op.out_linear):
        assert (layer.bias == 0).all()
    bound = 1 / 3  # 1 / sqrt(fan in) of a depthwise 3x3
    assert op.dwconv.weight.abs().max().item() == pytest.approx(
        bound, rel=0.02)
    assert op.dwconv.weight.abs().max() <= bound
    assert op.out_norm.eps == 1e-5


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match="'nearest'.*bicubic"):
        HeatConduction2d(4, table_resize='nearest')
    with pytest.raises(ValueError, match='no frequency table'):
        HeatConduction2d(4)(torch.zeros(1, 4, 2, 2))
    with pytest.raises(ValueError, match=r'\(1, 3, 2, 2\).*\(B, 6, H, W\)'):
        perturbed()(torch.zeros(1, 3, 2, 2))
