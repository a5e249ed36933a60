"""16-bit and float32 networks against float64, within the stated bounds."""
import re

import pytest
import torch

from mmvision_ext.torture import precision
from mmvision_ext.torture.cli import main
from mmvision_ext.torture.precision import (
    BOUNDS,
    DTYPES,
    NETWORKS,
    bounds_of,
    measure,
)


@pytest.mark.parametrize('fused', [True, False])
@pytest.mark.parametrize('dtype', ['float32', 'bfloat16', 'autocast float16'])
@pytest.mark.parametrize('name', NETWORKS)
def test_errors_are_within_the_stated_bounds(name, dtype, fused):
    errors = measure(name, dtype, 7, fused)
    for error, bound in zip(errors, bounds_of(name, dtype), strict=True):
        # a tenth of a unit at least: something was rounded
        assert 0.1 < error < bound


@pytest.mark.parametrize('name', ['vHeat', 'iTPN, table', 'iTPN pyramid'])
def test_layers_are_fused_and_not(monkeypatch, name):
    """Both ways are two ways, not one: norms are called in the second."""
    calls = []
    stock = torch.nn.LayerNorm.forward
    monkeypatch.setattr(torch.nn.LayerNorm, 'forward',
                        lambda self, x: (calls.append(1), stock(self, x))[1])
    counts = []
    for fused in (True, False):
        calls.clear()
        measure(name, 'float32', 0, fused)
        counts.append(len(calls))
    assert counts[0] < counts[1]


def test_a_wrong_value_is_seen(monkeypatch):
    """A tenth too much, which is 26 units of bfloat16."""
    stock = precision.call

    def call(what, network, inputs):
        factor = 1. if what.dtype == 'float64' else 1.1
        return tuple(out * factor for out in stock(what, network, inputs))

    monkeypatch.setattr(precision, 'call', call)
    errors = measure('iTPN pyramid', 'bfloat16', 7)
    assert errors == pytest.approx((25.6, 25.6), abs=3)
    assert min(errors) > max(bounds_of('iTPN pyramid', 'bfloat16'))


def test_the_page_states_the_bounds(repo_root):
    page = (repo_root / 'docs/reliability.md').read_text(encoding='utf-8')
    table = page.partition('units of rounding')[2]
    for name, (full, half) in BOUNDS.items():
        row = re.search(rf'^\| {re.escape(name)} \|(.*)\|$', table, re.M)
        stated = [cell.strip() for cell in row[1].split('|')]
        assert stated[:2] == [f'{a:g} / {b:g}' for a, b in (full, half)]


def test_the_tool(monkeypatch, capsys):
    monkeypatch.setattr(precision, 'NETWORKS',
                        {'vHeat': NETWORKS['vHeat']})
    monkeypatch.setattr(
        precision, 'measure',
        lambda name, dtype, seed, fused: (seed + 0.5, 1. + fused))
    assert main(['precision', '--seeds', '2']) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f'| network | {" | ".join(DTYPES)} |'
    assert out[2] == '| vHeat |' + ' 1.5 / 2.0 |' * len(DTYPES)
    assert main(['precision', '--seeds', '99']) == 1
    assert main(['precision', '--seeds', '0']) == 2
    assert '--seeds 0: expected 1 or more' in capsys.readouterr().err
