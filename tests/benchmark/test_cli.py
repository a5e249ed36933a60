"""The command from end to end, with toy models."""
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mmvision_ext.benchmark import measure
from mmvision_ext.benchmark.cli import main

pytestmark = pytest.mark.usefixtures('cheap')


def read(out: Path) -> list[dict[str, Any]]:
    return json.loads((out / 'benchmark.json').read_text())['rows']


@pytest.mark.parametrize('mode', ['infer', 'train'])
def test_models_side_by_side(toys: str, tmp_path: Path, mode: str,
                             cheap: list[str],
                             capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / 'new' / 'out'
    names = [f'{toys}:{x}' for x in ('Net', 'Renamed()', 'Wide')]
    assert main(['--models', *names, '--sizes', '16,16x32', '--batch', '1,2',
                 '--mode', mode, '--repeats', '2', '--out', str(out)]) == 0
    rows = read(out)
    assert cheap == names * 4
    assert [(x['height'], x['width'], x['batch']) for x in rows[::3]] == [
        (16, 16, 1), (16, 16, 2), (16, 32, 1), (16, 32, 2)]
    for net, renamed, wide in zip(rows[::3], rows[1::3], rows[2::3]):
        pixels = net['batch'] * net['height'] * net['width']
        forward = 2 * 4 * 27 * pixels // 4
        # the gradient of the weights, as the images need none
        assert net['flops'] == renamed['flops'] == forward * (
            2 if mode == 'train' else 1)
        assert (net['params'], wide['params']) == (112, 32)
        assert 'difference' not in net and net['speed_ratio'] == 1.
        assert renamed['difference'] < 1e-5
        assert wide['not_compared'] == 'other keys or shapes'
        assert renamed['speed_ratio'] == net['seconds'] / renamed['seconds']
        assert renamed['memory_ratio'] == (
            net['peak_bytes'] / renamed['peak_bytes'])
        assert wide['images_per_second'] == wide['batch'] / wide['seconds']
        assert wide['part_of_product'] == (
            wide['flops_per_second'] / wide['product_flops_per_second'])
        assert wide['resident_step_bytes'] == 7 << 20
        assert net['turns'] == 2
    printed = capsys.readouterr()
    text = (out / 'benchmark.md').read_text()
    assert printed.out == text
    assert f'--mode {mode}' in text and 'Exponents of growth' in text
    assert all(line.startswith('benchmark.py: ')
               for line in printed.err.splitlines())
    assert {x.suffix for x in out.iterdir()} >= {'.json', '.csv', '.md'}


def test_a_failing_model_has_a_row(toys: str, tmp_path: Path) -> None:
    names = [f'{toys}:{x}' for x in (
        'Net', 'Broken', 'Net(factor=1.1)', 'number', 'Renamed(factor=1.)')]
    assert main(['--models', *names, '--sizes', '8', '--repeats', '1',
                 '--out', str(tmp_path)]) == 1
    net, broken, wrong, number, renamed = read(tmp_path)
    assert (net['status'], renamed['status']) == ('ok', 'ok')
    assert broken['reason'] == 'RuntimeError: no such kernel'
    assert wrong['reason'].startswith(
        'with the same weights it differs from the reference by 1.00e-01')
    assert 'expected an nn.Module' in number['reason']
    assert 'seconds' not in wrong
    text = (tmp_path / 'benchmark.md').read_text()
    assert '| failed: RuntimeError: no such kernel |' in text


def test_a_failing_reference(toys: str, tmp_path: Path) -> None:
    assert main(['--models', f'{toys}:Net', f'{toys}:Broken', '--reference',
                 f'{toys}:Broken', '--sizes', '8', '--repeats', '1',
                 '--out', str(tmp_path)]) == 1
    net, broken = read(tmp_path)
    assert net['status'] == 'ok' and 'speed_ratio' not in net
    assert net['not_compared'] == 'the reference failed'
    assert broken['status'] == 'failed'


def test_an_interruption_keeps_what_was_measured(
        toys: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take = measure.Turns.run

    def stop(self: measure.Turns, rounds: int, progress: Any) -> None:
        def interrupt(done: int) -> None:
            if done == 2:
                raise KeyboardInterrupt
        take(self, rounds, interrupt)

    monkeypatch.setattr(measure.Turns, 'run', stop)
    assert main(['--models', f'{toys}:Net', '--sizes', '8,16', '--repeats',
                 '5', '--out', str(tmp_path)]) == 130
    row, = read(tmp_path)
    assert (row['height'], row['turns']) == (8, 2)


def test_the_picture_needs_matplotlib(
        toys: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setitem(sys.modules, 'matplotlib', None)
    assert main(['--models', f'{toys}:Net', '--sizes', '8', '--repeats', '1',
                 '--out', str(tmp_path)]) == 1
    assert "pip install 'mmvision_ext[benchmark]'" in capsys.readouterr().err
    assert len(read(tmp_path)) == 1
    assert not (tmp_path / 'benchmark.png').exists()


def test_proposals_alone(tmp_path: Path) -> None:
    assert main(['--search-trials', '2,4', '--out', str(tmp_path)]) == 0
    assert [(x['mode'], x['trials']) for x in read(tmp_path)] == [
        ('search', 2), ('search', 4)]


def test_threads(toys: str, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        main(['--models', f'{toys}:Net', '--sizes', '8', '--repeats', '1',
              '--threads', '2', '--out', str(tmp_path)])
    finally:
        torch.set_num_threads(before)
    assert [row['threads'] for row in read(tmp_path)] == [2]


@pytest.mark.parametrize('options, message', [
    ([], 'nothing to measure: give --models or --search-trials'),
    (['--models', 'no'], "model 'no' is unknown"),
    (['--models', 'vheat-tiny', '--reference', 'x'],
     '--reference x: expected one of --models: vheat-tiny'),
    (['--models', 'vheat-tiny', '--sizes', 'a'], "'a' is no size"),
    (['--models', 'vheat-tiny', '--batch', '0'], "'0' is no whole number"),
    (['--models', 'vheat-tiny', '--repeats', '0'], '--repeats 0: expected'),
    (['--models', 'vheat-tiny', '--threads', '-1'], '--threads -1: expected'),
    (['--models', 'vheat-tiny', '--device', 'tpu'], '--device tpu: choose'),
    (['--search-trials', '5,x'], "--search-trials 5,x: 'x' is no whole"),
])
def test_mistakes_are_one_line(options: list[str], message: str,
                               tmp_path: Path,
                               capsys: pytest.CaptureFixture) -> None:
    assert main([*options, '--out', str(tmp_path)]) == 2
    line = capsys.readouterr().err
    assert line.startswith('benchmark.py: ') and line.count('\n') == 1
    assert message in line
    assert not list(tmp_path.iterdir())


def test_script(repo_root: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(repo_root / 'tools' / 'benchmark.py'), '--help'],
        capture_output=True, text=True, timeout=300)
    assert done.returncode == 0
    for word in ('--models', '--search-trials', 'examples:', 'vheat-tiny',
                 '--out keeps the rows of earlier runs'):
        assert word in done.stdout, word
