"""Random networks, sizes, types and scales give finite values."""
import json
from dataclasses import replace
from itertools import count

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mmvision_ext.torture import numerics
from mmvision_ext.torture.cli import main
from mmvision_ext.torture.draws import (
    DTYPES,
    KINDS,
    Configuration,
    build,
    call,
    draw,
)
from mmvision_ext.torture.numerics import find_fault


def first_of(kind):
    return next(what for what in (draw(0, i) for i in count())
                if what.kind == kind)


def test_values_and_gradients_are_finite():
    drawn = [draw(11, i) for i in range(36)]
    assert {what.kind for what in drawn} == set(KINDS)
    for what in drawn:
        assert find_fault(what) is None, what


def test_a_value_that_is_not_finite_is_found():
    assert find_fault(replace(draw(0, 0), scale=float('inf'))) is not None


def test_an_error_is_a_finding():
    what = first_of('pyramid')
    wrong = replace(what, options={**what.options, 'depth': 0})
    assert find_fault(wrong).startswith('ValueError: depth is 0')


def test_draws_cover_scales_sizes_and_types_and_follow_from_the_number():
    drawn = [draw(4, i) for i in range(400)]
    assert drawn[7] == draw(4, 7)
    assert drawn[7] != draw(5, 7)
    scales = torch.tensor([what.scale for what in drawn])
    assert scales.min() < 5e-4
    assert scales.max() > 2e3
    assert {what.dtype for what in drawn} == set(DTYPES)
    sides = [side for what in drawn for side in what.size]
    assert min(sides) == 1
    assert max(sides) > 360


@pytest.mark.parametrize('dtype', DTYPES)
def test_types_are_those_of_weights_and_inputs(dtype):
    what = replace(first_of('operator'), dtype=dtype, train=True)
    network, inputs = build(what)
    low = getattr(torch, dtype.removeprefix('autocast '))
    stored = torch.float32 if dtype.startswith('autocast') else low
    assert inputs[0].dtype == network.linear.weight.dtype == stored
    assert call(what, network, inputs)[0].dtype == low


class Convolutions(TorchDispatchMode):
    """Notes type and smaller side of what convolutions are given."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if 'convolution' in func.__name__:
            # of a backward pass the map is the second argument
            map_ = args['backward' in func.__name__]
            self.seen.add((map_.dtype, min(map_.shape[2:])))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('dtype', ['bfloat16', 'autocast bfloat16'])
@pytest.mark.parametrize('hooked', [False, True])
def test_narrow_maps_are_convolved_in_float32(dtype, hooked):
    """torch's own gradients of bfloat16 weights are NaN there at times."""
    what = Configuration(
        'vheat', 3, (64, 5), dtype, 1., True,
        dict(arch=dict(embed_dims=8, depths=(1, 1, 1, 1)), img_size=32))
    grads = []
    for kind in (dtype, 'float64'):
        network, inputs = build(replace(what, dtype=kind))
        if hooked:  # layer by layer
            for block in network.stages.modules():
                if isinstance(block, torch.nn.LayerNorm):
                    block.register_forward_hook(lambda *_: None)
        with Convolutions() as mode:
            outs = call(replace(what, dtype=kind), network, inputs)
            sum(out.float().square().mean() for out in outs).backward()
        if kind == dtype:
            # the stem of colours 5 pixels wide, all else is narrower
            assert (torch.float32, 1) in mode.seen
            assert {side for kind, side in mode.seen
                    if kind == torch.bfloat16} == {3, 5}
        grads.append(torch.cat([p.grad.double().flatten()
                                for p in network.parameters()]))
    assert (grads[0] - grads[1]).norm() < 0.1 * grads[1].norm()


@pytest.fixture
def faults(monkeypatch):
    """Numbers of seed 0 that are to fail; all are noted, none is run."""
    tried, failing = [], {}
    numbers = {draw(0, i).seed: i for i in range(200)}

    def find(what):
        number = numbers[what.seed]
        tried.append(number)
        if number in failing:
            return failing[number]()
        return None

    monkeypatch.setattr(numerics, 'find_fault', find)
    return tried, failing


def stop():
    raise KeyboardInterrupt


def test_the_same_command_goes_on(faults, tmp_path, capsys):
    tried, failing = faults
    path = tmp_path / 'report.json'
    command = ['numerics', '--first', '10', '--configurations', '120',
               '--report', str(path)]
    failing.update({15: lambda: 'output 0', 115: stop})
    with pytest.raises(KeyboardInterrupt):
        main(command)
    assert json.loads(path.read_text())['done'] == 100
    del failing[115], tried[:]
    assert main(command) == 1
    assert tried == list(range(110, 130))
    report = json.loads(path.read_text())
    assert report['done'] == sum(report['kinds'].values()) == 120
    assert [f['number'] for f in report['faults']] == [15]
    assert report['faults'][0]['configuration']['seed'] == draw(0, 15).seed
    assert capsys.readouterr().out.strip().endswith(
        ': 1 with an error or a value that is not finite')
    # complete: nothing is left to try
    del tried[:]
    assert main(command) == 1
    assert tried == []


def test_a_report_of_something_else_is_left_alone(faults, tmp_path, capsys):
    path = tmp_path / 'report.json'
    command = ['numerics', '--configurations', '1', '--report', str(path)]
    assert main(command) == 0
    before = path.read_bytes()
    assert main([*command, '--seed', '1']) == 2
    assert capsys.readouterr().err.strip() == (
        f'torture.py: --report {path}: its seed is 0, not 1; give another '
        'name')
    assert path.read_bytes() == before
    for text in ('{', '[]', '{"a": 1}', '\xff'):
        path.write_text(text, encoding='latin-1')
        assert main(command) == 2
        assert (f'--report {path}: no report of this tool'
                in capsys.readouterr().err)
        assert path.read_text(encoding='latin-1') == text


@pytest.mark.parametrize('name,value', [('configurations', '0'),
                                        ('first', '-1'), ('seed', '-1')])
def test_numbers_that_make_no_sense(name, value, capsys):
    assert main(['numerics', f'--{name}', value]) == 2
    assert f'--{name} {value}: expected' in capsys.readouterr().err


def test_an_unknown_subject():
    with pytest.raises(SystemExit) as caught:
        main(['nothing'])
    assert caught.value.code == 2
