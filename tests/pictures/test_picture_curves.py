"""Logs, their curves, and what is asked of them."""
import json

import numpy as np
import pytest

from mmvision_ext.engine.errors import LaunchError
from mmvision_ext.pictures.curves import (
    choose_keys,
    curves_picture,
    find_log,
    read_log,
    smooth,
)


def _write(folder, rows, name='20260101_000000/vis_data/scalars.json'):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    return path


@pytest.fixture
def run(tmp_path):
    rows = [dict(loss=1 / s, lr=0.1, step=s, iter=s, time=1.)
            for s in range(5, 205, 5)]
    rows += [{'coco/bbox_mAP': 0.5, 'coco/bbox_mAP_l': -1, 'step': 200}]
    _write(tmp_path / 'run', rows)
    return tmp_path / 'run'


def test_the_last_run_is_read(run):
    later = _write(run, [dict(loss=3., step=1)],
                   '20260102_000000/vis_data/scalars.json')
    assert find_log(str(run)) == later
    steps, values = read_log(later)['loss']
    assert steps.tolist() == [1] and values.tolist() == [3]


def test_numbers_become_curves_and_times_do_not(run):
    found = read_log(find_log(str(run)))
    assert set(found) == {'loss', 'lr', 'coco/bbox_mAP', 'coco/bbox_mAP_l'}
    steps, values = found['loss']
    assert len(steps) == 40
    np.testing.assert_allclose(values, 1 / steps)


def test_older_logs_count_epochs(tmp_path):
    log = _write(tmp_path, [
        dict(env_info='...', seed=0),
        dict(mode='train', epoch=1, iter=50, loss=4.),
        dict(mode='train', epoch=1, iter=100, loss=3.),
        dict(mode='val', epoch=1, iter=500, bbox_mAP=0.1),
        dict(mode='train', epoch=2, iter=50, loss=2.),
    ], 'old.log.json')
    found = read_log(find_log(str(tmp_path)))
    assert find_log(str(tmp_path)) == log
    # The epoch of validation is over; 500 images are no iterations.
    assert found['bbox_mAP'][0].tolist() == [1]
    steps = found['loss'][0]
    assert steps[0] < steps[1] <= 1 < steps[2] <= 2


def test_epochs_are_as_long_as_their_training_iterations(tmp_path):
    log = _write(tmp_path, [
        dict(mode='train', epoch=1, iter=50, loss=4.),
        dict(mode='train', epoch=1, iter=100, loss=3.),
        dict(mode='val', epoch=1, iter=500, bbox_mAP=0.1),
        dict(mode='train', epoch=2, iter=50, loss=2.),
    ], 'old.log.json')
    assert read_log(log)['loss'][0].tolist() == [0.5, 1., 1.5]


def test_a_line_cut_off_at_the_end_is_passed_over(run):
    log = find_log(str(run))
    log.write_text(log.read_text() + '{"loss": 0.1, "st')
    assert len(read_log(log)['loss'][0]) == 40


def test_smoothing_has_no_pull_of_its_start():
    np.testing.assert_allclose(smooth(np.full(9, 4.), 0.9), 4.)
    np.testing.assert_allclose(
        smooth(np.array([1., 0., 0.]), 0.5), [1, 1 / 3, 1 / 7])
    np.testing.assert_array_equal(
        smooth(np.array([1., np.nan, 3.]), 0.), [1., np.nan, 3.])
    assert smooth(np.array([1., np.nan, 3.]), 0.5)[2] == pytest.approx(7 / 3)


def test_default_keys_are_loss_and_metrics(run):
    runs = [read_log(find_log(str(run)))]
    assert choose_keys(runs, []) == ['loss', 'coco/bbox_mAP']
    assert choose_keys(runs, ['coco/*', 'lr', 'l?']) == [
        'coco/bbox_mAP', 'coco/bbox_mAP_l', 'lr']


def test_several_runs_are_drawn_together(run, tmp_path):
    other = tmp_path / 'other'
    _write(other, [dict(loss=2., step=s) for s in range(30)])
    figure, lines = curves_picture([str(run), str(other)], ['loss'], 0.5)
    assert lines == ['run: loss 0.005', 'other: loss 2']
    # Thin and thick of each, and the legend's names.
    assert len(figure.axes[0].lines) == 4
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ['run', 'other']


@pytest.mark.parametrize(('content', 'text'), [
    ('', 'has no numbers yet'),
    ('hello\n{}\n', 'line 1: expected a JSON object'),
    ('[1]\n', "found '\\[1\\]'"),
    ('{"seed": true}\n', 'has no numbers yet'),
])
def test_other_files_are_refused(tmp_path, content, text):
    path = tmp_path / 'x.json'
    path.write_text(content)
    with pytest.raises(LaunchError, match=text):
        read_log(path)


@pytest.mark.parametrize(('options', 'text'), [
    (dict(places=['missing']), 'missing does not exist'),
    (dict(places=['.']), 'holds no log'),
    (dict(patterns=['acc']), r'--keys acc: the logs have loss, lr'),
    (dict(weight=1.), '--smooth 1'),
    (dict(names=['a', 'b']), '2 names for 1'),
])
def test_wrong_options_are_named(run, tmp_path, monkeypatch, options, text):
    (tmp_path / 'empty').mkdir()
    monkeypatch.chdir(tmp_path / 'empty')
    with pytest.raises(LaunchError, match=text):
        curves_picture(**{'places': [str(run)], **options})
