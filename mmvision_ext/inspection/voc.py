"""PASCAL VOC: a file of XML an image, and lists of images."""
from collections import Counter
from math import isfinite
from pathlib import Path
from xml.etree import ElementTree

from ..engine.errors import LaunchError
from .images import read_size
from .record import DataSet, Split

_LISTS = 'ImageSets/Main'
_CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')
# Names of the lists, in pairs to train and to validate on.
_PAIRS = (('train', 'val'), ('trainval', 'test'), ('train', 'test'),
          ('train', ''), ('trainval', ''))


def inspect_voc(root: Path) -> DataSet | None:
    """Inspect ``Annotations/``, ``JPEGImages/`` and ``ImageSets/Main/``.

    Args:
        root (Path): Folder of these.

    Returns:
        DataSet | None: What it holds; None if the layout is another.

    Raises:
        LaunchError: If no list names the images to train on.
    """
    if not any(root.glob('Annotations/*.xml')):
        return None
    lists = {path.stem for path in root.glob(f'{_LISTS}/*.txt')}
    pair = next((pair for pair in _PAIRS if lists >= set(filter(None, pair))),
                None)
    if pair is None:
        raise LaunchError(
            f'{root}: no {_LISTS}/train.txt or trainval.txt; write the names '
            'of the images to train on into it, one a line, without suffix')
    data = DataSet('voc', str(root), 'mmdet', 'objects')
    data.facts.update(objects=0, masks=0)
    listed: dict[str, list[str]] = {}
    for name, stem in zip(('train', 'val'), pair):
        if stem:
            split = Split(name, 'JPEGImages', f'{_LISTS}/{stem}.txt')
            data.splits.append(split)
            listed[name] = _read_list(root / split.annotations, data)
            for image in dict.fromkeys(listed[name]):
                _inspect_image(image, split, data)
    data.classes = sorted(data.splits[0].counts)
    for label in sorted(data.splits[-1].counts.keys() - set(data.classes)):
        data.fault('classes that train does not have',
                   f'{data.splits[-1].annotations}: {label}')
    for image in sorted(set(listed['train']) & set(listed.get('val', ()))):
        data.fault('images to train and to validate on', image)
    return data


def _read_list(file: Path, data: DataSet) -> list[str]:
    """Names in a list, as mmdet reads them: whole lines."""
    names = file.read_text('utf-8').splitlines()
    for name, times in Counter(names).items():
        if times > 1:
            data.fault('images that a list repeats',
                       f'{file.relative_to(data.root).as_posix()}: {name}, '
                       f'{times} times')
    return names


def _inspect_image(name: str, split: Split, data: DataSet) -> None:
    image = f'{split.images}/{name}.jpg'
    size = None
    if not (Path(data.root) / image).is_file():
        data.fault('missing images', image)
    else:
        size = read_size(Path(data.root) / image, data)
    split.sizes += [size] if size else []
    place = f'Annotations/{name}.xml'
    try:
        tree = _parse(Path(data.root) / place)
    except FileNotFoundError:
        data.fault('missing annotations', place)
        return
    except (OSError, ElementTree.ParseError) as error:
        data.fault('annotations that cannot be read', f'{place}: {error}')
        return
    said = tuple(_number(tree, f'size/{side}') for side in
                 ('width', 'height'))
    if size and tree.find('size') is not None and said != size:
        data.fault('images of another size than annotated',
                   f'{image}: {size[0]}x{size[1]}, annotated '
                   f'{_tell(said[0])}x{_tell(said[1])}')
    for number, item in enumerate(tree.iterfind('object'), 1):
        _inspect_object(item, f'{place}: object {number}', size, split, data)


class _Plain(ElementTree.TreeBuilder):
    """Stops at a document type: entities in one may grow without bound."""

    def doctype(self, *args: object) -> None:
        raise ElementTree.ParseError('it declares a document type, which no '
                                     'annotation needs')


def _parse(path: Path) -> 'ElementTree.ElementTree[ElementTree.Element]':
    parser = ElementTree.XMLParser(target=_Plain())  # noqa: S314
    return ElementTree.parse(path, parser)  # noqa: S314


def _inspect_object(item: ElementTree.Element, where: str,
                    size: tuple[int, int] | None, split: Split,
                    data: DataSet) -> None:
    name = item.findtext('name')
    if not name:
        data.fault('objects without name', where)
        return
    split.counts[name] += 1
    data.facts['objects'] += 1
    box = [_number(item, f'bndbox/{corner}') for corner in _CORNERS]
    told = f'{where}: [{", ".join(map(_tell, box))}]'
    if None in box:
        data.fault('boxes that are not four numbers', told)
        return
    left, top, right, bottom = box
    if right <= left or bottom <= top:
        data.fault('boxes without area', told)
    # Pixels count from 1; many tools count from 0, or round up.
    elif size and (left < 0 or top < 0 or right > size[0] + 1
                   or bottom > size[1] + 1):
        data.fault('boxes outside of their image',
                   f'{told} in {size[0]}x{size[1]}')


def _number(item: ElementTree.Element | ElementTree.ElementTree,
            path: str) -> float | None:
    try:
        number = float(item.findtext(path, ''))
    except ValueError:
        return None
    return number if isfinite(number) else None


def _tell(number: float | None) -> str:
    return 'nothing' if number is None else f'{number:g}'
