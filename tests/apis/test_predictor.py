"""Prediction on files, folders, arrays and videos."""
import json
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from PIL import Image

from mmvision_ext.apis import (
    ClassResult,
    Failure,
    InstanceResult,
    SegmentResult,
    load_predictor,
    read_image,
)
from mmvision_ext.cli import main
from mmvision_ext.engine.errors import LaunchError
from mmvision_ext.engine.trained import _build, read_config, register_scope

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
NAMES = {
    'classification': 'vheat/vheat-nano_cifar10.py',
    'detection': 'vheat/maskrcnn_vheat_nano_nuclei.py',
    'segmentation': 'vheat/upernet_vheat_nano_camvid.py',
}


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """Checkpoints of networks that have learnt nothing."""
    folder = tmp_path_factory.mktemp('weights')
    paths = {}
    for task, name in NAMES.items():
        torch.manual_seed(0)
        cfg = read_config(str(CONFIGS / name))
        register_scope(cfg.default_scope)
        model = _build(cfg, name)
        paths[task] = str(folder / f'{task}.pth')
        torch.save(dict(state_dict=model.state_dict(), meta={}), paths[task])
    return paths


def load(task, weights, **options):
    return load_predictor(
        str(CONFIGS / NAMES[task]), weights[task], **options)


@pytest.fixture
def image():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (57, 83, 3), dtype=np.uint8)


@pytest.mark.smoke
def test_classes_are_those_of_mmpretrain(weights, image):
    from mmpretrain import ImageClassificationInferencer
    predictor = load('classification', weights, topk=3)
    result, = predictor(image)
    assert isinstance(result, ClassResult)
    assert predictor.task == 'classification'
    predictor.model._config = read_config(
        str(CONFIGS / NAMES['classification']))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        stock = ImageClassificationInferencer(
            predictor.model, pretrained=False, device='cpu')
        expected = stock(np.ascontiguousarray(image[..., ::-1]))[0]
    assert result.labels[0] == expected['pred_label']
    np.testing.assert_allclose(
        result.scores, np.sort(expected['pred_scores'])[::-1][:3], rtol=1e-5)
    assert result.to_json()['classes'][0]['label'] == result.labels[0]
    assert result.draw().shape == image.shape


@pytest.mark.smoke
def test_objects_are_those_of_mmdet(weights, image):
    from mmdet.apis import inference_detector
    predictor = load('detection', weights, score_thr=0.)
    result, = predictor(image)
    assert isinstance(result, InstanceResult)
    model = predictor.model
    model.cfg = read_config(str(CONFIGS / NAMES['detection']))
    with DefaultScope.overwrite_default_scope('mmdet'):
        found = inference_detector(
            model, np.ascontiguousarray(image[..., ::-1])).pred_instances
    found = found[found.scores.argsort(descending=True)]
    assert len(result.scores) == len(found) > 0
    np.testing.assert_allclose(result.boxes, found.bboxes, atol=1e-3)
    np.testing.assert_array_equal(result.masks, found.masks)
    assert result.masks.shape[1:] == image.shape[:2]
    assert result.draw().shape == image.shape
    item = result.to_json()['objects'][0]
    assert item['mask']['size'] == [57, 83]
    assert not load('detection', weights, score_thr=1.)(
        image).__next__().scores


@pytest.mark.smoke
def test_segments_are_those_of_mmseg(weights, image):
    from mmseg.apis import inference_model
    predictor = load('segmentation', weights)
    result, = predictor(image)
    assert isinstance(result, SegmentResult)
    model = predictor.model
    model.cfg = read_config(str(CONFIGS / NAMES['segmentation']))
    with DefaultScope.overwrite_default_scope('mmseg'):
        expected = inference_model(model, np.ascontiguousarray(
            image[..., ::-1])).pred_sem_seg.data[0]
    np.testing.assert_array_equal(result.map, expected)
    assert sum(s['pixels'] for s in result.to_json()['segments']) == 57 * 83
    assert result.draw().shape == image.shape


def test_a_batch_gives_what_single_images_give(weights, image):
    predictor = load('classification', weights)
    images = [image, image[:20], image[:, :9], image[:1, :1]]
    alone = [r.scores for i in images for r in predictor(i)]
    together = [r.scores for r in predictor(images, batch_size=3)]
    np.testing.assert_allclose(together, alone, rtol=1e-4)


