"""Generated data: determinism, contents, and that the stock types read it."""
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmvision_ext.datasets import (
    COCO_CATEGORIES,
    TOY_CLASSES,
    make_scene,
    make_toy_data,
)
from mmvision_ext.datasets.toy_data import _rle, main
from mmvision_ext.datasets.toy_shapes import SHAPES, place, rasterize

SETTINGS = dict(seed=3, train=8, val=4, size=64)


@pytest.fixture(scope='module')
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_toy_data(tmp_path_factory.mktemp('toy') / 'data', **SETTINGS)


def _digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)):
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob('*')) if path.is_file()
    }


def test_same_seed_same_bytes(toy, tmp_path):
    again = make_toy_data(tmp_path / 'again', **SETTINGS)
    assert _digests(again) == _digests(toy)
    other = make_toy_data(tmp_path / 'other', **{**SETTINGS, 'seed': 4})
    name = 'coco/train2017/000000000001.jpg'
    assert _digests(other)[name] != _digests(toy)[name]


def test_more_images_leave_the_first_ones_alone(toy, tmp_path):
    more = make_toy_data(tmp_path / 'more', **{**SETTINGS, 'train': 12})
    few, many = _digests(toy), _digests(more)
    # The COCO specials depend on the count, the ADE20K images do not.
    names = [n for n in few if n.startswith(('ade20k', 'imagenet/train'))]
    assert len(names) == 24 + 8
    assert all(many[name] == few[name] for name in names)


def test_written_anew_without_leftovers(tmp_path):
    out = make_toy_data(tmp_path / 'd', **{**SETTINGS, 'train': 12})
    make_toy_data(out, **SETTINGS)
    images = list((out / 'coco/train2017').iterdir())
    assert len(images) == SETTINGS['train']


@pytest.mark.parametrize('shape', sorted(SHAPES))
def test_rasterized_area_is_the_polygons(shape):
    polygon = place(shape, (50.3, 49.1), 40, 0.4)
    x, y = polygon.T
    area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
    assert rasterize(polygon, 100, 100).sum() == pytest.approx(area, rel=0.01)


def test_scene_masks_are_disjoint_and_match_the_semantic_map():
    rng = np.random.default_rng(0)
    for _ in range(5):
        scene = make_scene(rng, 64, 80, objects=4, crowd=True)
        total = sum(i.mask.astype(int) for i in scene.instances)
        assert total.max() == 1
        for instance in scene.instances:
            ade_id = TOY_CLASSES[instance.label].ade_id
            assert (scene.semantic[instance.mask] == ade_id).all()
        assert scene.image.shape == (64, 80, 3)
        assert scene.image.dtype == np.uint8


def test_colours_tell_the_classes_apart(toy):
    """Nearest mean of a hue histogram separates the validation images."""
    split = {}
    for name in ('train', 'val'):
        features, labels = [], []
        for path in sorted((toy / 'imagenet' / name).rglob('*.JPEG')):
            hsv = np.asarray(Image.open(path).convert('HSV'))
            hue = hsv[..., 0][hsv[..., 1] > 170]
            counts = np.histogram(hue, bins=24, range=(0, 256))[0]
            features.append(counts / max(counts.sum(), 1))
            labels.append(path.parent.name)
        split[name] = np.array(features), np.array(labels)
    train, train_labels = split['train']
    val, val_labels = split['val']
    distance = np.abs(val[:, None] - train[None]).sum(-1)
    assert (train_labels[distance.argmin(1)] == val_labels).mean() >= 0.75


def test_imagenet_dataset_reads_it(toy):
    from mmpretrain.datasets import CustomDataset, ImageNet
    stock = ImageNet(data_root=str(toy / 'imagenet'), split='train')
    assert len(stock) == SETTINGS['train']
    assert len(stock.CLASSES) == 1000
    labels = sorted(set(stock.get_gt_labels().tolist()))
    assert labels == list(range(len(TOY_CLASSES)))
    folders = CustomDataset(
        data_root=str(toy / 'imagenet'), data_prefix='train')
    by_meta = {d['img_path']: d['gt_label'] for d in stock}
    assert by_meta == {d['img_path']: d['gt_label'] for d in folders}
    assert stock.CLASSES[0].startswith('tench')


@pytest.mark.smoke
def test_coco_dataset_reads_it(toy):
    from mmdet.datasets import CocoDataset
    from mmdet.datasets.transforms import LoadAnnotations
    root = str(toy / 'coco')
    dataset = CocoDataset(
        data_root=root,
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        pipeline=[])
    assert len(dataset) == SETTINGS['train']
    names = dataset.metainfo['classes']
    assert len(dataset.cat_ids) == 80
    crowds = 0
    load = LoadAnnotations(with_bbox=True, with_mask=True)
    for item in dataset:
        image = np.asarray(Image.open(item['img_path']))
        assert image.shape[:2] == (item['height'], item['width'])
        result = load(dict(item, ori_shape=image.shape[:2]))
        masks = result['gt_masks'].to_ndarray()
        boxes = result['gt_bboxes'].numpy()
        for instance, mask, box in zip(
                item['instances'], masks, boxes, strict=True):
            crowds += instance['ignore_flag']
            assert names[instance['bbox_label']] in (
                'sports ball', 'tv', 'pizza', 'kite', 'airplane', 'skis')
            y, x = np.nonzero(mask)
            extent = (x.min(), y.min(), x.max() + 1, y.max() + 1)
            np.testing.assert_allclose(extent, box, atol=1.5)
    assert crowds == 1
    assert len(dataset[len(dataset) - 1]['instances']) == 0


