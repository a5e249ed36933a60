"""The Triton kernels in Triton's interpreter, their resources, fallbacks."""
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from mmvision_ext.ops import conduct_heat, heat_triton
from mmvision_ext.ops.heat import conduct_heat_plain
from mmvision_ext.ops.heat_triton import (
    conduct_heat_triton,
    explain_unsupported,
    try_conduct_heat,
)

FOLDER = Path(__file__).parent
# rms of the error against float64: a part of the rms of what is computed,
# beyond what it costs to round that to its type.
TOLERANCE = {'float32': 1e-6, 'bfloat16': 1e-2, 'float16': 1.2e-3}


def run(script: str, *args: str, **env: str) -> str:
    environment = dict(os.environ, OMP_NUM_THREADS='1', **env)
    root = str(FOLDER.parents[1])
    environment['PYTHONPATH'] = os.pathsep.join(
        [root, environment.get('PYTHONPATH', '')])
    done = subprocess.run([sys.executable, script, *args], text=True,
                          env=environment, capture_output=True, cwd=FOLDER)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope='module')
def report():
    pytest.importorskip('triton')
    script = str(FOLDER / 'heat_interpreted.py')
    return json.loads(run(script, TRITON_INTERPRET='1'))


def test_values_and_gradients_equal_float64(report):
    assert report['failures_before'] == {}
    assert len(report['cases']) > 14
    for case in report['cases']:
        dtype = case['case'][4]
        assert case['types'] == 2 * [f'torch.{dtype}'] + ['torch.float32']
        for error, size, stored in zip(case['error'], case['size'],
                                       case['stored']):
            # A mean, conducted apart, adds no error of its own.
            bound = TOLERANCE[dtype] * (1 if case['case'][5] else size)
            assert error < bound + 1.2 * stored, case
        if dtype == 'float32':
            assert max(case['largest']) < 1e-5, case


def test_no_less_accurate_than_the_plain_path(report):
    for case in report['cases']:
        for error, plain in zip(case['error'], case['plain']):
            # the plain path overflows in a gradient of mean 1000
            assert not plain == plain or error <= 1.1 * plain, case


def test_same_bits_from_a_chunk_and_on_every_run(report):
    assert all(case['same'] for case in report['cases'])


def test_gradient_of_frequency_0(report):
    # exact in float32; in 16 bits the mean passes the decay by
    for case in report['cases']:
        assert (case['dc_gradient'] == 0) == (case['case'][4] != 'float32')


def test_gradients_of_gradients_and_of_one_argument(report):
    assert report['second_order'] < 1e-5
    assert max(report['partial']) < 1e-5


def test_one_graph_of_torch_compile(report):
    compiled = report['compiled']
    assert max(compiled['errors']) == 0
    assert compiled['graphs'] == 1
    assert compiled['calls'] == ['mmvision_ext.conduct_heat']


def test_kernels_that_cannot_be_built_are_replaced_with_one_warning(report):
    failure = report['failure']
    assert 'OutOfResources' in failure['reason']
    assert len(failure['warnings']) == 1
    assert failure['reason'] in failure['warnings'][0]
    assert max(failure['errors']) < 1e-6


def test_kernels_fit_a100_and_h100(tmp_path):
    pytest.importorskip('triton')
    lines = run(str(FOLDER / 'heat_resources.py'), '--quick',
                TRITON_CACHE_DIR=str(tmp_path), TRITON_INTERPRET='0')
    results = [json.loads(line) for line in lines.splitlines()]
    assert {r['target'] for r in results} == {80, 90}
    assert len({r['kernel'] for r in results}) == 5
    for result in results:
        limit = {80: 163, 90: 227}[result['target']] * 1024
        assert result['shared'] <= limit, result
        # a plane of 64 x 64 takes nearly all the registers there are
        assert result['spilled'] <= 288 * (result.get('BH') == 64), result


def test_nothing_is_imported_before_it_is_needed():
    code = ('import sys, torch\n'
            'from mmvision_ext.ops import conduct_heat\n'
            'conduct_heat(torch.ones(1, 2, 3, 4), torch.ones(2, 3, 4))\n'
            'assert "triton" not in sys.modules\n')
    run('-c', code, TRITON_INTERPRET='0')


def test_maps_on_a_cpu_take_the_plain_path_in_silence():
    x, decay = torch.randn(1, 2, 3, 4), torch.ones(2, 3, 4)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert try_conduct_heat(x, decay) is None
    assert explain_unsupported(x, decay) == 'the map is not on a GPU'
    with pytest.raises(ValueError, match='the map is not on a GPU'):
        conduct_heat_triton(x, decay)