def test_files_folders_patterns_and_videos(weights, image, tmp_path):
    predictor = load('classification', weights)
    Image.fromarray(image).save(tmp_path / 'a ü.png')
    (tmp_path / 'broken.jpg').write_bytes(b'\xff\xd8\xff nothing')
    video = cv2.VideoWriter(
        str(tmp_path / 'clip.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 5,
        (83, 57))
    for _ in range(3):
        video.write(image)
    video.release()
    results = list(predictor(tmp_path))
    assert [os.path.basename(r.source) for r in results] == [
        'a ü.png', 'broken.jpg', 'clip.avi#000000', 'clip.avi#000001',
        'clip.avi#000002']
    assert isinstance(results[1], Failure)
    assert 'damaged' in results[1].reason
    array, = predictor(image)
    assert results[0].scores == pytest.approx(array.scores)
    by_pattern, = predictor(str(tmp_path / '*.png'))
    assert by_pattern.scores == results[0].scores
    missing, = predictor(str(tmp_path / 'no.png'))
    assert missing.reason == 'there is no such file'


@pytest.mark.parametrize('mode', ['L', 'RGBA', 'P', 'CMYK', '1', 'LA'])
def test_modes(mode, image, tmp_path):
    picture = Image.fromarray(image).convert(mode)
    path = tmp_path / ('a.tif' if mode == 'CMYK' else 'a.png')
    picture.save(path)
    np.testing.assert_array_equal(
        read_image(path), np.asarray(picture.convert('RGB')))


def test_sixteen_bits_and_orientation(image, tmp_path):
    deep = image[..., 0].astype(np.uint16) * 257
    Image.fromarray(deep).save(tmp_path / 'deep.png')
    np.testing.assert_array_equal(
        read_image(tmp_path / 'deep.png'), np.stack([image[..., 0]] * 3, -1))
    picture = Image.fromarray(image)
    exif = picture.getexif()
    exif[0x0112] = 6  # to be turned by a quarter
    picture.save(tmp_path / 'turned.png', exif=exif)
    np.testing.assert_array_equal(
        read_image(tmp_path / 'turned.png'), np.rot90(image, -1))


@pytest.mark.parametrize('wrong', [
    np.zeros((3, 3, 7), np.uint8), np.zeros((0, 5, 3), np.uint8),
    np.zeros((5, 5, 3), np.float32)])
def test_arrays_that_are_no_images(wrong):
    with pytest.raises(ValueError, match='expected'):
        read_image(wrong)


def test_mistakes_are_named(weights):
    with pytest.raises(LaunchError, match='does not fit'):
        load_predictor(str(CONFIGS / NAMES['detection']),
                       weights['classification'])
    with pytest.raises(LaunchError, match='score_thr is 2'):
        load('detection', weights, score_thr=2)
    with pytest.raises(LaunchError, match='device nowhere'):
        load('detection', weights, device='nowhere')


@pytest.mark.smoke
def test_the_command(weights, image, tmp_path, capsys):
    for folder in ('one', 'two'):
        (tmp_path / folder).mkdir()
        Image.fromarray(image).save(tmp_path / folder / 'a.png')
    (tmp_path / 'two' / 'bad.png').write_bytes(b'')
    out = tmp_path / 'out'
    command = ['predict', str(CONFIGS / NAMES['segmentation']),
               weights['segmentation'], str(tmp_path / 'one'),
               str(tmp_path / 'two'), '--out', str(out)]
    assert main(command) == 1
    told = capsys.readouterr()
    assert re.search(r'2 predicted, 1 could not be read', told.out)
    assert 'bad.png: it is no image' in told.err
    report = json.loads((out / 'predictions.json').read_text())
    pictures = [p['picture'] for p in report['predictions']]
    assert pictures == ['pictures/a.png.png', 'pictures/a.png-2.png']
    for name in pictures:
        assert Image.open(out / name).size == (83, 57)
    assert len(report['failures']) == 1
    before = (out / 'predictions.json').read_bytes()
    assert main(command) == 1
    assert 'exists; --force' in capsys.readouterr().err
    assert (out / 'predictions.json').read_bytes() == before
