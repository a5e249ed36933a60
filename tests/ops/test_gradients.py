"""Every autograd function of the package against finite differences."""
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.utils.checkpoint as cp
from torch import Tensor
from torch.autograd import Function, gradcheck

import mmvision_ext
from mmvision_ext.ops import attention_rows, chunks, conv, folded
from mmvision_ext.ops.attention_rows import _Attention
from mmvision_ext.ops.conv import _StridedConv
from mmvision_ext.ops.dct import squared_frequencies
from mmvision_ext.ops.decay import _Decay
from mmvision_ext.ops.folded import _Conduct
from mmvision_ext.ops.fused import Norm
from mmvision_ext.ops.gemm import _Linear
from mmvision_ext.ops.heat_branch import _Gate, _Source
from mmvision_ext.ops.mlp import _Mlp
from mmvision_ext.ops.normed import _NormGelu

Call = Callable[..., Tensor | tuple[Tensor, ...]]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks, the last a short one, of the few rows of a test."""
    monkeypatch.setattr(chunks, 'CPU_BYTES', 1)
    monkeypatch.setattr(chunks, 'MIN_ROWS', 5)
    monkeypatch.setattr(folded, 'CHUNK_BYTES', 1)
    monkeypatch.setattr(conv, 'PATCH_BYTES', 1)
    monkeypatch.setattr(attention_rows, 'SCORE_BYTES', 1)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def attention() -> Iterator[tuple[Call, list[Tensor]]]:
    # more queries than the 16 of a chunk, fewer keys, wider values
    yield (lambda *t: _Attention.apply(*t, 0.5),
           [random(1, 2, 18, 2), random(1, 2, 3, 2), random(1, 2, 3, 3)])


def strided_conv() -> Iterator[tuple[Call, list[Tensor]]]:
    for size in ((5, 6), (4, 1), (1, 1)):
        for bias in ((), (random(2), )):
            yield (lambda *t: _StridedConv.apply(*t, *[None] * (3 - len(t))),
                   [random(2, *size, 3), random(2, 3, 3, 3), *bias])


def decay() -> Iterator[tuple[Call, list[Tensor]]]:
    squared = squared_frequencies(3, 4, torch.float64, 'cpu')
    yield (lambda table, *t: _Decay.apply(table, squared, *t),
           [random(3, 4, 2), random(2, 2), random(2)])


def conduct() -> Iterator[tuple[Call, list[Tensor]]]:
    for size in ((3, 4), (4, 5)):
        heat = torch.rand(*size, 2).double().requires_grad_()
        yield _Conduct.apply, [random(2, *size, 2), heat]
        frozen = heat.detach()
        yield (lambda x, frozen=frozen: _Conduct.apply(x, frozen),
               [random(2, *size, 2)])


def linear() -> Iterator[tuple[Call, list[Tensor]]]:
    yield _Linear.apply, [random(2, 3, 4), random(5, 4), random(5)]
    yield (lambda *t: _Linear.apply(*t, None),
           [random(2, 3, 4), random(5, 4)])


def source() -> Iterator[tuple[Call, list[Tensor]]]:
    layers = [random(3, 1, 3, 3), random(3), random(3, 3), random(3),
              random(3, 3), random(3)]
    yield (lambda x, *t: _Source.apply(x, None, None, None, *t),
           [random(2, 2, 3, 3), *layers])
    yield (lambda x, w, b, *t: _Source.apply(x, Norm(w, b, 1e-5), w, b, *t),
           [random(2, 2, 3, 3), random(3), random(3), *layers])


def gate() -> Iterator[tuple[Call, list[Tensor]]]:
    yield (lambda heat, x, w, b, *t: _Gate.apply(
        heat, x, Norm(w, b, 1e-5), w, b, *t),
        [random(12, 3), random(12, 3), random(3), random(3), random(4, 3),
         random(4)])


def mlp() -> Iterator[tuple[Call, list[Tensor]]]:
    layers = [random(4, 3), random(4), random(2, 4), random(2)]
    yield (lambda x, *t: _Mlp.apply(x, None, None, None, *t),
           [random(12, 3), *layers])
    yield (lambda x, w, b, *t: _Mlp.apply(x, Norm(w, b, 1e-5), w, b, *t),
           [random(12, 3), random(3), random(3), *layers])


def norm_gelu() -> Iterator[tuple[Call, list[Tensor]]]:
    yield (lambda x, w, b: _NormGelu.apply(x, Norm(w, b, 1e-5), w, b),
           [random(12, 3), random(3), random(3)])


CASES = {
    _Attention: attention, _StridedConv: strided_conv, _Decay: decay,
    _Conduct: conduct, _Linear: linear, _Source: source, _Gate: gate,
    _Mlp: mlp, _NormGelu: norm_gelu,
}


def functions_of_the_package() -> set[type]:
    """All subclasses of Function that the modules of the package define."""
    found = set()
    for info in pkgutil.walk_packages(mmvision_ext.__path__,
                                      'mmvision_ext.'):
        source_file = importlib.util.find_spec(info.name).origin
        with open(source_file, encoding='utf-8') as file:
            if 'Function' not in file.read():
                continue
        module = importlib.import_module(info.name)
        found |= {
            kind for _, kind in inspect.getmembers(module, inspect.isclass)
            if issubclass(kind, Function) and kind.__module__ == info.name}
    return found


def test_no_function_is_left_out() -> None:
    assert functions_of_the_package() == set(CASES)


@pytest.mark.parametrize('function', CASES, ids=lambda f: f.__name__)
def test_gradients_equal_differences(function: type) -> None:
    for call, inputs in CASES[function]():
        assert gradcheck(call, inputs, eps=1e-6, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize('function', CASES, ids=lambda f: f.__name__)
def test_gradients_under_checkpointing(function: type) -> None:
    """What was saved is read once: it cannot be had a second time."""
    for call, inputs in CASES[function]():
        grads = []
        for outs in (call(*inputs),
                     cp.checkpoint(call, *inputs, use_reentrant=False)):
            outs = (outs, ) if isinstance(outs, Tensor) else outs
            grads.append(torch.autograd.grad(
                sum(out.square().sum() for out in outs), inputs))
        for plain, again in zip(*grads):
            assert torch.equal(plain, again)
