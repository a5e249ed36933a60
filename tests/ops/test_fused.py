"""Fused layers against what they stand for, in float64."""
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmvision_ext.ops import (
    chunks,
    conv,
    dct_2d,
    decay_map,
    folded,
    fused_mlp,
    gemm,
    idct_2d,
    squared_frequencies,
)
from mmvision_ext.ops.attention_rows import attend_rows
from mmvision_ext.ops.fused import Norm, is_plain
from mmvision_ext.ops.heat_branch import (
    Linear,
    gated_projection,
    heat_and_gate,
    infer_gated,
)
from mmvision_ext.ops.layers import run_linear
from mmvision_ext.ops.normed import norm_channels_first, norm_gelu


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks, the last a short one, of the few rows of a test."""
    torch.manual_seed(0)
    monkeypatch.setattr(chunks, 'CPU_BYTES', 1)
    monkeypatch.setattr(chunks, 'MIN_ROWS', 7)
    monkeypatch.setattr(folded, 'CHUNK_BYTES', 3 * 8 * 40 * 2)
    monkeypatch.setattr(conv, 'PATCH_BYTES', 1)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def random_norm(dims: int) -> Norm:
    return Norm(random(dims), random(dims), 1e-5)


def check(ours, plain, *tensors: Tensor) -> None:
    """The same values and gradients, and the right ones."""
    a, b = ours(*tensors), plain(*tensors)
    a, b = ((a, ), (b, )) if isinstance(a, Tensor) else (a, b)
    weights = [torch.randn_like(x) for x in b]
    grads = []
    for outs in (a, b):
        total = sum((x * w).sum() for x, w in zip(outs, weights))
        grads.append(torch.autograd.grad(total, tensors))
    for x, y in zip((*a, *grads[0]), (*b, *grads[1])):
        torch.testing.assert_close(x, y, rtol=0, atol=1e-10)
    assert torch.autograd.gradcheck(ours, tensors)
    with torch.no_grad():
        out = ours(*tensors)
        out = (out, ) if isinstance(out, Tensor) else out
        for x, y in zip(out, b):
            torch.testing.assert_close(x, y, rtol=0, atol=1e-10)


def test_rows_are_cut_evenly_and_without_gaps() -> None:
    cut = list(chunks.row_chunks(30, 100, torch.device('cpu')))
    assert cut == [(0, 6), (6, 12), (12, 18), (18, 24), (24, 30)]
    assert list(chunks.row_chunks(5, 100, torch.device('cpu'))) == [(0, 5)]
    assert list(chunks.row_chunks(10**6, 100, torch.device('cuda'))) == [
        (0, 10**6)]


@pytest.mark.parametrize('pre', [False, True])
@pytest.mark.parametrize('post', [False, True])
@pytest.mark.parametrize('scaled', [False, True])
def test_mlp(pre: bool, post: bool, scaled: bool) -> None:
    norm = random_norm(4)

    def plain(x: Tensor, residual: Tensor, gamma: Tensor, *params: Tensor
              ) -> Tensor:
        w1, b1, w2, b2, weight, bias = params
        y = F.layer_norm(x, (4, ), weight, bias, norm.eps) if pre else x
        y = F.linear(F.gelu(F.linear(y, w1, b1)), w2, b2)
        if post:
            y = F.layer_norm(y, (4, ), weight, bias, norm.eps)
        return residual + (y * gamma if scaled else y)

    def ours(x: Tensor, residual: Tensor, gamma: Tensor, *params: Tensor
             ) -> Tensor:
        own = Norm(*params[4:], norm.eps)
        return fused_mlp(x, params[:4], own if pre else None,
                         own if post else None, gamma if scaled else None,
                         residual)

    tensors = (random(2, 3, 3, 4), random(2, 3, 3, 4), random(4),
               random(6, 4), random(6), random(4, 6), random(4), *norm[:2])
    used = [i for i in range(len(tensors))
            if (scaled or i != 2) and (pre or post or i < 7)]

    def only(function):
        def call(*some: Tensor) -> Tensor:
            every = list(tensors)
            for i, tensor in zip(used, some):
                every[i] = tensor
            return function(*every)
        return call

    check(only(ours), only(plain), *(tensors[i] for i in used))


@pytest.mark.parametrize('size', [(24, 24), (25, 30), (31, 27), (40, 25)])
def test_folded_conduction(size: tuple[int, int]) -> None:
    x, decay = random(2, *size, 3), random(*size, 3)
    assert folded.can_fold(x)
    a = folded.conduct_folded(x, decay)
    b = idct_2d(dct_2d(x) * decay)
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    weight = torch.randn_like(a)
    for ours, plain in zip(*(torch.autograd.grad(
            (y * weight).sum(), (x, decay)) for y in (a, b))):
        torch.testing.assert_close(ours, plain, rtol=0, atol=1e-10)
    with torch.no_grad():
        torch.testing.assert_close(
            folded.conduct_folded(x, decay), b, rtol=0, atol=1e-12)


def test_folded_conduction_of_maps_with_gaps_and_of_frozen_decay() -> None:
    wide = random(1, 24, 26, 6)
    decay = torch.rand(24, 26, 3, dtype=torch.float64)
    x = wide[..., :3]
    out = folded.conduct_folded(x, decay)
    torch.testing.assert_close(out, idct_2d(dct_2d(x) * decay))
    grad, = torch.autograd.grad(out.square().sum(), wide)
    expected = idct_2d(dct_2d(2 * out.detach()) * decay)
    torch.testing.assert_close(grad[..., :3], expected)
    assert grad[..., 3:].abs().max() == 0


def test_only_large_maps_of_full_precision_are_folded() -> None:
    assert not folded.can_fold(torch.empty(1, 23, 40, 3))
    assert folded.can_fold(torch.empty(1, 24, 24, 3))
    assert not folded.can_fold(torch.empty(1, 40, 40, 3,
                                           dtype=torch.bfloat16))


def test_folded_conduction_has_a_right_gradient() -> None:
    assert torch.autograd.gradcheck(
        lambda x, e: folded._Conduct.apply(x, e),
        (random(2, 5, 4, 2), random(5, 4, 2)))


def test_decay() -> None:
    def plain(table: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        squared = squared_frequencies(5, 4, torch.float64)[..., None]
        return torch.exp(-F.relu(F.linear(table, weight, bias)) * squared)

    tensors = random(5, 4, 3), random(3, 3), random(3)
    check(decay_map, plain, *tensors)
    assert torch.equal(decay_map(*tensors)[0, 0], torch.ones(3).double())
    low = decay_map(*(t.to(torch.bfloat16) for t in tensors))
    assert low.dtype == torch.float32


@pytest.mark.parametrize('normed', [False, True])
def test_heat_and_gate(normed: bool) -> None:
    def plain(x: Tensor, *params: Tensor) -> tuple[Tensor, Tensor]:
        if normed:
            x = F.layer_norm(x, (3, ), *params[6:], 1e-5)
        y = F.conv2d(x.permute(0, 3, 1, 2), params[0], params[1], padding=1,
                     groups=3).permute(0, 2, 3, 1)
        return F.linear(y, *params[2:4]), F.linear(y, *params[4:6])

    def ours(x: Tensor, *params: Tensor) -> tuple[Tensor, Tensor]:
        norm = Norm(*params[6:], 1e-5) if normed else None
        return heat_and_gate(x, norm, Linear(*params[:2]),
                             Linear(*params[2:4]), Linear(*params[4:6]))

    params = [random(3, 1, 3, 3), random(3), random(3, 3), random(3),
              random(3, 3), random(3)]
    check(ours, plain, random(2, 4, 3, 3), *params,
          *(random_norm(3)[:2] if normed else ()))


def test_gated_projection() -> None:
    def plain(heat: Tensor, gate: Tensor, *params: Tensor) -> Tensor:
        normed = F.layer_norm(heat, (3, ), *params[:2], 1e-5)
        return F.linear(normed * F.silu(gate), *params[2:])

    def ours(heat: Tensor, gate: Tensor, *params: Tensor) -> Tensor:
        return gated_projection(heat, gate, Norm(*params[:2], 1e-5),
                                Linear(*params[2:]))

    check(ours, plain, random(2, 3, 4, 3), random(2, 3, 4, 3),
          *random_norm(3)[:2], random(3, 3), random(3))


@pytest.mark.parametrize('post', [False, True])
@pytest.mark.parametrize('added', [False, True])
@torch.no_grad()
def test_gate_without_gradients(post: bool, added: bool) -> None:
    heat, mixed, residual = (random(2, 3, 4, 3) for _ in range(3))
    gate, out = (Linear(random(3, 3), random(3)) for _ in range(2))
    norm, after = random_norm(3), random_norm(3)
    found = infer_gated(heat, mixed, gate, norm, out, after if post else None,
                        residual if added else None)
    y = F.linear(norm(heat) * F.silu(F.linear(mixed, *gate)), *out)
    y = after(y) if post else y
    torch.testing.assert_close(found, residual + y if added else y)


@pytest.mark.parametrize('size', [(8, 8), (7, 9), (6, 5), (1, 1)])
@pytest.mark.parametrize('few', [0, 512])
@pytest.mark.parametrize('bias', [False, True])
def test_strided_convolution(size: tuple[int, int], few: int, bias: bool,
                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conv, 'FEW_OUTPUTS', few)

    def plain(x: Tensor, weight: Tensor, *biases: Tensor) -> Tensor:
        y = F.conv2d(x.permute(0, 3, 1, 2), weight, *biases, stride=2,
                     padding=1)
        return y.permute(0, 2, 3, 1)

    check(conv.strided_conv, plain, random(2, *size, 2), random(3, 2, 3, 3),
          *([random(3)] if bias else []))


def test_where_convolutions_are_products() -> None:
    layer = nn.Conv2d(8, 3, 3, stride=2, padding=1)
    x = torch.randn(1, 6, 6, 8)
    assert conv.can_fuse_conv(layer, x)
    assert not conv.can_fuse_conv(layer, x.double())
    assert not conv.can_fuse_conv(nn.Conv2d(3, 3, 3), x[..., :3])
    with torch.autocast('cpu', torch.bfloat16):
        assert not conv.can_fuse_conv(layer, x)


def test_norm_and_gelu() -> None:
    check(lambda x, *norm: norm_gelu(x, Norm(*norm, 1e-5)),
          lambda x, *norm: F.gelu(F.layer_norm(x, (4, ), *norm, 1e-5)),
          random(3, 5, 4), *random_norm(4)[:2])


@pytest.mark.parametrize('normed', [False, True])
def test_channels_first(normed: bool) -> None:
    x, norm = random(2, 5, 3, 4), random_norm(4)
    expected = (norm(x) if normed else x).permute(0, 3, 1, 2)
    for enabled in (True, False):
        with torch.set_grad_enabled(enabled):
            out = norm_channels_first(x, norm if normed else None)
        assert out.is_contiguous() and out.requires_grad is enabled
        torch.testing.assert_close(out, expected)


def test_attention_in_rows() -> None:
    def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k.transpose(-1, -2) * 0.3).softmax(-1) @ v

    check(lambda q, k, v: attend_rows(q, k, v, 0.3), plain,
          random(2, 2, 37, 3), random(2, 2, 20, 3), random(2, 2, 20, 5))


@pytest.mark.parametrize('bias', [False, True])
def test_linear(bias: bool) -> None:
    check(gemm.fast_linear, F.linear, random(2, 3, 4), random(5, 4),
          *([random(5)] if bias else []))


def matrices() -> list[tuple[Tensor, Tensor]]:
    """Dense, transposed and with gaps, in float32."""
    a, b = torch.randn(9, 8), torch.randn(8, 7)
    return [(a, b), (a.t().contiguous().t(), b), (a, b.t().contiguous().t()),
            (torch.randn(9, 24)[:, 8:16], b), (a, torch.randn(8, 21)[:, ::3]),
            (a[:0], b)]


@pytest.mark.parametrize('enabled', [True, False])
def test_products_of_any_layout(enabled: bool) -> None:
    with torch.backends.mkldnn.flags(enabled=enabled):
        for a, b in matrices():
            torch.testing.assert_close(gemm.product(a, b), a @ b)
            torch.testing.assert_close(gemm.linear(a, b.t()), a @ b)


def test_float32_products_are_as_good_as_torchs() -> None:
    assert gemm._product is not None  # this machine has oneDNN
    a, b = torch.randn(300, 500), torch.randn(500, 200)
    exact = a.double() @ b.double()
    ours = (gemm.product(a, b) - exact).abs().max()
    assert ours < 2 * (a @ b - exact).abs().max()


def test_modules_that_do_more_are_called() -> None:
    layer = nn.Linear(4, 4)
    x = torch.randn(3, 4)
    assert is_plain(layer)
    handle = layer.register_forward_hook(lambda *_: torch.zeros(1))
    assert not is_plain(layer)
    assert run_linear(layer, x).shape == (1, )
    handle.remove()
    assert is_plain(layer)
    torch.testing.assert_close(run_linear(layer, x), layer(x))

    class Adapter(nn.Linear):
        pass

    assert not is_plain(Adapter(4, 4))
    assert not is_plain(nn.Linear(4, 4, bias=False))
    assert is_plain(nn.Linear(4, 4, bias=False), bias=False)
    # transforms of torch.func go through the modules
    torch.func.vmap(lambda x: (is_plain(layer), x)[1])(x)
    with torch.no_grad():
        doubled = torch.func.vmap(lambda x: run_linear(layer, x))(x)
    torch.testing.assert_close(doubled, layer(x))
