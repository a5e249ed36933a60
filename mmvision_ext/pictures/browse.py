"""``browse``: a data set as the pipeline of a config makes it."""
from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..engine.errors import LaunchError
from ..engine.quiet import quiet
from .annotations import Annotated, Objects, add_legend, draw
from .colours import pick_palette
from .figure import grid, name_row, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODES = ('original', 'transformed', 'pipeline')
#: A transform may refuse an image; so often another draw is tried.
_TRIES = 20
#: Pictures in a row at most, where rows are not of one image.
_ACROSS = 5

Step = tuple[str, Annotated]


def open_dataset(cfg: Any, split: str) -> Any:
    """Build the data set of a split.

    Args:
        cfg (mmengine.Config): The config.
        split (str): 'train', 'val' or 'test'.

    Returns:
        Any: The data set, in its wrappers.

    Raises:
        LaunchError: If the config has no such split, or files are missing.
    """
    from mmengine.registry import DATASETS, DefaultScope

    from ..engine.checks import check_data, register_scope
    loader = cfg.get(f'{split}_dataloader')
    if not loader or not loader.get('dataset'):
        raise LaunchError(f'the config has no {split}_dataloader with a '
                          'dataset; choose another --split')
    scope = cfg.get('default_scope') or 'mmengine'
    with quiet():
        register_scope(scope)
    # The annotation file of the evaluator is not needed.
    check_data(type(cfg)({f'{split}_dataloader': loader,
                          'default_scope': scope}), (split, ))
    try:
        with DefaultScope.overwrite_default_scope(scope), quiet():
            return DATASETS.build(loader.dataset)
    except (AssertionError, KeyError, TypeError, ValueError,
            OSError) as error:
        # What the libraries say of files and settings that do not fit.
        raise LaunchError(f'the {split} data set cannot be built: '
                          f'{error or type(error).__name__}') from error


def leaves(dataset: Any) -> Iterator[tuple[Any, list]]:
    """The data sets inside wrappers, with the transforms around them.

    Args:
        dataset (Any): A data set.

    Yields:
        tuple[Any, list]: A data set that wraps no other; the transforms of
        wrappers that mix images, such as ``MultiImageMixDataset``.
    """
    outer = getattr(dataset, 'pipeline', [])
    if hasattr(dataset, 'datasets'):
        for inner in dataset.datasets:
            yield from leaves(inner)
    elif hasattr(dataset, 'dataset'):
        for leaf, more in leaves(dataset.dataset):
            yield leaf, [*more, *(outer if isinstance(outer, list) else [])]
    else:
        yield dataset, []


def browse(dataset: Any, index: int, mode: str, seed: int = 0) -> list[Step]:
    """What the pipeline makes of an image.

    Args:
        dataset (Any): A data set in its wrappers.
        index (int): Number of the image, through all inner data sets.
        mode (str): 'original', as loaded; 'transformed', at the end; or
            'pipeline', after each transform that changes something.
        seed (int): Of what is random. Defaults to 0.

    Returns:
        list[tuple[str, Annotated]]: Names of transforms and what they made;
        one unless the mode is 'pipeline'.

    Raises:
        LaunchError: If no draw passes the pipeline.
    """
    found = list(leaves(dataset))
    while index >= len(found[0][0]) and len(found) > 1:
        index -= len(found.pop(0)[0])
    leaf, outer = found[0]
    for attempt in range(_TRIES):
        _seed(seed * _TRIES + attempt)
        steps = _run(leaf, outer, index, mode == 'original')
        if steps:
            return steps if mode == 'pipeline' else steps[-1:]
    raise LaunchError(f'image {index}: the pipeline of the config refused '
                      f'{_TRIES} draws of it')


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _run(leaf: Any, outer: list, index: int, load_only: bool) -> list[Step]:
    """Every change on the way; nothing if a transform refuses the image."""
    results: Any = leaf.get_data_info(index)
    steps: list[Step] = []
    for transform in [*leaf.pipeline.transforms, *outer]:
        name = type(transform).__name__
        if load_only and not name.startswith('Load'):
            continue
        if name.startswith('Pack'):
            break
        if transform in outer:
            results = _mix(transform, leaf, results)
        try:
            results = transform(results)
        except (ArithmeticError, AssertionError, AttributeError, LookupError,
                TypeError, ValueError) as error:
            # The user's transform, or one that does not fit what it is given.
            raise LaunchError(f'image {index}: {name} of the pipeline '
                              f'failed: {error!r}') from error
        if results is None:
            return []
        results.pop('mix_results', None)
        if 'img' in results:
            now = read_results(results)
            if not steps or not _same(steps[-1][1], now):
                steps.append((name, now))
    if not steps:
        raise LaunchError('the pipeline of the config loads no image')
    return steps


def _mix(transform: Any, leaf: Any, results: dict) -> dict:
    """Add the images that a transform mixes with this one."""
    # mmdet and mmseg do not agree on the name.
    choose = getattr(transform, 'get_indices', None) or getattr(
        transform, 'get_indexes', None)
    if choose is None:
        return results
    chosen = choose(leaf)
    return dict(results, mix_results=[
        copy.deepcopy(leaf[i]) for i in
        (chosen if isinstance(chosen, Sequence) else [chosen])])


def _same(a: Annotated, b: Annotated) -> bool:
    if a.image.shape != b.image.shape or (a.image != b.image).any():
        return False
    one, two = a.objects, b.objects
    if (one is None) != (two is None) or \
            (a.seg_map is None) != (b.seg_map is None):
        return False
    if one is not None and (one.boxes.shape != two.boxes.shape
                            or (one.boxes != two.boxes).any()):
        return False
    return a.seg_map is None or np.array_equal(a.seg_map, b.seg_map)


