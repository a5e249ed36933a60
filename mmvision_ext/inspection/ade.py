"""Pairs of images and label maps, as ADE20K."""
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from .images import list_images, read_size
from .record import DataSet, Split

_IGNORED = 255
_PARTS = {'train': ('training', 'train'), 'val': ('validation', 'val')}


def inspect_ade(root: Path, reduce: bool | None = None) -> DataSet | None:
    """Inspect pairs in ``images/`` and ``annotations/``.

    Args:
        root (Path): Folder of both.
        reduce (bool, optional): Whether label 0 means pixels that do not
            count. By default it does if no pixel has it.

    Returns:
        DataSet | None: What it holds; None if the layout is another.
    """
    parts = {}
    for name, folders in _PARTS.items():
        for folder in folders:
            if (root / 'images' / folder).is_dir() and (
                    root / 'annotations' / folder).is_dir():
                parts.setdefault(name, folder)
    if 'train' not in parts:
        return None
    data = DataSet('ade', str(root), 'mmseg', 'pixels')
    pixels = {name: _inspect_part(name, folder, root, data)
              for name, folder in parts.items()}
    present = sorted(set().union(*pixels.values()) - {_IGNORED})
    if reduce is None:
        reduce = 0 not in present
        data.notes.append(
            'no pixel has the label 0: reduce_zero_label=True' if reduce else
            'pixels have the label 0, taken for a class: '
            'reduce_zero_label=False; if 0 means pixels that do not count, '
            'add --reduce-zero-label true')
    first = int(reduce)
    data.facts.update(reduce_zero_label=reduce)
    top = max(pixels['train'].keys() - {_IGNORED}, default=0)
    data.classes = [f'class_{i}' for i in range(first, top + 1)]
    for split in data.splits:
        split.counts.update({
            f'class_{label}': count
            for label, count in pixels[split.name].items()
            if first <= label <= top})
        for label in sorted(pixels[split.name].keys() - {_IGNORED}):
            if label > top:
                data.fault('labels out of range', f'{split.name}: {label}, '
                           f'the highest of train is {top}')
    return data


def _inspect_part(name: str, folder: str, root: Path,
                  data: DataSet) -> Counter:
    """Note the pairs of a part; label -> pixels."""
    split = Split(name, f'images/{folder}', f'annotations/{folder}')
    data.splits.append(split)
    pixels: Counter = Counter()
    images = {path.stem: path for path in list_images(root / split.images)}
    maps = {path.stem: path
            for path in sorted((root / split.annotations).rglob('*.png'))}
    for stem in sorted(maps.keys() - images.keys()):
        data.fault('label maps without image',
                   maps[stem].relative_to(root).as_posix())
    suffixes = Counter(path.suffix for path in images.values())
    for suffix in list(suffixes)[1:]:
        data.fault('images of several suffixes',
                   f'{split.images}: {suffixes[suffix]} of {suffix}')
    data.facts.setdefault('img_suffix', next(iter(suffixes), '.jpg'))
    for stem, path in images.items():
        size = read_size(path, data)
        split.sizes += [size] if size else []
        place = path.relative_to(root).as_posix()
        if stem not in maps:
            data.fault('images without label map', place)
            continue
        labels = _read_labels(maps[stem], data)
        if labels is None:
            continue
        if size and labels.shape != size[::-1]:
            data.fault('pairs of different size',
                       f'{place}: {size[0]}x{size[1]}, labels '
                       f'{labels.shape[1]}x{labels.shape[0]}')
        values, counts = np.unique(labels, return_counts=True)
        pixels.update(dict(zip(values.tolist(), counts.tolist())))
    return pixels


def _read_labels(path: Path, data: DataSet) -> np.ndarray | None:
    place = path.relative_to(data.root).as_posix()
    try:
        with Image.open(path) as image:
            labels = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        data.fault('label maps that cannot be read', f'{place}: {error}')
        return None
    if labels.ndim != 2:
        data.fault('label maps of several channels',
                   f'{place}: {labels.shape[2]}')
        return None
    return labels
