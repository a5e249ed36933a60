"""Measuring two forms of one computation."""
import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from mmvision_ext.engine.benchmark import (
    Comparison,
    DisagreementError,
    Measurement,
    compare,
    free_memory,
    largest_difference,
    peak_memory,
)

CPU = torch.device('cpu')


def test_peak_is_the_worst_moment_exactly() -> None:
    x = torch.randn(1000)

    def step() -> list[Tensor]:
        a = x + 1
        b = torch.cat((a, a, a))
        del a
        return [b[:10].clone()]

    outs, peak = peak_memory(step, CPU)
    assert outs[0].shape == (10, )
    # a and b together; x was there before
    assert peak == 4000 + 12000
    assert peak_memory(step, CPU)[1] == peak


def test_peak_is_not_the_sum() -> None:
    x = torch.zeros(1000)

    def step() -> list[Tensor]:
        for _ in range(5):
            y = x.clone()
            del y
        return []

    assert peak_memory(step, CPU)[1] == 4000


@pytest.mark.parametrize('ours, plain, expected', [
    ([[1., 2.]], [[1., 4.]], .5),
    ([[1., 2.], [0., 9.]], [[1., 4.], [0., 10.]], .5),
    ([[3.]], [[0.]], 3.),
    ([[math.nan], [1.]], [[1.], [1.]], math.nan),
    ([[1.], [1.]], [[2.], [math.nan]], math.nan),
])
def test_largest_difference(ours: Sequence, plain: Sequence,
                            expected: float) -> None:
    found = largest_difference(*(
        [torch.tensor(x) for x in side] for side in (ours, plain)))
    assert found == pytest.approx(expected, nan_ok=True)


def test_ratios() -> None:
    result = Comparison(
        Measurement((2., 1., 9.), (1., 1., 2.), 100),
        Measurement((3., 8., 4.), (2., 3., 4.), 250), 0.)
    assert (result.ours.median, result.plain.median) == (2., 4.)
    assert (result.time_ratio, result.memory_ratio) == (2., 2.5)
    assert result.cpu_time_ratio == 3.
    written = result.to_dict()
    assert written['time_ratio'] == (written['plain_median_seconds'] /
                                     written['ours_median_seconds'])
    assert written['cpu_time_ratio'] == (
        written['plain_median_cpu_seconds'] /
        written['ours_median_cpu_seconds'])
    assert written['memory_ratio'] == (written['plain']['peak_bytes'] /
                                       written['ours']['peak_bytes'])


def test_forms_take_turns() -> None:
    calls = []

    def step(name: str) -> list[Tensor]:
        calls.append(name)
        return [torch.ones(3)]

    result = compare(lambda: step('ours'), lambda: step('plain'), CPU, 3, 0.)
    # once for the memory, then in turns, the first one changing
    assert calls == ['ours', 'plain'] + [
        'ours', 'plain', 'plain', 'ours', 'ours', 'plain'
    ]
    for form in (result.ours, result.plain):
        assert len(form.seconds) == len(form.cpu_seconds) == 3
        assert min(form.seconds) > 0
    assert result.difference == 0.
    assert result.memory_ratio == 1.


@pytest.mark.parametrize('other', [1.1, math.nan])
def test_disagreement_ends_it(other: float) -> None:
    with pytest.raises(DisagreementError, match='expected at most 1e-03'):
        compare(lambda: [torch.ones(3)],
                lambda: [torch.full((3, ), other)], CPU, 1, 1e-3)


def test_no_repeats() -> None:
    with pytest.raises(ValueError, match='repeats is 0'):
        compare(lambda: [], lambda: [], CPU, 0, 0.)


def test_free_memory() -> None:
    free = free_memory(CPU)
    assert free is None or 1 << 20 < free < 1 << 50
