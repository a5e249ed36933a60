"""Cosine transforms against scipy, and closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy.fft import dctn, idctn

from mmvision_ext.ops import (
    conduct_heat,
    dct_2d,
    dct_basis,
    idct_2d,
    squared_frequencies,
)

SIZES = [(1, 1), (1, 7), (5, 1), (8, 8), (13, 6), (56, 31)]


@pytest.mark.parametrize('size', SIZES)
def test_transforms_equal_scipy(size):
    x = torch.randn(2, *size, 3, dtype=torch.float64)
    forward = dctn(x.numpy(), axes=(1, 2), norm='ortho')
    inverse = idctn(x.numpy(), axes=(1, 2), norm='ortho')
    np.testing.assert_allclose(dct_2d(x).numpy(), forward, atol=1e-12)
    np.testing.assert_allclose(idct_2d(x).numpy(), inverse, atol=1e-12)
    np.testing.assert_allclose(
        dct_2d(x.float()).numpy(), forward, atol=1e-5)


@pytest.mark.parametrize('length', [1, 2, 56, 200, 304])
def test_basis_is_orthonormal(length):
    for dtype, bound in ((torch.float64, 1e-13), (torch.float32, 3e-6)):
        basis = dct_basis(length, dtype)
        error = (basis @ basis.t() - torch.eye(length, dtype=dtype)).abs()
        assert error.max() < bound


def test_basis_is_shared_and_usable_after_inference_mode():
    with torch.inference_mode():
        first = dct_basis(37)
    assert not first.is_inference()
    assert dct_basis(37) is first
    assert dct_basis(37, torch.float64) is not first


def test_basis_refuses_no_tokens():
    with pytest.raises(ValueError, match='length is 0'):
        dct_basis(0)


def test_frequencies():
    squared = squared_frequencies(4, 6, torch.float64)
    assert squared.shape == (4, 6)
    assert squared[0, 0] == 0
    expected = (math.pi * 3 / 4)**2 + (math.pi * 5 / 6)**2
    assert squared[3, 5].item() == pytest.approx(expected, rel=1e-14)


def test_unit_decay_is_the_identity_and_dc_decay_the_mean():
    x = torch.randn(2, 9, 12, 4, dtype=torch.float64)
    assert torch.allclose(conduct_heat(x, torch.ones(9, 12, 4)), x)
    only_dc = torch.zeros(9, 12, 4, dtype=torch.float64)
    only_dc[0, 0] = 1
    mean = x.mean((1, 2), keepdim=True).expand_as(x)
    assert torch.allclose(conduct_heat(x, only_dc), mean)


def test_energy_never_grows_and_time_adds_up():
    x = torch.randn(2, 9, 12, 4, dtype=torch.float64)
    k = torch.rand(9, 12, 4, dtype=torch.float64)
    squared = squared_frequencies(9, 12, torch.float64)[..., None]
    energies = [x.square().sum()]
    for time in (0.1, 1., 10.):
        out = conduct_heat(x, torch.exp(-k * time * squared))
        energies.append(out.square().sum())
    assert energies == sorted(energies, reverse=True)
    once = torch.exp(-k * squared)
    twice = conduct_heat(conduct_heat(x, once), once)
    assert torch.allclose(twice, conduct_heat(x, once.square()))


@pytest.mark.parametrize('dtype,bound', [(torch.bfloat16, 8e-3),
                                         (torch.float16, 1e-3)])
@pytest.mark.parametrize('mean', [0., 5., 500.])
def test_low_precision_error_does_not_depend_on_the_mean(dtype, bound, mean):
    # 500 on 200 x 304 tokens would be a coefficient of 123288, beyond
    # float16: only the removed mean makes this finite.
    x = torch.randn(1, 200, 304, 2) + mean
    decay = torch.rand(200, 304, 2)
    decay[0, 0] = 1
    x = x.to(dtype)
    reference = conduct_heat(x.double(), decay.double())
    error = conduct_heat(x, decay).double() - reference
    assert error.isfinite().all()
    # beyond what the type itself loses when it stores the mean
    stored = (reference.to(dtype).double() - reference).square().mean()
    assert error.square().mean().sqrt() < bound + 1.5 * stored.sqrt()


def test_gradients():
    x = torch.randn(2, 3, 4, 2, dtype=torch.float64, requires_grad=True)
    decay = torch.rand(3, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(conduct_heat, (x, decay))