def test_coco_masks_agree_with_pycocotools(toy):
    from pycocotools.coco import COCO
    coco = COCO(str(toy / 'coco/annotations/instances_train2017.json'))
    kinds = set()
    for ann in coco.loadAnns(coco.getAnnIds()):
        kinds.add(type(ann['segmentation']))
        decoded = coco.annToMask(ann).sum()
        # pycocotools rounds a polygon to pixels in its own way.
        tolerance = 0 if ann['iscrowd'] else 0.12
        assert decoded == pytest.approx(ann['area'], rel=tolerance)
    assert kinds == {list, dict}


def test_rle_of_a_known_mask():
    mask = np.array([[1, 0], [1, 1]], dtype=bool)
    assert _rle(mask) == dict(counts=[0, 2, 1, 1], size=[2, 2])
    assert _rle(~mask) == dict(counts=[2, 1, 1], size=[2, 2])


def test_coco_categories_are_the_stock_ones():
    from mmdet.datasets import CocoDataset
    names = tuple(c['name'] for c in COCO_CATEGORIES)
    assert names == CocoDataset.METAINFO['classes']
    assert [COCO_CATEGORIES[i]['id'] for i in (0, 11, 79)] == [1, 13, 90]
    by_id = {c['id']: c['name'] for c in COCO_CATEGORIES}
    named = [by_id[c.coco_id] for c in TOY_CLASSES]
    assert named == ['sports ball', 'tv', 'pizza', 'kite', 'airplane', 'skis']


def test_coco_metric_scores_the_truth_as_perfect(toy):
    import torch
    from mmdet.evaluation import CocoMetric
    from pycocotools.coco import COCO
    ann_file = str(toy / 'coco/annotations/instances_val2017.json')
    metric = CocoMetric(ann_file=ann_file, metric=['bbox', 'segm'])
    metric.dataset_meta = dict(
        classes=tuple(c['name'] for c in COCO_CATEGORIES))
    label = {c['id']: i for i, c in enumerate(COCO_CATEGORIES)}
    coco = COCO(ann_file)
    for image_id, image in coco.imgs.items():
        anns = [a for a in coco.imgToAnns[image_id] if not a['iscrowd']]
        boxes = torch.tensor([a['bbox'] for a in anns]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        masks = [coco.annToMask(a).astype(bool) for a in anns]
        shape = (image['height'], image['width'])
        pred = dict(
            bboxes=boxes,
            scores=torch.ones(len(anns)),
            labels=torch.tensor([label[a['category_id']] for a in anns]),
            masks=torch.tensor(np.array(masks).reshape(-1, *shape)))
        metric.process({}, [dict(
            img_id=image_id, ori_shape=shape, pred_instances=pred)])
    result = metric.evaluate(size=len(coco.imgs))
    assert result['coco/bbox_mAP'] == 1.0
    assert result['coco/segm_mAP'] == 1.0


def test_ade20k_dataset_reads_it(toy):
    from mmseg.datasets import ADE20KDataset
    from mmseg.datasets.transforms import LoadAnnotations
    dataset = ADE20KDataset(
        data_root=str(toy / 'ade20k'),
        data_prefix=dict(
            img_path='images/training', seg_map_path='annotations/training'),
        pipeline=[])
    assert len(dataset) == SETTINGS['train']
    names = dataset.metainfo['classes']
    seen = set()
    for item in dataset:
        result = LoadAnnotations(reduce_zero_label=True)(item)
        seg = result['gt_seg_map']
        image = np.asarray(Image.open(item['img_path']))
        assert seg.shape == image.shape[:2]
        seen |= set(np.unique(seg).tolist())
    # 0 ("other") became the ignored value.
    assert 255 in seen
    assert {names[i].strip() for i in seen - {255}} <= {
        'wall', 'sky', 'floor', 'grass', 'ball', 'painting', 'tent', 'flag',
        'airplane', 'bench'
    }
    assert len(seen) > 6


@pytest.mark.parametrize('name, value', [('seed', -1), ('train', 2),
                                         ('val', 0), ('size', 31)])
def test_numbers_out_of_range(tmp_path, name, value):
    with pytest.raises(ValueError, match=f'{name}={value} is too small'):
        make_toy_data(tmp_path / 'x', **{**SETTINGS, name: value})
    assert not (tmp_path / 'x').exists()


def test_refuses_a_foreign_directory(tmp_path, capsys):
    (tmp_path / 'imagenet').mkdir()
    (tmp_path / 'imagenet' / 'precious').write_text('x')
    assert main(['--out', str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    assert str(tmp_path) in error and 'not empty' in error
    assert (tmp_path / 'imagenet' / 'precious').read_text() == 'x'
    with pytest.raises(FileExistsError, match='is a file'):
        make_toy_data(tmp_path / 'imagenet' / 'precious', **SETTINGS)


def test_command_line(tmp_path, capsys):
    out = tmp_path / 'with space'
    args = ['--out', str(out), '--train', '3', '--val', '3', '--size', '32']
    assert main(args) == 0
    assert str(out / 'ade20k') in capsys.readouterr().out
    settings = json.loads((out / 'toy_data.json').read_text())
    assert settings == dict(seed=0, train=3, val=3, size=32)