@pytest.fixture
def gpu(monkeypatch):
    """Maps of a GPU without one, and no warning given so far."""
    monkeypatch.setattr(heat_triton, '_gpu_problem', lambda index: None)
    monkeypatch.setattr(heat_triton, '_warned', set())
    monkeypatch.delenv('MMVISION_TRITON', raising=False)
    with FakeTensorMode():
        yield


@pytest.mark.parametrize('shape,dtype,decay_dtype,reason', [
    ((1, 2, 3, 4), torch.float64, torch.float32, 'torch.float64'),
    ((1, 2, 3, 4), torch.float16, torch.float16, 'the decay is not float32'),
    ((1, 513, 3, 4), torch.float32, torch.float32, 'more than 512 tokens'),
    ((0, 2, 3, 4), torch.float32, torch.float32, 'the map is empty'),
    ((1, 512, 512, 8192), torch.float32, torch.float32, 'too large'),
    ((1, 2, 3, 4, 5), torch.float32, torch.float32, 'not (B, H, W, C)'),
])
def test_a_reason_is_given_once(gpu, shape, dtype, decay_dtype, reason):
    x = torch.empty(shape, dtype=dtype, device='cuda')
    decay = torch.empty(shape[1:], dtype=decay_dtype, device='cuda')
    with pytest.warns(UserWarning) as caught:
        assert try_conduct_heat(x, decay) is None
        assert try_conduct_heat(x, decay) is None
    assert len(caught) == 1
    assert reason in str(caught[0].message)


def test_a_map_of_a_gpu_is_supported(gpu):
    pytest.importorskip('triton')
    x = torch.empty(2, 56, 56, 192, device='cuda', dtype=torch.float16)
    decay = torch.empty(56, 56, 96, device='cuda')
    assert explain_unsupported(x.chunk(2, -1)[0], decay) is None


def test_the_switch_is_silent(gpu, monkeypatch):
    monkeypatch.setenv('MMVISION_TRITON', '0')
    x = torch.empty(1, 2, 3, 4, device='cuda')
    decay = torch.empty(2, 3, 4, device='cuda')
    assert explain_unsupported(x, decay) == 'MMVISION_TRITON=0'
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert try_conduct_heat(x, decay) is None


def test_without_triton(gpu, monkeypatch):
    heat_triton._triton_problem.cache_clear()
    monkeypatch.setitem(sys.modules, 'triton', None)
    x = torch.empty(1, 2, 3, 4, device='cuda')
    decay = torch.empty(2, 3, 4, device='cuda')
    with pytest.warns(UserWarning, match='Triton cannot be imported'):
        assert try_conduct_heat(x, decay) is None
    heat_triton._triton_problem.cache_clear()


@pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason='needs a GPU; any machine with one: '
    'pytest tests/ops/test_heat_triton.py')
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16,
                                   torch.bfloat16])
@pytest.mark.parametrize('size', [(7, 7), (14, 14), (28, 28), (56, 56),
                                  (25, 40), (128, 128), (200, 320)])
def test_on_a_gpu(size, dtype):
    x = torch.randn(3, *size, 192, device='cuda').to(dtype).chunk(2, -1)[0]
    decay = torch.rand(*size, 96, device='cuda')
    decay[0, 0] = 1
    grad = torch.randn(3, *size, 96, device='cuda').to(dtype)
    results = []
    for function, double in ((conduct_heat_triton, False),
                             (conduct_heat_triton, False),
                             (conduct_heat_plain, True)):
        args = [t.double() if double else t for t in (x, decay, grad)]
        x_, decay_ = (t.detach().requires_grad_() for t in args[:2])
        y = function(x_, decay_)
        results.append([y.detach(), *torch.autograd.grad(
            y, (x_, decay_), args[2])])
    assert heat_triton.failures == {}
    bound = TOLERANCE[str(dtype).split('.')[1]]
    for first, second, exact in zip(*results):
        assert torch.equal(first, second)
        first, exact = first.double(), exact.clone()
        if first.ndim == 3:  # frequency 0 of the decay
            first[0, 0] = exact[0, 0] = 0
        error = (first - exact).square().mean().sqrt()
        assert error < bound * exact.square().mean().sqrt().clamp(min=1)
    assert torch.equal(conduct_heat(x, decay), results[0][0])
