"""Exponents of growth, merged rows, tables and pictures."""
import csv
import json
from pathlib import Path
from typing import Any

import pytest

from mmvision_ext.benchmark import proposals
from mmvision_ext.benchmark.growth import find_growth, fit_exponent
from mmvision_ext.benchmark.plot import plot
from mmvision_ext.benchmark.proposals import (
    make_row,
    make_space,
    measure_proposals,
)
from mmvision_ext.benchmark.store import COLUMNS, Report
from mmvision_ext.benchmark.table import duration, number, render
from mmvision_ext.engine.errors import LaunchError

RUN = dict(command='python tools/benchmark.py --models a', device_name='CPU',
           threads=1, versions=['torch 2'])


def make(model: str = 'a', side: int = 64, batch: int = 1,
         seconds: float = 1., **changes: Any) -> dict[str, Any]:
    """A row of the report."""
    row = dict(
        model=model, height=side, width=side, batch=batch, mode='infer',
        device='cpu', dtype='float32', compile=False, with_cp=False,
        device_name='CPU', threads=1, trials=None, status='ok', reason=None,
        turns=3, seconds=seconds, seconds_min=seconds, seconds_max=2 * seconds,
        cpu_seconds=seconds / 2, cpu_seconds_min=seconds / 2,
        cpu_seconds_max=seconds / 2, images_per_second=batch / seconds,
        reference='a', speed_ratio=0.5, cpu_ratio=0.25, memory_ratio=None,
        flops=3e9, flops_per_second=3e9 / seconds, part_of_product=0.125,
        traffic_bytes=2e9, bytes_per_second=2e9 / seconds, part_of_copy=0.5,
        product_flops_per_second=24e9, copy_bytes_per_second=4e9,
        peak_bytes=side * side * 100, resident_before_bytes=100 << 20,
        resident_peak_bytes=107 << 20, resident_step_bytes=7 << 20)
    return {**row, **changes}


@pytest.mark.parametrize('power', [0., 1., 1.5, 2.])
def test_exponent(power: float) -> None:
    xs = [3, 7, 20]
    assert fit_exponent(xs, [5 * x**power for x in xs]) == pytest.approx(power)


def test_no_exponent() -> None:
    assert fit_exponent([2, 2], [1, 3]) is None
    assert fit_exponent([2, 4], [0, 3]) is None


def test_growth_over_pixels_and_batch() -> None:
    rows = [make(side=s, batch=b, seconds=1e-6 * s**3 * b**0.5)
            for s in (64, 128, 256) for b in (1, 4)]
    rows.append(make('b', side=64))
    rows.append(make('c', side=64, status='failed'))
    found = find_growth(rows)
    assert [(x['over'], x['fixed'], x['first'], x['last'], x['points'])
            for x in found if x['over'] == 'pixels'] == [
                ('pixels', 'batch 1', '64x64', '256x256', 3),
                ('pixels', 'batch 4', '64x64', '256x256', 3)]
    for row in found:
        assert row['model'] == 'a'
        expected = (1.5, 1.) if row['over'] == 'pixels' else (0.5, 0.)
        assert row['seconds'] == pytest.approx(expected[0])
        assert row['peak_bytes'] == pytest.approx(expected[1])
        assert row['resident_step_bytes'] == pytest.approx(0.)
    assert [x['fixed'] for x in found if x['over'] == 'batch'] == [
        '64x64', '128x128', '256x256']


def test_growth_does_not_mix_settings() -> None:
    assert find_growth([make(side=64), make(side=128, threads=2),
                        make(side=256, mode='train')]) == []


def test_growth_over_trials() -> None:
    rows = [make_row(n, [n**2 * 1e-6], [1e-3]) for n in (50, 100, 300)]
    row, = find_growth(rows)
    assert (row['over'], row['first'], row['last']) == ('trials', '50', '300')
    assert row['seconds'] == pytest.approx(2.)
    assert row['cpu_seconds'] == pytest.approx(0.)
    assert row['peak_bytes'] is None


def test_proposals_are_measured_in_windows(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposals, 'WINDOW', 4)
    said: list[str] = []
    rows = list(measure_proposals([3, 9], said.append))
    assert [(row['trials'], row['turns']) for row in rows] == [
        (3, 3), (9, 4)]
    assert all(0 < row['seconds_min'] <= row['seconds'] <=
               row['seconds_max'] for row in rows)
    assert said[-1] == 'ma2ml-learner: 9 of 9 trials'
    assert make_space().size == 5**12


