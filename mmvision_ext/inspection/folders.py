"""A folder of images a class, as ImageNet."""
from pathlib import Path

from .images import list_images, read_size
from .record import DataSet, Split

_VAL = ('val', 'validation', 'valid', 'test')


def find_folders(root: Path) -> dict[str, Path]:
    """Parts of such a data set.

    Args:
        root (Path): Its folder.

    Returns:
        dict[str, Path]: ``train`` and perhaps ``val`` -> folder; empty if
        the layout is another.
    """
    train = root / 'train'
    if not train.is_dir():
        train = root
    if list_images(train, deep=False) or sum(
            bool(list_images(train / name)) for name in _classes(train)) < 2:
        return {}
    found = {'train': train}
    for name in _VAL if train != root else ():
        if _classes(root / name):
            found['val'] = root / name
            break
    return found


def inspect_folders(root: Path) -> DataSet | None:
    """Inspect a folder of images a class.

    Args:
        root (Path): Its folder.

    Returns:
        DataSet | None: What it holds; None if the layout is another.
    """
    parts = find_folders(root)
    if not parts:
        return None
    data = DataSet('folders', str(root), 'mmpretrain', 'images')
    data.classes = _classes(parts['train'])
    for name, folder in parts.items():
        relative = folder.relative_to(root).as_posix()
        split = Split(name, '' if relative == '.' else relative)
        data.splits.append(split)
        for label in _classes(folder):
            images = list_images(folder / label)
            place = (folder / label).relative_to(root).as_posix()
            if not images:
                data.fault('classes without images', place)
            if label not in data.classes:
                data.fault('classes that train does not have', place)
            split.counts[label] = len(images)
            sizes = (read_size(image, data) for image in images)
            split.sizes += [size for size in sizes if size]
    if 'val' in parts:
        # mmpretrain counts the folders: both parts need the same.
        for label in sorted(set(data.classes) - set(_classes(parts['val']))):
            data.fault('classes that val does not have', label)
    return data


def _classes(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
