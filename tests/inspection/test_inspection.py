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
    'boats': 'vheat/maskrcnn_vheat_nano_nuclei.py',
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


def write_xml(root, name, box=(9, 9, 48, 48), label='sail', size=(64, 64)):
    file = root / f'Annotations/{name}.xml'
    file.parent.mkdir(parents=True, exist_ok=True)
    corners = ''.join(f'<{key}>{value}</{key}>' for key, value in zip(
        ('xmin', 'ymin', 'xmax', 'ymax'), box))
    file.write_text(
        f'<annotation><size><width>{size[0]}</width><height>{size[1]}'
        f'</height></size><object><name>{label}</name><difficult>0'
        f'</difficult><bndbox>{corners}</bndbox></object></annotation>')


def write_lists(root, **lists):
    (root / 'ImageSets/Main').mkdir(parents=True, exist_ok=True)
    for name, images in lists.items():
        (root / f'ImageSets/Main/{name}.txt').write_text(
            ''.join(f'{image}\n' for image in images))


@pytest.fixture
def data(tmp_path):
    """Four sound data sets: a folder a class, COCO, VOC, ADE20K."""
    for name in 'abc':
        save(tmp_path / f'boats/JPEGImages/{name}.jpg')
        write_xml(tmp_path / 'boats', name)
    write_lists(tmp_path / 'boats', train='ab', val='c')
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
    status, lines, _ = inspect(capsys, data / 'pets', data / 'cells',
                               data / 'boats')
    assert status == 0
    assert lines == [
        f'{data}/pets: a folder of images a class, for mmpretrain',
        f'train: 4 images, {size}', '  cat: 2 images', '  dog: 2 images',
        f'val: 4 images, {size}', '  cat: 2 images', '  dog: 2 images',
        'no faults',
        f'{data}/cells: COCO annotations, for mmdet',
        f'train: 3 images, {size}', '  round: 3 objects', '  odd: 0 objects',
        f'val: 3 images, {size}', '  round: 3 objects', '  odd: 0 objects',
        'no faults',
        f'{data}/boats: XML annotations, as PASCAL VOC, for mmdet',
        f'train: 2 images, {size}', '  sail: 2 objects',
        f'val: 1 images, {size}', '  sail: 1 objects', 'no faults']


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


def test_faults_of_xml(data, capsys):
    root = data / 'boats'
    boxes = dict(d=(0, 0, 65, 65), e=(1, 1, 66, 9), f=(-1, 1, 9, 9),
                 g=(9, 1, 9, 8), h=(1, 1, 'x', 8), i=(1, 1, 8, 'nan'))
    for name, box in boxes.items():
        save(root / f'JPEGImages/{name}.jpg')
        write_xml(root, name, box)
    write_xml(root, 'a', size=(32, 64))
    write_xml(root, 'k', label='')
    (root / 'Annotations/b.xml').write_text('<annotation>')
    (root / 'Annotations/m.xml').write_text(
        '<!DOCTYPE a [<!ENTITY b "much">]><annotation>&b;</annotation>')
    for name in 'jm':
        save(root / f'JPEGImages/{name}.jpg')
    write_lists(root, train='aabcdefghijkm')
    lists, place = 'ImageSets/Main', 'Annotations'
    write_xml(root, 'c', label='oar')
    save(root / 'JPEGImages/l.jpg')
    write_xml(root, 'l', label='keel')
    write_lists(root, val='cl')
    assert faults(capsys, root) == [
        f'fault: images that a list repeats: 1 ({lists}/train.txt: a, '
        '2 times)',
        'fault: images of another size than annotated: 1 (JPEGImages/a.jpg: '
        '64x64, annotated 32x64)',
        f'fault: annotations that cannot be read: 2 ({place}/b.xml: no '
        f'element found: line 1, column 12; {place}/m.xml: it declares a '
        'document type, which no annotation needs)',
        f'fault: boxes outside of their image: 2 ({place}/e.xml: object 1: '
        f'[1, 1, 66, 9] in 64x64; {place}/f.xml: object 1: [-1, 1, 9, 9] in '
        '64x64)',
        f'fault: boxes without area: 1 ({place}/g.xml: object 1: '
        '[9, 1, 9, 8])',
        f'fault: boxes that are not four numbers: 2 ({place}/h.xml: object '
        f'1: [1, 1, nothing, 8]; {place}/i.xml: object 1: '
        '[1, 1, 8, nothing])',
        f'fault: missing annotations: 1 ({place}/j.xml)',
        'fault: missing images: 1 (JPEGImages/k.jpg)',
        f'fault: objects without name: 1 ({place}/k.xml: object 1)',
        f'fault: classes that train does not have: 1 ({lists}/val.txt: keel)',
        'fault: images to train and to validate on: 1 (c)']


@pytest.mark.parametrize('lists, taken', [
    (['train', 'val', 'trainval', 'test'], ['train', 'val']),
    (['trainval', 'test', 'val'], ['trainval', 'test']),
    (['train', 'test'], ['train', 'test']), (['trainval'], ['trainval'])])
