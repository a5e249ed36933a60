"""Runs the Triton kernels in Triton's interpreter; prints errors as JSON.

    TRITON_INTERPRET=1 python tests/ops/heat_interpreted.py

A program of its own, since Triton reads the variable when it is imported.
"""
import json
import time
import warnings

import torch
from torch import Tensor

from mmvision_ext.ops import conduct_heat, heat
from mmvision_ext.ops.heat import conduct_heat_plain
from mmvision_ext.ops.heat_triton import (
    conduct_heat_triton,
    explain_unsupported,
    failures,
)

# B, H, W, C, type, mean: none a multiple of a block, planes and passes
CASES = [
    (2, 7, 7, 20, 'float32', 0.),
    (3, 14, 14, 33, 'float32', 0.),
    (2, 5, 9, 3, 'float32', 0.),
    (2, 1, 1, 5, 'float32', 0.),
    (1, 28, 28, 9, 'float32', 0.),
    (1, 56, 56, 3, 'float32', 0.),
    (1, 80, 96, 2, 'float32', 0.),
    (2, 3, 130, 2, 'float32', 0.),
    (3, 14, 14, 33, 'bfloat16', 0.),
    (2, 28, 28, 9, 'bfloat16', 5.),
    (1, 56, 56, 9, 'bfloat16', 0.),
    (1, 64, 48, 3, 'bfloat16', 5.),
    (2, 66, 6, 3, 'bfloat16', 5.),
    (1, 2, 260, 2, 'bfloat16', 0.),
    (3, 14, 14, 33, 'float16', 0.),
    (1, 56, 56, 9, 'float16', 1000.),
    (2, 66, 5, 3, 'float16', 5000.),
]


def rms(x: Tensor) -> float:
    return x.double().square().mean().sqrt().item()


def gradients(function, x, decay, grad):
    x = x.detach().requires_grad_()
    decay = decay.detach().requires_grad_()
    y = function(x, decay)
    return [y.detach(), *torch.autograd.grad(y, (x, decay), grad)]


def run_case(b, h, w, c, dtype, mean):
    dtype = getattr(torch, dtype)
    # the heat half of a map (B, H, W, 2C)
    x = (torch.randn(b, h, w, 2 * c) + mean).to(dtype).chunk(2, -1)[0]
    decay = torch.rand(h, w, c)
    decay[0, 0] = 1
    grad = (torch.randn(b, h, w, c) + mean).to(dtype)
    exact = gradients(conduct_heat_plain, x.double(), decay.double(),
                      grad.double())
    got = gradients(conduct_heat_triton, x, decay, grad)
    again = got
    if max(h, w) <= 64:  # the interpreter is slow
        again = gradients(conduct_heat_triton, x.contiguous(), decay, grad)
    result = {'dc_gradient': got[2][0, 0].abs().max().item()}
    if dtype != torch.float32:
        exact[2][0, 0] = 0  # the mean is conducted apart
    plain = gradients(conduct_heat_plain, x, decay, grad)
    result['plain'] = [rms(p - e) for p, e in zip(plain, exact)]
    result['error'] = [rms(g - e) for g, e in zip(got, exact)]
    result['largest'] = [(g - e).abs().max().item()
                         for g, e in zip(got, exact)]
    result['size'] = [rms(e) for e in exact]
    result['stored'] = [rms(e.to(g.dtype) - e) for g, e in zip(got, exact)]
    result['same'] = all(torch.equal(g, a) for g, a in zip(got, again))
    result['types'] = [str(g.dtype) for g in got]
    return result


def run_second_order():
    x, decay, grad = (torch.randn(2, 5, 6, 3), torch.rand(5, 6, 3),
                      torch.randn(2, 5, 6, 3))
    x.requires_grad_()
    decay.requires_grad_()
    results = []
    for function in (conduct_heat_triton, conduct_heat_plain):
        first = torch.autograd.grad(function(x, decay), (x, decay), grad,
                                    create_graph=True)
        total = sum(t.square().sum() for t in first)
        results.append(torch.autograd.grad(total, (x, decay)))
    return max((a - b).abs().max().item() for a, b in zip(*results))