def test_a_newer_row_replaces_an_older_one(tmp_path: Path) -> None:
    Report(tmp_path).add(RUN, [make(seconds=1.), make('b')])
    other = {**RUN, 'command': 'python tools/benchmark.py --models c'}
    report = Report(tmp_path)
    report.add(other, [make(seconds=2.), make(seconds=3., batch=2),
                       make(seconds=4., threads=2)])
    rows = Report(tmp_path).rows
    assert [(x['model'], x['batch'], x['threads'], x['seconds'])
            for x in rows] == [('b', 1, 1, 1.), ('a', 1, 1, 2.),
                               ('a', 2, 1, 3.), ('a', 1, 2, 4.)]
    assert [report.runs[x['run']] for x in rows] == [RUN, *[other] * 3]
    report.add(other, [make('b')])
    assert list(Report(tmp_path).runs.values()) == [other]
    with (tmp_path / 'benchmark.csv').open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 4 and tuple(lines[0]) == COLUMNS
    assert float(lines[1]['seconds']) == 3.
    content = json.loads((tmp_path / 'benchmark.json').read_text())
    assert content['rows'] == report.rows
    assert not list(tmp_path.glob('.*'))


@pytest.mark.parametrize('text', ['{', '[]', '{"rows": [{"run": "x"}], '
                                  '"runs": {}}'])
def test_a_foreign_file_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / 'benchmark.json'
    path.write_text(text)
    with pytest.raises(LaunchError, match='cannot be read as a report'):
        Report(tmp_path)
    assert path.read_text() == text


def test_table() -> None:
    rows = [
        make(seconds=0.05, run='r'),
        make('b', seconds=0.1, run='r', difference=2e-6),
        make('c', run='r', status='failed', reason='no | kernel'),
        {**make_row(50, [2e-3], [1e-3]), 'run': 'r'},
    ]
    text = render({'r': RUN}, rows)
    assert text.startswith(
        '**inference, float32; search**: CPU, 1 thread; torch 2\n\n'
        '    python tools/benchmark.py --models a\n\n| model |')
    lines = text.splitlines()
    assert ('| `a` | 64x64 | 1 | 50.0 ms (50.0 to 100) | 25.0 ms | 20.0 '
            '| 1 | 1 | 3.00 | 60.0 (12 %) | 2.00 | 40.0 (50 %) | 0.4 | 1 '
            '| 107 (+7.0) | – |') in lines
    assert ('| `b` | 64x64 | 1 | 100 ms (100 to 200) | 50.0 ms | 10.0 '
            '| **0.50** | **0.25** | 3.00 | 30.0 (12 %) | 2.00 '
            '| 20.0 (50 %) | 0.4 | – | 107 (+7.0) | 2e-06 |') in lines
    assert '| `c` | 64x64 | 1 | failed: no / kernel |' in text
    table = [x for x in lines if x.startswith('|')]
    assert {x.count('|') for x in table[:5]} == {17}
    assert ('| `ma2ml-learner` | 50 | 2.00 ms (2.00 to 2.00) | 1.00 ms |'
            in lines)
    assert 'Exponents' not in text


def test_table_of_growth() -> None:
    rows = [make(side=s, seconds=1e-5 * s**2, run='r') for s in (64, 128)]
    assert render({'r': RUN}, rows).splitlines()[-1] == (
        '| `a` | inference, float32, batch 1 | 64x64 | 128x128 | pixels '
        '| 1.00 | 1.00 | 1.00 | 0.00 | 0.00 |')


def test_numbers() -> None:
    assert [number(x) for x in (0.01234, 1., 12.34, 123.4, 12345., 2e-5)] == [
        '0.0123', '1.00', '12.3', '123', '12,345', '2.0e-05']
    assert [duration(x) for x in (2., 0.9996, 0.5, 1e-3, 2e-6)] == [
        '2.00 s', '1.00 s', '500 ms', '1.00 ms', '2.00 us']


@pytest.mark.parametrize('rows', [
    [make(), make('b'), make('c', status='failed')],
    [make(side=64), make(side=128), make('b', side=64)],
    [make(batch=1), make(batch=2), make(mode='train')],
    [make_row(50, [1e-3], [1e-3]), make_row(100, [2e-3], [1e-3])],
])
def test_plot(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    pytest.importorskip('matplotlib')
    plot(rows, tmp_path)
    assert (tmp_path / 'benchmark.png').read_bytes()[:4] == b'\x89PNG'
    first = (tmp_path / 'benchmark.svg').read_bytes()
    plot(rows, tmp_path)
    assert (tmp_path / 'benchmark.svg').read_bytes() == first


def test_plot_shows_models_and_sizes(tmp_path: Path) -> None:
    matplotlib = pytest.importorskip('matplotlib')
    with matplotlib.rc_context({'svg.fonttype': 'none'}):
        plot([make(side=64), make(side=128), make('b'),
              make('c', status='failed')], tmp_path)
    text = (tmp_path / 'benchmark.svg').read_text()
    for word in ('>a<', '>b<', '>64<', '>128<', '>images a second<',
                 '>peak memory of a step, MiB<',
                 '>inference, batch 1, float32, CPU, 1 thread<'):
        assert word in text, word
    assert '>c<' not in text
