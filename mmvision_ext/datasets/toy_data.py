"""Write generated data in the ImageNet, COCO and ADE20K layouts."""
import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .toy_classes import COCO_CATEGORIES, TOY_CLASSES
from .toy_scenes import Instance, Scene, make_scene, make_single_object

#: File that marks a directory as written by this generator.
MARKER = 'toy_data.json'
LAYOUTS = ('imagenet', 'coco', 'ade20k')
_SPLITS = ('train', 'val')


def make_toy_data(out: str | Path,
                  seed: int = 0,
                  train: int = 120,
                  val: int = 40,
                  size: int = 128) -> Path:
    """Write the generated data, the same bytes for the same arguments.

    ``out/imagenet`` has the ImageNet layout with ``meta/{train,val}.txt``,
    ``out/coco`` the COCO 2017 layout and ``out/ade20k`` that of
    ADEChallengeData2016; :mod:`mmvision_ext.datasets.toy_classes` lists the
    classes. A directory made by an earlier call is written anew.

    Args:
        out (str | Path): Directory to write, created if missing.
        seed (int): Seed of everything random, >= 0. Default: 0.
        train (int): Training images per layout, at least 3. Default: 120.
        val (int): Validation images per layout, at least 3. Default: 40.
        size (int): Shorter side of the images in pixels, at least 32.
            COCO and ADE20K images are 4:3 or 3:4. Default: 128.

    Returns:
        Path: ``out``.

    Raises:
        ValueError: If a number is out of its range.
        FileExistsError: If ``out`` is a file, or a non-empty directory that
            this function did not make.
    """
    for name, value, least in (('seed', seed, 0), ('train', train, 3),
                               ('val', val, 3), ('size', size, 32)):
        if value < least:
            raise ValueError(f'{name}={value} is too small: it must be at '
                             f'least {least}')
    out = Path(out).expanduser()
    _claim(out, dict(seed=seed, train=train, val=val, size=size))
    for split, count in zip(_SPLITS, (train, val), strict=True):
        _write_imagenet(out / 'imagenet', split, count, seed, size)
        _write_coco(out / 'coco', split, count, seed, size)
        _write_ade20k(out / 'ade20k', split, count, seed, size)
    return out


def _claim(out: Path, settings: dict) -> None:
    """Mark ``out`` as ours and remove what an earlier call left there."""
    if out.exists() and not out.is_dir():
        raise FileExistsError(f'{out} is a file: give a directory')
    marker = out / MARKER
    if out.is_dir() and any(out.iterdir()) and not marker.is_file():
        raise FileExistsError(
            f'{out} is not empty and has no {MARKER}, so this tool did not '
            'make it: give another directory or empty it')
    out.mkdir(parents=True, exist_ok=True)
    marker.write_text(json.dumps(settings, sort_keys=True) + '\n')
    for layout in LAYOUTS:
        shutil.rmtree(out / layout, ignore_errors=True)


def _rng(seed: int, layout: str, split: str,
         index: int) -> np.random.Generator:
    # Each image has a stream of its own, so that asking for more images
    # leaves the first ones as they were.
    return np.random.default_rng(
        [seed, LAYOUTS.index(layout),
         _SPLITS.index(split), index])


def _save_jpeg(image: np.ndarray, path: Path) -> None:
    from PIL import Image
    Image.fromarray(image).save(path, 'JPEG', quality=92, subsampling=0)


def _write_imagenet(root: Path, split: str, count: int, seed: int,
                    size: int) -> None:
    lines = []
    for index in range(count):
        label = index % len(TOY_CLASSES)
        wnid = TOY_CLASSES[label].wnid
        scene = make_single_object(
            _rng(seed, 'imagenet', split, index), size, label)
        name = f'{wnid}/{wnid}_{index}.JPEG'
        path = root / split / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _save_jpeg(scene.image, path)
        lines.append(f'{name} {label}')
    meta = root / 'meta'
    meta.mkdir(parents=True, exist_ok=True)
    (meta / f'{split}.txt').write_text('\n'.join(lines) + '\n')


