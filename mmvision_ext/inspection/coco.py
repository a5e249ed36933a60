"""COCO annotations: files of JSON beside folders of images."""
import json
from collections import Counter
from pathlib import Path
from typing import Any

from ..engine.errors import LaunchError
from .images import read_size
from .record import DataSet, Split

_LISTS = ('images', 'annotations', 'categories')
_NEEDED = {'images': ('id', 'file_name'), 'categories': ('id', 'name')}


def inspect_coco(path: Path) -> DataSet | None:
    """Inspect COCO annotations.

    Args:
        path (Path): A file of annotations, or the folder that has them, in
            itself or in ``annotations/``.

    Returns:
        DataSet | None: What they hold; None if the layout is another.

    Raises:
        LaunchError: If two files have different categories, or an entry
            lacks what names it.
    """
    if path.is_file():
        files = [path]
        root = path.parent
        if root.name == 'annotations':
            root = root.parent
    else:
        root = path
        files = sorted(path.glob('annotations/*.json')) or sorted(
            path.glob('*.json'))
    loaded = [(file, content) for file in files if (content := _load(file))]
    if not loaded:
        return None
    # train first, then val: other parts have no place in a config.
    chosen = {}
    for file, content in loaded:
        name = 'val' if 'val' in file.stem else 'train'
        if name == 'train' and 'train' not in file.stem and len(loaded) > 1:
            continue
        chosen.setdefault(name, (file, content))
    if not chosen:
        chosen['train'] = loaded[0]
    data = DataSet('coco', str(root), 'mmdet', 'objects')
    data.facts.update(objects=0, masks=0)
    taken = [file for file, _ in chosen.values()]
    data.notes += [f'{file.relative_to(root).as_posix()} is left out'
                   for file, _ in loaded if file not in taken]
    for name in sorted(chosen):
        _inspect_file(name, *chosen[name], root, data)
    return data


def _load(file: Path) -> dict | None:
    try:
        content = json.loads(file.read_text('utf-8'))
    except (ValueError, OSError):
        return None
    if isinstance(content, dict) and all(
            isinstance(content.get(key), list) for key in _LISTS):
        for key, needed in _NEEDED.items():
            for item in content[key]:
                if not all(word in item for word in needed):
                    raise LaunchError(
                        f'{file}: an entry of {key} is {item}; expected '
                        f'{" and ".join(needed)} in each')
        return content
    return None


def _inspect_file(name: str, file: Path, content: dict, root: Path,
                  data: DataSet) -> None:
    place = file.relative_to(root).as_posix()
    for key in _LISTS:
        ids = Counter(item.get('id') for item in content[key])
        for number, times in ids.items():
            if times > 1:
                data.fault(f'ids of {key} that repeat',
                           f'{place}: {number}, {times} times')
    names = {item['id']: item['name'] for item in content['categories']}
    classes = list(dict.fromkeys(names.values()))
    if data.splits and classes != data.classes:
        raise LaunchError(
            f'{place}: has the categories {classes}, but the first file has '
            f'{data.classes}; both need the same, in the same order')
    data.classes = classes
    folder = _find_images(name, file, content['images'], root)
    split = Split(name, folder.relative_to(root).as_posix(), place)
    data.splits.append(split)
    sizes = {}
    for image in content['images']:
        sizes[image['id']] = _inspect_image(image, folder, split, data)
    for item in content['annotations']:
        _inspect_object(item, place, names, sizes, split, data)


def _find_images(name: str, file: Path, images: list[dict],
                 root: Path) -> Path:
    """Folder of the images: that of the file's name, or where most lie."""

    def count(place: Path) -> int:
        return sum((place / image['file_name']).is_file()
                   for image in images)

    stem = file.stem.split('_')[-1]
    for folder in (stem, name):
        for place in (root / folder, root / 'images' / folder):
            if count(place):
                return place
    others = [root / 'images', *filter(Path.is_dir, sorted(root.iterdir()))]
    return max((root, *others), key=count)


def _inspect_image(image: dict, folder: Path, split: Split,
                   data: DataSet) -> tuple[int, int]:
    path = folder / image['file_name']
    said = image.get('width', 0), image.get('height', 0)
    if not path.is_file():
        data.fault('missing images',
                   path.relative_to(data.root).as_posix())
        return said
    size = read_size(path, data)
    if size is None:
        return said
    split.sizes.append(size)
    if size != said:
        data.fault('images of another size than annotated',
                   f'{path.relative_to(data.root).as_posix()}: '
                   f'{size[0]}x{size[1]}, annotated {said[0]}x{said[1]}')
    return size


def _inspect_object(item: dict[str, Any], place: str, names: dict,
                    sizes: dict, split: Split, data: DataSet) -> None:
    where = f'{place}: annotation {item.get("id")}'
    label, image = item.get('category_id'), item.get('image_id')
    if label not in names:
        data.fault('labels out of range', f'{where}: category {label}')
    else:
        split.counts[names[label]] += 1
    data.facts['objects'] += 1
    data.facts['masks'] += bool(item.get('segmentation'))
    if image not in sizes:
        data.fault('annotations of no image', f'{where}: image {image}')
        return
    x, y, width, height = item.get('bbox') or (0, 0, 0, 0)
    box = f'{where}: {[x, y, width, height]}'
    if width <= 0 or height <= 0:
        data.fault('boxes without area', box)
    # Boxes are often rounded up by up to a pixel.
    elif (x < -1 or y < -1 or x + width > sizes[image][0] + 1
          or y + height > sizes[image][1] + 1):
        data.fault('boxes outside of their image',
                   f'{box} in {sizes[image][0]}x{sizes[image][1]}')
