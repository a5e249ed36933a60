"""The parts of the quickstart that need no training."""
import base64
import io
import json
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

pytest.importorskip('mmengine', reason='the quickstart trains with mmengine')

from mmvision_ext.pictures.annotations import Objects  # noqa: E402
from mmvision_ext.pictures.colours import (  # noqa: E402
    component_colours,
    label_map,
)
from mmvision_ext.quickstart.charts import loss_chart, ticks  # noqa: E402
from mmvision_ext.quickstart.pictures import (  # noqa: E402
    colour_map,
    data_uri,
    objects_svg,
)
from mmvision_ext.quickstart.process import StepError  # noqa: E402
from mmvision_ext.quickstart.summary import (  # noqa: E402
    clock,
    figure,
    percent,
)
from mmvision_ext.quickstart.tasks import TASKS  # noqa: E402
from mmvision_ext.quickstart.training import (  # noqa: E402
    _PROGRESS,
    read_record,
    train,
)


@pytest.mark.parametrize(('high', 'count', 'expected'), [
    (4.1, 4, [0, 2, 4, 6]),
    (0.37, 4, [0, 0.1, 0.2, 0.3, 0.4]),
    (300, 3, [0, 100, 200, 300]),
    (1, 4, [0, 0.25, 0.5, 0.75, 1]),
])
def test_ticks_are_round_and_reach_the_top(high, count, expected):
    assert ticks(high, count) == pytest.approx(expected)


def test_chart_ends_at_the_last_loss_and_skips_what_is_not_finite():
    svg = loss_chart([5, 10, 15], [2., float('nan'), 0.5], 'loss')
    root = ElementTree.fromstring(svg)
    points = root.find('polyline').attrib['points'].split()
    assert len(points) == 2
    end = root.find('circle').attrib
    assert f"{end['cx']},{end['cy']}" == points[-1]
    assert root.findall('text')[-1].text == '0.50'


def test_pictures_hold_the_colours():
    labels = np.array([[0, 1], [1, 255]])
    picture = label_map(labels, [(255, 0, 0), (0, 0, 255)])
    assert picture[0, 0].tolist() == [255, 0, 0]
    assert picture[1, 1].tolist() == [128, 128, 128]
    uri = data_uri(picture)
    png = base64.b64decode(uri.removeprefix('data:image/png;base64,'))
    assert (np.asarray(Image.open(io.BytesIO(png))) == picture).all()


def test_colour_map_rises_in_brightness_and_clips():
    row = colour_map(np.linspace(-1, 2, 31)[None], 0, 1)[0].astype(int)
    brightness = row @ [299, 587, 114]
    assert (np.diff(brightness) >= 0).all()
    assert (row[:10] == row[0]).all() and (row[-10:] == row[-1]).all()
    assert (row[10:21] != row[0]).any(1).sum() == 10


def test_components_show_what_differs_most():
    rng = np.random.default_rng(0)
    vectors = np.linalg.qr(rng.normal(size=(8, 3)))[0].T
    vectors *= np.where(vectors.sum(1, keepdims=True) < 0, -1, 1)
    shares = rng.uniform(-1, 1, (2, 5, 6, 3)) * (9, 4, 1)
    # (5, 6, 3) @ (3, 8) -> (8, 5, 6)
    maps = [(share @ vectors).transpose(2, 0, 1) for share in shares]
    pictures = component_colours(maps)
    luma = np.stack(pictures) @ [.299, .587, .114]
    assert [p.shape for p in pictures] == [(5, 6, 3)] * 2
    # Clipped are the colours beyond what a screen shows.
    assert np.corrcoef(luma.ravel(), shares[..., 0].ravel())[0, 1] > 0.97


def test_components_leave_out_the_role_of_a_place():
    maps = [np.tile(np.random.default_rng(0).normal(size=(4, 2, 2)), (3, 3))]
    assert (component_colours(maps, period=2)[0] == 128).all()
    assert np.ptp(component_colours(maps)[0]) > 100


def test_objects_are_drawn_with_names_inside_the_picture():
    objects = Objects(
        boxes=np.array([[60., 0., 64., 20.]]), labels=np.array([1]),
        masks=np.zeros((1, 48, 64), bool), scores=np.array([0.875]))
    svg = objects_svg(
        np.zeros((48, 64, 3), np.uint8), objects, ('a', 'star'),
        [(1, 2, 3), (16, 32, 255)], 'alt')
    root = ElementTree.fromstring(svg)
    box, tag = root.findall('rect')
    assert box.attrib['stroke'] == tag.attrib['fill'] == '#1020ff'
    assert root.find('text').text == 'star 0.88'
    right = float(tag.attrib['x']) + float(tag.attrib['width'])
    assert right <= 64 and float(tag.attrib['y']) >= 0


