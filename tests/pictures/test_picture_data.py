"""Browsing data sets, and predictions beside the truth."""
import numpy as np
import pytest

pytest.importorskip('mmdet', reason='the data sets are those of mm packages')

from mmengine.config import Config  # noqa: E402

from mmvision_ext.engine.data_root import replace_data_root  # noqa: E402
from mmvision_ext.engine.errors import LaunchError  # noqa: E402
from mmvision_ext.pictures.annotations import (  # noqa: E402
    Annotated,
    Objects,
    add_legend,
    blend,
    blend_masks,
    draw,
)
from mmvision_ext.pictures.browse import (  # noqa: E402
    browse,
    browse_picture,
    leaves,
    open_dataset,
    read_results,
)
from mmvision_ext.pictures.compare import pick  # noqa: E402
from mmvision_ext.pictures.figure import grid, new_figure  # noqa: E402
from mmvision_ext.pictures.predictions import (  # noqa: E402
    Example,
    overlaps,
    score_of,
)


def _open(toy_configs, toy, name, layout, **changes):
    cfg = Config.fromfile(toy_configs / name)
    replace_data_root(cfg, str(toy / layout))
    cfg.merge_from_dict(changes)
    return open_dataset(cfg, 'train')


@pytest.fixture(scope='module')
def detection(toy_configs, toy):
    return _open(toy_configs, toy, 'maskrcnn_vheat_nano_toy_det.py', 'coco',
                 **{'train_dataloader.dataset.filter_cfg': None})


@pytest.mark.smoke
def test_boxes_and_masks_move_with_the_image(detection):
    steps = [step for seed in range(6)
             for step in browse(detection, 0, 'pipeline', seed)]
    names = [name for name, _ in steps]
    assert names[:3] == ['LoadImageFromFile', 'LoadAnnotations', 'Resize']
    assert 'RandomFlip' in names and names.count('RandomFlip') < 6
    for name, item in steps:
        if name == 'LoadImageFromFile':
            assert item.objects is None
            continue
        height, width = item.image.shape[:2]
        boxes, masks = item.objects.boxes, item.objects.masks
        assert len(boxes) == len(masks) == len(item.objects.labels) > 0
        assert boxes.min() >= 0
        assert (boxes[:, 2::4] <= width).all()
        assert (boxes[:, 3::4] <= height).all()
        for box, mask in zip(boxes, masks):
            ys, xs = np.nonzero(mask)
            assert mask.shape == (height, width)
            # A pixel of the file is more than two here.
            np.testing.assert_allclose(
                [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], box,
                atol=4.)
    by_name = dict(reversed(steps))
    assert max(by_name['Resize'].image.shape) == 192
    flipped = next(i for i, name in enumerate(names) if name == 'RandomFlip')
    before, after = steps[flipped - 1][1], steps[flipped][1]
    assert (after.image == before.image[:, ::-1]).all()


def test_same_seed_same_draw(toy_configs, toy):
    data = _open(toy_configs, toy, 'upernet_vheat_nano_toy_seg.py', 'ade20k')
    draws = [browse(data, 1, 'transformed', seed)[0][1] for seed in (4, 4, 5)]
    assert draws[0].image.shape == (64, 64, 3)
    assert draws[0].seg_map.shape == (64, 64)
    assert (draws[0].image == draws[1].image).all()
    assert (draws[0].seg_map == draws[1].seg_map).all()
    assert (draws[0].image != draws[2].image).any()


def test_labels_are_found_through_wrappers(toy_configs, toy):
    inner = Config.fromfile(toy_configs / 'vheat-nano_toy_cls.py')
    data = _open(toy_configs, toy, 'vheat-nano_toy_cls.py', 'imagenet', **{
        'train_dataloader.dataset': dict(
            _delete_=True, type='RepeatDataset', times=5,
            dataset=dict(inner.train_dataloader.dataset,
                         data_root=str(toy / 'imagenet')))})
    assert len(data) == 30 and [len(leaf) for leaf, _ in leaves(data)] == [6]
    figure, rows = browse_picture(data, count=9, draws=2)
    assert len(rows) == 6 and {len(row) for row in rows} == {3}
    assert rows[0][0][0] == 'as loaded'
    assert sorted(row[1][1].label for row in rows) == list(range(6))
    assert rows[0][1][1].image.shape == (64, 64, 3)


def test_other_forms_of_images_are_read():
    grey = np.full((4, 5), 300.)
    item = read_results(dict(img=grey, gt_label=np.array([1, 2])))
    assert item.image.shape == (4, 5, 3) and (item.image == 255).all()
    assert item.label is None
    blue = np.zeros((4, 5, 3), np.uint8)
    blue[..., 0] = 9  # BGR
    assert (read_results(dict(img=[blue, blue])).image[0, 0]
            == [0, 0, 9]).all()


def test_crowds_are_left_out():
    results = dict(
        img=np.zeros((8, 8, 3), np.uint8), gt_bboxes=np.eye(4) * 5,
        gt_bboxes_labels=[0, 1, 2, 3], gt_ignore_flags=[0, 1, 0, 1])
    assert read_results(results).objects.labels.tolist() == [0, 2]


@pytest.mark.parametrize(('options', 'text'), [
    (dict(count=0), '--count 0'), (dict(draws=0), '--draws 0')])