def test_lists_of_images(data, capsys, repo_root, lists, taken):
    root = data / 'boats'
    for name in ('train', 'val'):
        (root / f'ImageSets/Main/{name}.txt').unlink()
    write_lists(root, **{name: name[-1:] for name in lists})
    for name in 'nlt':
        save(root / f'JPEGImages/{name}.jpg')
        write_xml(root, name)
    _, lines, _ = inspect(capsys, root, '--base',
                          repo_root / 'configs' / BASES['boats'])
    assert [line.split("'")[1] for line in lines if 'ann_file=' in line] == [
        f'ImageSets/Main/{name}.txt' for name in (taken * 2)[:2]]


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
    (data / 'boats/ImageSets/Main/train.txt').unlink()
    taken = data / 'mine.py'
    taken.write_text('kept')
    cells = ['cells', '--base', base, '--write', taken]
    for words, text in [
        (['void'], 'void: no such file or folder; check the path'),
        (['none'], 'none: no layout that is known; expected COCO annotations '
         '(annotations/*.json), XML annotations (Annotations/*.xml), pairs '
         '(images/training and annotations/training) or a folder of images a '
         'class (train/CLASS/*)'),
        (['boats'], f'{data}/boats: no ImageSets/Main/train.txt or '
         'trainval.txt; write the names of the images to train on into it, '
         'one a line, without suffix'),
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


def test_some_boxes_without_masks_need_another_base(data, capsys, repo_root):
    content = write_coco(data / 'cells', 'train')
    del content['annotations'][1]['segmentation']
    write_coco(data / 'cells', 'train', **content)
    base = repo_root / 'configs' / BASES['cells']
    status, _, error = inspect(capsys, data / 'cells', '--base', base)
    assert status == 2
    assert error == (f'error: {base}: trains on masks, but 1 of 6 objects of '
                     f'{data}/cells have none; give them a segmentation, or '
                     'choose a detector without mask_head, with --base\n')


def test_boxes_alone_drop_the_masks(data, capsys, repo_root):
    for part in ('train', 'val'):
        content = write_coco(data / 'cells', part)
        for item in content['annotations']:
            item['segmentation'] = []
        write_coco(data / 'cells', part, **content)
    status, lines, _ = inspect(capsys, data / 'cells', '--base',
                               repo_root / 'configs' / BASES['cells'])
    assert status == 0
    assert ('note: the objects have boxes and no masks: the mask head of the '
            'base is left out') in lines
    assert [line for line in lines
            if 'mask' in line and line.endswith(('None', 'False'))] == [
        "model['roi_head']['mask_roi_extractor'] = None",
        "model['roi_head']['mask_head'] = None",
        "train_pipeline[1]['with_mask'] = False",
        "val_pipeline[2]['with_mask'] = False"]
    assert ('val_evaluator = dict(ann_file=f"{data_root}/annotations/'
            'instances_val2017.json", metric=\'bbox\')') in lines


@pytest.mark.parametrize('base, sizes', [
    ('vheat/vheat-nano_cifar10.py', [48, 64]),
    ('itpn/itpn-nano_cifar10.py', [64])])
def test_small_crops_are_replaced(data, capsys, repo_root, base, sizes):
    def crops():
        target = data / 'mine.py'
        target.unlink(missing_ok=True)
        assert inspect(capsys, data / 'pets', '--write', target, '--base',
                       repo_root / 'configs' / base)[0] == 0
        cfg = Config.fromfile(target)
        assert cfg.test_dataloader.dataset.pipeline[1].scale == 64
        pipelines = [cfg.train_dataloader.dataset.pipeline]
        pipelines += [stage.train_pipeline
                      for hook in cfg.get('custom_hooks', [])
                      for stage in hook.get('schedule', [])]
        return [pipeline[2].to_dict() for pipeline in pipelines]

    assert crops() == [
        dict(type='torchvision/RandomResizedCrop', size=size,
             scale=(0.25, 1.0)) for size in sizes]
    for path in (data / 'pets').rglob('*.jpg'):
        save(path, (63, 99, 3))
    assert crops() == [
        dict(type='torchvision/RandomCrop', size=32, padding=4,
             padding_mode='reflect')] * len(sizes)


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
        '64: a quarter of the image or more is cropped instead and resized '
        'to 64; a base for larger images shows the network more'
    ] if name == 'pets' else [])
    cfg = Config.fromfile(target)
    cfg.work_dir = str(data / 'work')
    cfg.train_cfg.update({
        'max_iters' if name == 'streets' else 'max_epochs': 1,
        'val_interval': 1})
    for part in ('train', 'val', 'test'):
        cfg[f'{part}_dataloader'].update(
            num_workers=0, persistent_workers=False)
    cfg.default_hooks.logger.interval = 1
    if cfg.default_scope == 'mmdet':  # small images are quick
        cfg.train_dataloader.dataset.pipeline[2].scales = [(64, 64)]
        cfg.val_dataloader.dataset.pipeline[1].scale = (64, 64)
        assert ('mask_head' in cfg.model.roi_head
                and cfg.model.roi_head.mask_head is not None) == (
                    name == 'cells')
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == (2 if name == 'cells' else 1)
    loss = runner.message_hub.get_scalar('train/loss').current()
    assert 0 < loss < 100
    score = {'pets': 'accuracy/top1', 'cells': 'coco/segm_mAP',
             'boats': 'pascal_voc/mAP', 'streets': 'mIoU'}[name]
    reached = runner.message_hub.get_scalar(f'val/{score}').current()
    assert 0 <= reached <= 100