def test_figures_for_people():
    assert percent(0.9876) == '98.8 %'
    assert clock(65.4) == '1:05'
    assert clock(59.6) == '1:00'
    by_kind = {task.kind: task for task in TASKS}
    assert figure(by_kind['detection'], 0.9876) == '98.8 %'
    assert figure(by_kind['pretraining'], 1.0412) == '1.04'


def test_progress_is_read_from_the_log():
    line = ('11/22 19:31:35 - mmengine - INFO - Iter(train) [ 75/300]  '
            'base_lr: 2.9e-04 lr: 2.9e-04  eta: 0:00:49  time: 0.65  '
            'data_time: 0.02  grad_norm: 7.7  loss: 0.8887  loss_rpn: 0.0061')
    match = _PROGRESS.search(line)
    assert match.groupdict() == dict(
        step='75', total='300', eta='0:00:49', loss='0.8887')


def _write_run(folder, rows):
    scalars = folder / '20200101_000000' / 'vis_data' / 'scalars.json'
    scalars.parent.mkdir(parents=True)
    scalars.write_text('\n'.join(map(json.dumps, rows)))
    (folder / 'last_checkpoint').write_text('/somewhere/iter_10.pth')


def test_record_of_a_run(tmp_path):
    _write_run(tmp_path, [
        {'accuracy/top1': 20.0, 'step': 0},
        {'loss': 2.5, 'step': 5, 'iter': 5},
        {'loss': 1.5, 'step': 10, 'iter': 10},
        {'accuracy/top1': 90.0, 'step': 10},
    ])
    record = read_record(TASKS[0], tmp_path, 12.)
    assert (record.steps, record.losses) == ([5, 10], [2.5, 1.5])
    assert record.before == {'top-1': pytest.approx(0.2)}
    assert record.after == {'top-1': pytest.approx(0.9)}
    assert record.config.name == 'config.py'


def test_record_of_a_pretraining(tmp_path):
    _write_run(tmp_path, [
        {'loss': 2.5, 'loss_pixel': 1.25, 'step': 5},
        {'loss': 1.5, 'loss_pixel': 0.75, 'step': 10},
    ])
    task = next(t for t in TASKS if not t.validated)
    record = read_record(task, tmp_path, 12.)
    assert record.losses == [2.5, 1.5]
    assert record.before == {'pixel loss': 1.25}
    assert record.after == {'pixel loss': 0.75}


def test_run_without_second_validation_is_refused(tmp_path):
    _write_run(tmp_path, [{'accuracy/top1': 20.0, 'step': 0},
                          {'loss': 2.5, 'step': 5}])
    with pytest.raises(StepError, match='1 rows of losses and 1 of acc'):
        read_record(TASKS[0], tmp_path, 1.)


def test_failed_training_shows_the_end_of_its_log(tmp_path):
    with pytest.raises(StepError) as caught:
        train(TASKS[0], tmp_path / 'no data', tmp_path / 'work')
    assert 'ended with status 2' in str(caught.value)
    assert re.search(r'no data.*does not exist', str(caught.value))


@pytest.mark.parametrize('task', TASKS, ids=lambda task: task.name)
def test_configs_name_the_classes_that_people_see(task):
    """The order of the names shown is that of the config's classes."""
    from mmengine.config import Config

    from mmvision_ext.datasets.toy_classes import COCO_CATEGORIES, TOY_CLASSES
    cfg = Config.fromfile(task.config_path)
    if task.kind == 'pretraining':
        assert task.classes == () and 'classes' not in cfg
        return
    assert len(cfg.classes) == len(task.classes)
    if task.kind == 'classification':
        assert cfg.classes == task.classes
    elif task.kind == 'detection':
        shown = {item.coco_id: item.shape for item in TOY_CLASSES}
        names = [c['name'] for c in COCO_CATEGORIES if c['id'] in shown]
        assert tuple(names) == cfg.classes
    else:
        assert cfg.classes[4:] == ('ball', 'painting', 'tent', 'flag',
                                   'airplane', 'bench')
        assert task.classes[4:] == tuple(c.shape for c in TOY_CLASSES)


def test_detector_starts_from_an_earlier_pretraining():
    """Same backbone and pyramid, and the images are normalised alike."""
    from mmengine.config import Config
    names = [task.name for task in TASKS]
    [task] = [task for task in TASKS if task.start]
    assert names.index(task.start) < names.index(task.name)
    first = Config.fromfile(TASKS[names.index(task.start)].config_path)
    second = Config.fromfile(task.config_path)
    assert first.model.backbone.arch == second.model.backbone.arch
    for key in ('type', 'in_channels', 'out_channels', 'depth'):
        assert first.model.neck[key] == second.model.neck[key]
    for key in ('mean', 'std'):
        assert first.data_preprocessor[key] == \
            second.model.data_preprocessor[key]
    assert second.model.data_preprocessor.bgr_to_rgb
    assert first.data_preprocessor.to_rgb
