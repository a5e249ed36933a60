"""Which layout a data set has."""
from pathlib import Path

from ..engine.errors import LaunchError
from .ade import inspect_ade
from .coco import inspect_coco
from .folders import inspect_folders
from .record import DataSet
from .voc import inspect_voc


def inspect_data(path: str, reduce: bool | None = None) -> DataSet:
    """Inspect a data set.

    Args:
        path (str): Its folder, or a file of COCO annotations.
        reduce (bool, optional): Whether label 0 of label maps means pixels
            that do not count. By default the data decides.

    Returns:
        DataSet: What it holds.

    Raises:
        LaunchError: If there is no such path, its layout is none of
            those known or what names its parts is missing.
    """
    place = Path(path).expanduser()
    if not place.exists():
        raise LaunchError(f'{path}: no such file or folder; check the path')
    data = inspect_coco(place)
    if data is None and place.is_dir():
        data = (inspect_voc(place) or inspect_ade(place, reduce)
                or inspect_folders(place))
    if data is None:
        raise LaunchError(
            f'{path}: no layout that is known; expected COCO annotations '
            '(annotations/*.json), XML annotations (Annotations/*.xml), pairs '
            '(images/training and annotations/training) or a folder of images '
            'a class (train/CLASS/*)')
    if len(data.splits) == 1:
        data.notes.append('nothing to validate on: the config takes the '
                          'images of train, whose score says little')
    return data
