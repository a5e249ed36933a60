"""Inspecting data sets: reports, faults, and configs that train."""
import json

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

from mmvision_ext.cli import main

BASES = {
    'pets': 'vheat/vheat-nano_cifar10.py',
    'cells': 'vheat/maskrcnn_vheat_nano_nuclei.py',
    'streets': 'vheat/upernet_vheat_nano_camvid.py',
}


def save(path, shape=(64, 64, 3), values=255, seed=0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.random.default_rng(seed).integers(
        0, values, shape, dtype=np.uint8)
    Image.fromarray(array).save(path, **options)


def write_coco(root, part, **changes):
    images, objects = [], []
    for i in range(3):
        save(root / f'{part}2017/{i}.jpg')
        images.append(dict(id=i, file_name=f'{i}.jpg', width=64, height=64))
        objects.append(dict(
            id=i, image_id=i, category_id=7, bbox=[8, 8, 40, 40], area=1600,
            iscrowd=0, segmentation=[[8, 8, 48, 8, 48, 48, 8, 48]]))
    content = dict(
        images=images, annotations=objects,
        categories=[dict(id=7, name='round'), dict(id=3, name='odd')])
    content.update(changes)
    (root / 'annotations').mkdir(exist_ok=True)
    file = root / f'annotations/instances_{part}2017.json'
    file.write_text(json.dumps(content))
    return content


@pytest.fixture
def data(tmp_path):
    """Three sound data sets: a folder a class, COCO, ADE20K."""
    for part in ('train', 'val'):
        for name in ('cat', 'dog'):
            for i in range(2):
                save(tmp_path / f'pets/{part}/{name}/{i}.jpg')
        write_coco(tmp_path / 'cells', part)
    for part in ('training', 'validation'):
        for i in range(2):
            save(tmp_path / f'streets/images/{part}/{i}.png', seed=i)
            save(tmp_path / f'streets/annotations/{part}/{i}.png', (64, 64),
                 3)
    return tmp_path


def inspect(capsys, *args):
    capsys.readouterr()
    status = main(['inspect-data', *map(str, args)])
    said = capsys.readouterr()
    return status, said.out.splitlines(), said.err


def faults(capsys, path):
    status, lines, _ = inspect(capsys, path)
    assert status == 1
    return [line for line in lines if line.startswith('fault: ')]


def test_reports(data, capsys):
    size = 'width 64/64/64 and height 64/64/64 (min/median/max)'
    status, lines, _ = inspect(capsys, data / 'pets', data / 'cells')
    assert status == 0
    assert lines == [
        f'{data}/pets: a folder of images a class, for mmpretrain',
        f'train: 4 images, {size}', '  cat: 2 images', '  dog: 2 images',
        f'val: 4 images, {size}', '  cat: 2 images', '  dog: 2 images',
        'no faults',
        f'{data}/cells: COCO annotations, for mmdet',
        f'train: 3 images, {size}', '  round: 3 objects', '  odd: 0 objects',
        f'val: 3 images, {size}', '  round: 3 objects', '  odd: 0 objects',
        'no faults']


def test_faults_of_folders(data, capsys):
    root = data / 'pets'
    (root / 'train/dog/0.jpg').write_bytes(b'no image')
    save(root / 'train/dog/2.png', (64, 64))
    turned = Image.Exif()
    turned[0x0112] = 6
    save(root / 'train/cat/2.jpg', exif=turned)
    (root / 'train/emu').mkdir()
    (root / 'val/fox').mkdir()
    found = faults(capsys, root)
    assert found[0] == ('fault: images that EXIF turns: 1 (train/cat/2.jpg: '
                        'orientation 6)')
    assert found[1].startswith('fault: images that cannot be read: 1 (train/'
                               'dog/0.jpg: cannot identify image file')
    assert found[2:] == [
        'fault: images that are not RGB: 1 (train/dog/2.png: L)',
        'fault: classes without images: 2 (train/emu; val/fox)',
        'fault: classes that train does not have: 1 (val/fox)',
        'fault: classes that val does not have: 1 (emu)']


def test_faults_of_coco(data, capsys):
    root = data / 'cells'
    content = write_coco(root, 'train')
    first = content['annotations'][0]
    boxes = [[50, 8, 40, 40], [8, 8, 0, 4], [-9, 0, 20, 4], [0, 60, 4, 9],
             [0, 0, 64.5, 64.5]]
    content['annotations'] += [
        dict(first, id=10 + i, bbox=box) for i, box in enumerate(boxes)]
    content['annotations'] += [
        dict(first, id=0, category_id=4), dict(first, id=20, image_id=9)]
    content['images'][1].update(width=32)
    write_coco(root, 'train', **content)
    (root / 'train2017/2.jpg').unlink()
    name = 'annotations/instances_train2017.json: annotation'
    assert faults(capsys, root) == [
        'fault: ids of annotations that repeat: 1 (annotations/'
        'instances_train2017.json: 0, 2 times)',
        'fault: images of another size than annotated: 1 (train2017/1.jpg: '
        '64x64, annotated 32x64)',
        'fault: missing images: 1 (train2017/2.jpg)',
        f'fault: boxes outside of their image: 3 ({name} 10: '
        f'[50, 8, 40, 40] in 64x64; {name} 12: [-9, 0, 20, 4] in 64x64; '
        f'{name} 13: [0, 60, 4, 9] in 64x64)',
        f'fault: boxes without area: 1 ({name} 11: [8, 8, 0, 4])',
        f'fault: labels out of range: 1 ({name} 0: category 4)',
        f'fault: annotations of no image: 1 ({name} 20: image 9)']


def test_faults_of_pairs(data, capsys):
    root = data / 'streets'
    save(root / 'annotations/training/0.png', (32, 64), 3)
    save(root / 'annotations/validation/0.png', (64, 64), 4)
    save(root / 'annotations/training/5.png', (64, 64), 3)
    (root / 'annotations/training/1.png').unlink()
    assert faults(capsys, root) == [
        'fault: label maps without image: 1 (annotations/training/5.png)',
        'fault: pairs of different size: 1 (images/training/0.png: 64x64, '
        'labels 64x32)',
        'fault: images without label map: 1 (images/training/1.png)',
        'fault: labels out of range: 1 (val: 3, the highest of train is 2)']


@pytest.mark.parametrize('shift, option, classes, reduced', [
    (0, 'auto', 3, False), (0, 'true', 2, True), (1, 'auto', 3, True),
    (1, 'false', 4, False)])
def test_zero_label(data, capsys, repo_root, shift, option, classes, reduced):
    for path in (data / 'streets/annotations').rglob('*.png'):
        Image.fromarray(np.asarray(Image.open(path)) + np.uint8(shift)
                        ).save(path)
    status, lines, _ = inspect(
        capsys, data / 'streets', '--reduce-zero-label', option, '--base',
        repo_root / 'configs' / BASES['streets'])
    assert status == 0
    assert f"model['decode_head']['num_classes'] = {classes}" in lines
    assert "model['decode_head']['loss_decode']['class_weight'] = None" in (
        lines)
    assert lines.count(f'        reduce_zero_label={reduced},') == 2
    assert f"train_pipeline[1]['reduce_zero_label'] = {reduced}" in lines


def test_many_places_are_counted(data, capsys):
    for i in range(5):
        save(data / f'pets/train/cat/grey{i}.png', (8, 8))
    assert faults(capsys, data / 'pets') == [
        'fault: images that are not RGB: 5 (train/cat/grey0.png: L; '
        'train/cat/grey1.png: L; train/cat/grey2.png: L; and 2 more)']


def test_mistakes(data, capsys, repo_root):
    base = repo_root / 'configs' / BASES['cells']
    (data / 'none').mkdir()
    taken = data / 'mine.py'
    taken.write_text('kept')
    cells = ['cells', '--base', base, '--write', taken]
    for words, text in [
        (['void'], 'void: no such file or folder; check the path'),
        (['none'], 'none: no layout that is known; expected COCO annotations '
         '(annotations/*.json), pairs (images/training and annotations/'
         'training) or a folder of images a class (train/CLASS/*)'),
        (['pets', '--write', 'x.py'], '--write needs --base CONFIG: the '
         'config whose model and recipe it takes'),
        (['pets', '--base', base], f'{base}: a config of mmdet, but the data '
         'is for mmpretrain; choose another with --base'),
        (cells, f'{taken}: exists already; remove it or choose another name'),
    ]:
        words = [data / words[0], *words[1:]]
        status, _, error = inspect(capsys, *words)
        assert status == 2
        assert error.replace(f'{data}/void', 'void').replace(
            f'{data}/none', 'none') == f'error: {text}\n'
    assert taken.read_text() == 'kept'


def test_boxes_without_masks_need_another_base(data, capsys, repo_root):
    content = write_coco(data / 'cells', 'train')
    del content['annotations'][1]['segmentation']
    write_coco(data / 'cells', 'train', **content)
    base = repo_root / 'configs' / BASES['cells']
    status, _, error = inspect(capsys, data / 'cells', '--base', base)
    assert status == 2
    assert error == (f'error: {base}: trains on masks, but objects of '
                     f'{data}/cells have none; choose a detector without '
                     'mask_head, with --base\n')


@pytest.mark.parametrize('name', sorted(BASES))
def test_the_config_trains(data, capsys, repo_root, name):
    target = data / f'my_{name}.py'
    status, lines, _ = inspect(
        capsys, data / name, '--write', target, '--base',
        repo_root / 'configs' / BASES[name])
    assert status == 0
    assert lines[-1] == f'wrote {target}'
    crops = [line for line in lines if line.startswith('note: the recipe')]
    assert crops == ([
        'note: the recipe crops 32 pixels out of images whose short side is '
        '64: set size of its RandomCrop and img_size, or take a base for '
        'larger images'] if name == 'pets' else [])
    cfg = Config.fromfile(target)
    cfg.work_dir = str(data / 'work')
    cfg.train_cfg.update({
        'max_iters' if name == 'streets' else 'max_epochs': 1,
        'val_interval': 1})
    for part in ('train', 'val', 'test'):
        cfg[f'{part}_dataloader'].update(
            num_workers=0, persistent_workers=False)
    cfg.default_hooks.logger.interval = 1
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == (2 if name == 'cells' else 1)
    loss = runner.message_hub.get_scalar('train/loss').current()
    assert 0 < loss < 100
    score = {'pets': 'accuracy/top1', 'cells': 'coco/bbox_mAP',
             'streets': 'mIoU'}[name]
    reached = runner.message_hub.get_scalar(f'val/{score}').current()
    assert 0 <= reached <= 100