def test_wrong_numbers_are_named(detection, options, text):
    with pytest.raises(LaunchError, match=text):
        browse_picture(detection, **options)


def test_missing_split_and_data_are_named(toy_configs, toy):
    cfg = Config.fromfile(toy_configs / 'itpn-nano_toy_pretrain.py')
    with pytest.raises(LaunchError, match='no val_dataloader'):
        open_dataset(cfg, 'val')
    replace_data_root(cfg, str(toy / 'nowhere'))
    with pytest.raises(LaunchError, match='nowhere/? does not exist'):
        open_dataset(cfg, 'train')


def test_masks_and_maps_leave_the_rest_of_the_image():
    image = np.full((4, 4, 3), 100, np.uint8)
    mask = np.zeros((1, 4, 4), bool)
    mask[0, :2] = True
    objects = Objects(np.array([[0, 0, 4, 2.]]), np.array([0]), mask)
    mixed = blend_masks(image, objects, [(200, 0, 0)])
    assert (mixed[:2, :, 0] > mixed[:2, :, 1]).all()
    assert (mixed[2:] == mixed[2, 0]).all() and (mixed[2, 0] == 162).all()
    seg = np.where(mask[0], 0, 255)
    assert blend(image, seg, [(200, 0, 0)])[0, 0].tolist() == [155, 45, 45]


def _objects(boxes, labels, scores=None):
    return Objects(np.array(boxes, float).reshape(-1, 4), np.array(labels),
                   scores=None if scores is None else np.array(scores))


def test_scores_of_images():
    image = np.zeros((4, 4, 3), np.uint8)
    assert score_of(Example(image, 1, np.array([0.2, 0.7, 0.1]))) == 0.7
    truth = _objects([[0, 0, 10, 10], [20, 0, 30, 10]], [0, 1])
    # One found twice, one of the wrong class: 2 * 1 / (2 + 3)
    found = _objects([[0, 0, 10, 9], [0, 0, 10, 10], [20, 0, 30, 10]],
                     [0, 0, 0], [0.9, 0.8, 0.7])
    assert score_of(Example(image, truth, found)) == pytest.approx(0.4)
    none = _objects([], [], [])
    assert score_of(Example(image, _objects([], []), none)) == 1
    assert score_of(Example(image, truth, none)) == 0
    seg = np.array([[0, 0], [1, 255]])
    guess = np.array([[0, 1], [1, 1]])
    # class 0: 1 of 2, class 1: 1 of 2; the last pixel does not count
    assert score_of(Example(image, seg, guess)) == pytest.approx(0.5)


def test_overlaps_are_of_masks_where_there_are_some():
    boxes = [[0, 0, 4, 4]]
    one, two = _objects(boxes, [0]), _objects(boxes, [0])
    assert overlaps(one, two).tolist() == [[1]]
    one.masks = np.zeros((1, 4, 4), bool)
    two.masks = np.zeros((1, 4, 4), bool)
    one.masks[0, :2], two.masks[0, 1:2] = True, True
    assert overlaps(one, two).tolist() == [[0.5]]


def test_picking_is_by_score_and_then_by_number():
    scores = [(0.5, 0), (0.1, 1), (0.9, 2), (0.1, 3)]
    assert pick(scores, 'worst', 2) == [(0.1, 1), (0.1, 3)]
    assert pick(scores, 'best', 1) == [(0.9, 2)]
    assert len(pick(scores, 'random', 9)) == 4
    assert pick(scores, 'random', 2, 1) == pick(scores, 'random', 2, 1)




def test_wrappers_that_mix_images_are_followed(toy_configs, toy):
    cfg = Config.fromfile(toy_configs / 'maskrcnn_vheat_nano_toy_det.py')
    inner = dict(
        cfg.train_dataloader.dataset, data_root=str(toy / 'coco'),
        pipeline=[dict(type='LoadImageFromFile'),
                  dict(type='LoadAnnotations', with_bbox=True)])
    cfg.train_dataloader.dataset = dict(
        type='MultiImageMixDataset', dataset=inner,
        pipeline=[dict(type='Mosaic', img_scale=(40, 40)),
                  dict(type='PackDetInputs')])
    data = open_dataset(cfg, 'train')
    (name, item), = browse(data, 0, 'transformed')
    assert name == 'Mosaic' and item.image.shape == (80, 80, 3)
    assert item.objects.boxes.min() >= 0 and item.objects.boxes.max() <= 80


def test_a_transform_that_fails_is_named(detection, monkeypatch):
    resize = detection.pipeline.transforms[2]
    monkeypatch.setattr(type(resize), '__call__', lambda *_: {}['size'])
    with pytest.raises(LaunchError, match='Resize of the pipeline failed'):
        browse(detection, 0, 'transformed')


def test_many_objects_are_named_by_a_legend():
    figure = new_figure(0.3, 'title')
    cell = grid(figure, 1, 1)[0, 0]
    image = np.zeros((9, 9, 3), np.uint8)
    for count, texts in ((12, 12), (13, 0)):
        objects = _objects([[0, 0, 5, 5]] * count, [1] * count)
        cell.clear()
        draw(cell, Annotated(image, objects=objects), 'ab', [(1, 1, 1)] * 2)
        assert len(cell.texts) == texts and len(cell.patches) == count
    add_legend(figure, [Annotated(image, objects=objects)], 'ab',
               [(1, 1, 1)] * 2)
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ['b']