def read_results(results: dict) -> Annotated:
    """The state of a pipeline as a picture.

    Args:
        results (dict): What transforms hand on: ``img`` and whichever of
            ``gt_label``, ``gt_bboxes``, ``gt_masks`` and ``gt_seg_map``.

    Returns:
        Annotated: Copies, since transforms work in place.
    """
    image: Any = results['img']
    if isinstance(image, (list, tuple)):  # several views; the first
        image = image[0]
    if isinstance(image, torch.Tensor):
        image = image.permute(1, 2, 0).numpy()  # (C, H, W) -> (H, W, C)
    if isinstance(image, np.ndarray):
        # Loaded as BGR; grey has one channel or none.
        image = np.atleast_3d(image)[..., ::-1]
    image = np.asarray(image)
    image = np.broadcast_to(image, (*image.shape[:2], 3))
    if image.dtype != np.uint8:
        image = image.clip(0, 255).round().astype(np.uint8)
    label = results.get('gt_label')
    seg_map = results.get('gt_seg_map')
    return Annotated(
        image=image.copy(),
        label=int(label) if np.ndim(label) == 0 and label is not None
        else None,
        objects=_read_objects(results, image.shape[:2]),
        seg_map=None if seg_map is None else np.array(seg_map))


def _read_objects(results: dict, size: tuple[int, ...]) -> Objects | None:
    boxes: Any = results.get('gt_bboxes')
    if boxes is None:
        return None
    boxes = np.asarray(getattr(boxes, 'tensor', boxes)).astype(
        float).reshape(-1, 4)
    labels = np.array(results['gt_bboxes_labels'], int).reshape(-1)
    masks: Any = results.get('gt_masks')
    if masks is not None:
        masks = masks.to_ndarray().astype(bool)
        if masks.shape[1:] != size:
            masks = None
    counted = ~np.array(
        results.get('gt_ignore_flags', np.zeros(len(boxes))), bool)
    return Objects(boxes[counted], labels[counted],
                   None if masks is None else masks[counted].copy())


def browse_picture(dataset: Any,
                   mode: str = 'transformed',
                   count: int = 4,
                   draws: int = 4,
                   seed: int = 0,
                   name: str = '') -> tuple[Figure, list[list[Step]]]:
    """A sheet of images of a data set.

    Args:
        dataset (Any): A data set in its wrappers.
        mode (str): See :func:`browse`. Defaults to 'transformed', the loaded
            image first and then some draws of it.
        count (int): Images, evenly spread. Defaults to 4.
        draws (int): Draws of each image in the mode 'transformed'. Defaults
            to 4.
        seed (int): Of what is random. Defaults to 0.
        name (str): Of the config, for the title. Defaults to none.

    Returns:
        tuple[Figure, list[list[tuple[str, Annotated]]]]: The sheet, and what
        is in each of its rows.

    Raises:
        LaunchError: If a number is less than 1, the data set is empty, or
            the pipeline refuses an image.
    """
    for option, value in (('--count', count), ('--draws', draws)):
        if value < 1:
            raise LaunchError(f'{option} {value}: expected at least 1')
    total = sum(len(leaf) for leaf, _ in leaves(dataset))
    if not total:
        raise LaunchError('the data set of the config holds no image')
    chosen = [i * total // count for i in range(min(count, total))] \
        if total > count else list(range(total))
    rows = [_row(lambda m, s, i=i: browse(dataset, i, m, s), mode, draws,
                 seed * 1000 + i) for i in chosen]
    if mode == 'original':
        flat = [step for row in rows for step in row]
        rows = [flat[i:i + _ACROSS] for i in range(0, len(flat), _ACROSS)]
    metainfo = getattr(dataset, 'metainfo', None) or {}
    figure = _draw(rows, metainfo, f'{name}, {mode}'.lstrip(', '),
                   f'{len(chosen)} of {total} images; seed {seed}', mode)
    return figure, rows


def _row(look: Callable[[str, int], list[Step]], mode: str, draws: int,
         seed: int) -> list[Step]:
    if mode != 'transformed':
        return look(mode, seed)
    first = look('original', seed)
    return [('as loaded', first[0][1])] + [
        (f'draw {d + 1}', look(mode, seed + 7919 * d)[0][1])
        for d in range(draws)]


def _draw(rows: list[list[Step]], metainfo: dict, title: str, note: str,
          mode: str) -> Figure:
    items = [item for row in rows for _, item in row]
    classes = tuple(metainfo.get('classes') or ())
    highest = max((int(label) for item in items if item.objects is not None
                   for label in item.objects.labels), default=0)
    palette = pick_palette(metainfo.get('palette'),
                           max(len(classes), highest + 1, 1))
    columns = max(map(len, rows))
    ratios = [max(item.image.shape[0] / item.image.shape[1]
                  for _, item in row) for row in rows]
    figure = new_figure(
        sum(ratios) * 0.97 / columns + 0.026 * len(rows), title, note)
    cells = grid(figure, len(rows), columns, ratios)
    for i, (own, row) in enumerate(zip(cells, rows)):
        for cell, (step, item) in zip(own, row):
            height, width = item.image.shape[:2]
            head = '' if mode == 'original' else f'{step}, '
            draw(cell, item, classes, palette, f'{head}{width} × {height}')
        if mode != 'original':
            name_row(own[0], f'{i + 1}')
    add_legend(figure, items, classes, palette)
    return figure
