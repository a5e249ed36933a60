"""The quickstart from end to end, with two iterations a training."""
import json
import re

import pytest

pytest.importorskip('mmpretrain', reason='the quickstart needs it')

from mmvision_ext.quickstart.__main__ import main  # noqa: E402
from mmvision_ext.quickstart.tasks import TASKS  # noqa: E402


@pytest.mark.smoke
def test_fast_quickstart(tmp_path, capsys):
    out = tmp_path / 'with space'
    assert main(['--fast', '--out', str(out)]) == 0
    printed = capsys.readouterr().out
    for task in TASKS:
        row = next(line for line in printed.splitlines()
                   if line.startswith(f'{task.title} '))
        assert f"  12{' + 6' if task.validated else ''}  " in row
        assert next(iter(task.metrics.values())) in row
        scalars = next((out / task.name).glob('*/vis_data/scalars.json'))
        rows = [json.loads(line) for line in open(scalars)]
        assert [r['step'] for r in rows if 'loss' in r] == [1, 2]
        metric = next(iter(task.metrics))
        steps = [0, 2] if task.validated else [1, 2]
        assert [r['step'] for r in rows if metric in r] == steps

    # The detector got the backbone and the pyramid, but for pooled levels
    # that have no weights, from the pre-training.
    log = (out / 'itpn-detection' / 'train.log').read_text()
    assert f"load model from: {out / 'itpn-pretraining'}" in log
    missing = re.search('missing keys in source state_dict: (.*)', log)[1]
    assert {name.split('.')[0] for name in missing.split(', ')} == {
        'rpn_head', 'roi_head'
    }

    page = (out / 'index.html').read_text('utf-8')
    assert str(out / 'index.html') in printed
    # One file that loads no other, and leads to one.
    assert not re.search(r'@import|url\(', page)
    assert re.findall('(?:src|href)="(?!data:)([^"]*)"', page) == [
        'search/report.html'
    ]
    _check_search(out, printed, page)
    assert page.count('<figcaption><span class="verdict') == 6
    assert page.count('class="curve"') == 5
    assert page.count('heat of stage') == 4 * 5
    assert page.count('alt="pyramid features of image') == 2 * 2 * 3
    for name in ('masked input', 'reconstruction', 'original'):
        assert page.count(f'alt="{name} ') == 2
    # Both views of two images for each detector, and the page is well-formed
    # where it counts.
    assert page.count('aria-label="prediction of validation image') == 4
    assert page.count('of the pixels right') == 2
    for tag in ('section', 'figure', 'table', 'svg', 'div'):
        assert page.count(f'<{tag}') == page.count(f'</{tag}>'), tag


def _check_search(out, printed, page):
    """Three trials of two iterations; a config that reads the images."""
    front = json.loads((out / 'search' / 'pareto.json').read_text())
    best = max(row['value'] for row in front)
    assert f'best of 3 trials top-1 {best:.1f} %' in printed
    assert f'<td class="metric"><b>{best:.1f} %</b></td>' in page
    assert (out / 'search' / 'report.html').is_file()
    config = (out / 'search' / 'best_config.py').read_text('utf-8')
    assert f"data_root = '{out / 'data-search' / 'imagenet'}'" in config
    for number in range(3):
        scalars = next((out / 'search' / 'trials' / f'{number:05d}').glob(
            '**/vis_data/scalars.json'))
        rows = [json.loads(line) for line in open(scalars)]
        assert [r['step'] for r in rows if 'accuracy/top1' in r] == [1]


def test_second_call_replaces_the_data_only_if_it_made_it(tmp_path, capsys):
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'mine').touch()
    assert main(['--fast', '--out', str(tmp_path)]) == 1
    assert 'this tool did not make it' in capsys.readouterr().err
    assert (tmp_path / 'data' / 'mine').exists()
