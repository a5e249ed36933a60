"""Turns, ceilings and agreement."""
import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from mmvision_ext.benchmark import ceilings
from mmvision_ext.benchmark.agreement import (
    DisagreementError,
    check_difference,
    comparable,
    largest_difference,
    share_weights,
)
from mmvision_ext.benchmark.case import Case
from mmvision_ext.benchmark.turns import Times, Turns

CPU = torch.device('cpu')


def test_order_is_rotated() -> None:
    calls: list[str] = []
    done: list[int] = []
    turns = Turns({x: lambda x=x: calls.append(x) for x in 'abc'}, CPU)
    turns.run(4, done.append)
    assert ''.join(calls) == 'abc' 'bca' 'cab' 'abc'
    assert done == [1, 2, 3, 4]
    for times in turns.times.values():
        assert len(times.seconds) == len(times.cpu_seconds) == 4
        assert min(times.seconds) > 0


def test_a_failure_ends_one_alone() -> None:
    calls: list[str] = []

    def fail() -> None:
        calls.append('x')
        if calls.count('x') == 2:
            raise RuntimeError('gone')

    turns = Turns({'x': fail, 'y': lambda: calls.append('y')}, CPU)
    turns.run(3)
    assert ''.join(calls) == 'xy' 'yx' 'y'
    assert str(turns.failures['x']) == 'gone'
    assert len(turns.times['x'].seconds) == 1
    assert len(turns.times['y'].seconds) == 3


def test_an_interruption_keeps_whole_turns() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    turns = Turns({'x': lambda: None, 'y': stop}, CPU)
    with pytest.raises(KeyboardInterrupt):
        turns.run(2)
    assert len(turns.times['x'].seconds) == 1
    assert turns.times['y'].seconds == []


def test_medians() -> None:
    times = Times([2., 1., 9.], [1., 3., 2.])
    assert (times.median, times.cpu_median) == (2., 2.)


def test_ceilings_are_the_best_medians(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceilings, 'CPU_SIDES', (10, 20))
    monkeypatch.setattr(ceilings, 'CPU_COPY', 4000)
    probe = ceilings.CeilingProbe(CPU, torch.float32)
    assert list(probe.steps) == [
        'product 10', 'layer product 10', 'product 20', 'layer product 20',
        'copy'
    ]
    for step in probe.steps.values():
        step()
    found = probe.rates({'product 10': Times([1., 2., 2.], []),
                         'layer product 10': Times([3.], []),
                         'product 20': Times([4.], []),
                         'layer product 20': Times([5.], []),
                         'copy': Times([2.], [])})
    assert found.flops == max(2000 / 2, 16000 / 4)
    assert found.bytes == 2 * 4000 / 2
    half = ceilings.CeilingProbe(CPU, torch.float16)
    assert list(half.steps) == ['product 10', 'layer product 10', 'copy']


@pytest.mark.parametrize('ours, reference, expected', [
    ([[1., 2.]], [[1., 4.]], .5),
    ([[1., 2.], [0., 9.]], [[1., 4.], [0., 10.]], .5),
    ([[3.]], [[0.]], 3.),
    # what is small beside all others is rounding
    ([[100.], [1e-4]], [[100.], [2e-4]], 1e-3),
    ([[]], [[]], 0.),
    ([[math.nan], [1.]], [[1.], [1.]], math.nan),
    ([[1.], [1.]], [[2.], [math.nan]], math.nan),
])
def test_largest_difference(ours: Sequence, reference: Sequence,
                            expected: float) -> None:
    found = largest_difference(*(
        [torch.tensor(x) for x in side] for side in (ours, reference)))
    assert found == pytest.approx(expected, nan_ok=True)


def test_other_shapes_disagree() -> None:
    with pytest.raises(DisagreementError, match=r'\(2,\).*\(3,\)'):
        largest_difference([torch.ones(2)], [torch.ones(3)])


@pytest.mark.parametrize('difference', [1.1e-3, math.nan])
def test_disagreement_is_an_error(difference: float) -> None:
    check_difference(1e-3, Case(1, 1))
    check_difference(0.1, Case(1, 1, dtype='bfloat16'))
    with pytest.raises(DisagreementError, match='expected at most 1e-03'):
        check_difference(difference, Case(1, 1))


class _Renamed(nn.Module):

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(6))

    def load_from(self, model: nn.Module) -> None:
        if not isinstance(model, nn.Linear):
            raise ValueError('no linear\nlayer')
        self.w.data = model.weight.detach().flatten().clone()


def test_weights_of_the_reference() -> None:
    models = dict(a=nn.Linear(3, 2, bias=False), b=nn.Linear(3, 2, False),
                  c=nn.Linear(2, 3, False), d=_Renamed())
    assert share_weights(models, 'a') == dict(
        b=None, c='other keys or shapes', d=None)
    assert torch.equal(models['a'].weight, models['b'].weight)
    assert torch.equal(models['a'].weight.flatten(), models['d'].w)


def test_a_reference_that_loads_takes_the_first_that_fits() -> None:
    models = dict(x=_Renamed(), v=nn.Conv2d(1, 1, 1), a=nn.Linear(3, 2),
                  b=nn.Linear(3, 2))
    before = models['a'].weight.clone()
    found = share_weights(models, 'x')
    assert found == dict(a=None, b=None, v='other keys or shapes')
    assert torch.equal(models['a'].weight, before)
    assert torch.equal(models['b'].weight, before)
    assert torch.equal(models['x'].w, before.flatten())


def test_why_weights_are_not_shared() -> None:
    models = dict(v=nn.Conv2d(1, 1, 1), x=_Renamed())
    assert share_weights(models, 'v') == dict(
        x='load_from: no linear layer')


def _pair(*names: str) -> nn.Module:
    model = nn.Module()
    for i, name in enumerate(names):
        model.register_parameter(name, nn.Parameter(torch.ones(i + 1)))
    return model


def test_gradients_are_matched_by_name_order_or_length() -> None:
    case = Case(1, 1, mode='train')
    loss, g1, g2 = torch.tensor(5.), torch.tensor([3.]), torch.ones(2)

    def order(outs: list, model: nn.Module, other: nn.Module) -> list:
        return [x.tolist() for x in comparable(outs, model, case, other)]

    model = _pair('b', 'a')
    # by name: a before b
    assert order([loss, g1, g2], model, _pair('b', 'a')) == [
        5., [1., 1.], [3.]]
    assert order([loss, g1, None], model, _pair('c', 'd')) == [5., [3.], 0.]
    other = nn.Linear(3, 1)
    found = comparable([loss, g1, g2], model, case, other)
    assert found[0] == 5. and found[1].item() == pytest.approx(11**0.5)
    outs: list[Tensor] = [g1, g2]
    assert comparable(outs, model, Case(1, 1), other) == outs