def run_partial():
    """Gradients of one argument only, and of an expanded gradient."""
    x, decay = torch.randn(2, 5, 6, 3), torch.rand(5, 6, 3)
    errors = []
    for wanted in (x, decay):
        wanted.requires_grad_()
        values = [torch.autograd.grad(f(x, decay).sum(), wanted)[0]
                  for f in (conduct_heat_triton, conduct_heat_plain)]
        errors.append((values[0] - values[1]).abs().max().item())
        wanted.requires_grad_(False)
    channels_first = x.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    errors.append((conduct_heat_triton(channels_first, decay)
                   - conduct_heat_plain(x, decay)).abs().max().item())
    return errors


def run_operator():
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.randn(2, 5, 6, 8, dtype=dtype).chunk(2, -1)[0]
        decay = torch.rand(5, 6, 4).requires_grad_()
        torch.library.opcheck(
            torch.ops.mmvision_ext.conduct_heat.default,
            (x.detach().requires_grad_(), decay))
        torch.library.opcheck(
            torch.ops.mmvision_ext.conduct_heat_backward.default,
            (torch.randn_like(x), x, decay.detach()))


def run_compiled():
    """Errors and number of graphs for three sizes."""
    from torch._dynamo.testing import CompileCounterWithBackend

    def function(x, decay):
        return conduct_heat(x, decay).sin()

    counter = CompileCounterWithBackend('aot_eager')
    compiled = torch.compile(function, backend=counter, fullgraph=True,
                             dynamic=True)
    errors = []
    for h, w in ((5, 6), (7, 9), (12, 20)):
        x, decay = torch.randn(2, h, w, 3), torch.rand(h, w, 3)
        grad = torch.randn(2, h, w, 3)
        errors += [(a - b).abs().max().item() for a, b in zip(
            gradients(compiled, x, decay, grad),
            gradients(function, x, decay, grad))]
    calls = [str(node.target) for node in counter.graphs[0].graph.nodes
             if node.op == 'call_function']
    return {'errors': errors, 'graphs': counter.frame_count, 'calls': calls}


def run_failure(broken):
    """What is left when a kernel cannot be built."""
    from mmvision_ext.ops import heat_op
    x, decay = torch.randn(2, 3, 4, 5), torch.rand(3, 4, 5)
    grad = torch.randn(2, 3, 4, 5)
    kernels = heat_op.conduct, heat_op.conduct_backward
    heat_op.conduct = heat_op.conduct_backward = broken
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        got = gradients(conduct_heat_triton, x, decay, grad)
        first = explain_unsupported(x, decay)
        got += gradients(conduct_heat, x, decay, grad)
    heat_op.conduct, heat_op.conduct_backward = kernels
    failures.clear()
    plain = 2 * gradients(conduct_heat_plain, x, decay, grad)
    return {'reason': first, 'warnings': [str(c.message) for c in caught],
            'errors': [(a - b).abs().max().item()
                       for a, b in zip(got, plain)]}


def out_of_resources(*args):
    from triton.runtime.errors import OutOfResources
    raise OutOfResources(300000, 232448, 'shared memory')


def main() -> None:
    torch.manual_seed(0)
    heat.can_fold = lambda x: False  # as the plain path is on a GPU
    cases = []
    for case in CASES:
        start = time.process_time()
        cases.append(dict(run_case(*case), case=case,
                          seconds=time.process_time() - start))
    run_operator()
    report = {
        'cases': cases, 'second_order': run_second_order(),
        'partial': run_partial(), 'compiled': run_compiled(),
        'failures_before': {str(k): v for k, v in failures.items()},
        'failure': run_failure(out_of_resources),
    }
    print(json.dumps(report))


if __name__ == '__main__':
    main()