def _scene(layout: str, split: str, index: int, seed: int, size: int,
           **kwargs) -> Scene:
    rng = _rng(seed, layout, split, index)
    sides = (size, size * 4 // 3)
    # Every third image is upright.
    height, width = sides[::-1] if index % 3 == 2 else sides
    kwargs.setdefault('objects', int(rng.integers(1, 5)))
    return make_scene(rng, height, width, **kwargs)


def _write_coco(root: Path, split: str, count: int, seed: int,
                size: int) -> None:
    """The second image has a crowd, the last one has no annotation."""
    folder = root / f'{split}2017'
    folder.mkdir(parents=True, exist_ok=True)
    images: list[dict] = []
    annotations: list[dict] = []
    for index in range(count):
        if index == count - 1:
            special = dict(objects=0)
        else:
            special = dict(crowd=True) if index == 1 else {}
        scene = _scene('coco', split, index, seed, size, **special)
        # As in COCO, no image id is in both splits.
        image_id = 1 + index + 500000 * _SPLITS.index(split)
        name = f'{image_id:012d}.jpg'
        _save_jpeg(scene.image, folder / name)
        height, width = scene.semantic.shape
        images.append(
            dict(id=image_id, file_name=name, height=height, width=width))
        for instance in scene.instances:
            annotations.append(
                dict(
                    id=1 + len(annotations),
                    image_id=image_id,
                    **_coco_annotation(instance)))
    path = root / 'annotations' / f'instances_{split}2017.json'
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        json.dumps(
            dict(
                info=dict(description='generated by mmvision_ext'),
                licenses=[],
                images=images,
                annotations=annotations,
                categories=list(COCO_CATEGORIES))))


def _coco_annotation(instance: Instance) -> dict:
    if instance.is_crowd:
        y, x = np.nonzero(instance.mask)
        low, high = (x.min(), y.min()), (x.max() + 1, y.max() + 1)
        segmentation: dict | list = _rle(instance.mask)
    else:
        low, high = instance.polygon.min(axis=0), instance.polygon.max(axis=0)
        segmentation = [[round(float(v), 2) for v in instance.polygon.flat]]
    box = (*low, high[0] - low[0], high[1] - low[1])
    return dict(
        category_id=TOY_CLASSES[instance.label].coco_id,
        bbox=[round(float(v), 2) for v in box],
        area=float(instance.mask.sum()),
        iscrowd=int(instance.is_crowd),
        segmentation=segmentation)


def _rle(mask: np.ndarray) -> dict:
    """COCO's uncompressed run lengths: column-major, zeros first."""
    flat = np.concatenate([[0], mask.flatten(order='F')]).astype(int)
    edges = np.flatnonzero(np.diff(flat))
    counts = np.diff(np.concatenate([[0], edges, [mask.size]]))
    return dict(
        counts=[int(c) for c in counts], size=[int(s) for s in mask.shape])


def _write_ade20k(root: Path, split: str, count: int, seed: int,
                  size: int) -> None:
    from PIL import Image
    folder = dict(train='training', val='validation')[split]
    for kind in ('images', 'annotations'):
        (root / kind / folder).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        scene = _scene('ade20k', split, index, seed, size)
        name = f'ADE_{split}_{index + 1:08d}'
        _save_jpeg(scene.image, root / 'images' / folder / f'{name}.jpg')
        Image.fromarray(scene.semantic).save(
            root / 'annotations' / folder / f'{name}.png')


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``tools/make_toy_data.py``.

    Args:
        argv (Sequence[str], optional): Arguments. Default: those of the
            process.

    Returns:
        int: Exit status: 0, or 2 with one line on stderr.
    """
    parser = argparse.ArgumentParser(
        prog='make_toy_data.py',
        description='Write generated images of textured shapes in the '
        'ImageNet, COCO and ADE20K layouts (OUT/imagenet, OUT/coco, '
        'OUT/ade20k), for trying out configs without the real data.')
    parser.add_argument('--out', required=True, help='directory to write')
    parser.add_argument('--seed', type=int, default=0, help='default: 0')
    parser.add_argument(
        '--train',
        type=int,
        default=120,
        help='training images per layout, default: 120')
    parser.add_argument(
        '--val',
        type=int,
        default=40,
        help='validation images per layout, default: 40')
    parser.add_argument(
        '--size',
        type=int,
        default=128,
        help='shorter side of the images in pixels, default: 128')
    args = parser.parse_args(argv)
    try:
        out = make_toy_data(**vars(args))
    except (ValueError, OSError) as error:
        print(f'make_toy_data.py: {error}', file=sys.stderr)
        return 2
    print(f'wrote {", ".join(str(out / layout) for layout in LAYOUTS)}')
    return 0
