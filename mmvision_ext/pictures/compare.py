"""``compare``: predictions beside the truth, by how good they are."""
from __future__ import annotations

import random
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.errors import LaunchError
from ..engine.quiet import quiet
from .annotations import Annotated, Objects, add_legend, draw, name_of
from .browse import leaves, open_dataset
from .colours import pick_palette
from .figure import grid, new_figure
from .network import Network
from .predictions import READERS, SCORE, Example, predict, score_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ORDERS = ('worst', 'best', 'random')
_MODELS = dict(
    mmpretrain='mmpretrain.models.classifiers.BaseClassifier',
    mmdet='mmdet.models.detectors.BaseDetector',
    mmseg='mmseg.models.segmentors.BaseSegmentor')
#: What the score of an image is, by scope.
_SCORES = dict(
    mmpretrain='score of the true class',
    mmdet=f'F-score at an overlap of 0.5, of objects with a score of {SCORE} '
    'or more',
    mmseg='mean IoU of the classes in the image')


def score_dataset(network: Network, split: str,
                  scan: int) -> tuple[Any, list[tuple[float, int]]]:
    """Score the predictions for the images of a data set.

    Args:
        network (Network): From a config.
        split (str): 'train', 'val' or 'test'; with the test pipeline of the
            config's validation, unless it is 'train'.
        scan (int): Images at most, evenly spread.

    Returns:
        tuple[Any, list[tuple[float, int]]]: The data set; score and number
        of each image.

    Raises:
        LaunchError: If the config is of no classifier, detector or segmentor
            or has no such data set.
    """
    cfg = network.config
    scope = cfg.get('default_scope') if cfg is not None else None
    module, _, name = _MODELS.get(scope, '').rpartition('.')
    if not name or not isinstance(
            network.module, getattr(import_module(module), name)):
        raise LaunchError(
            f'{network.name} is a {type(network.module).__name__}; compare '
            'needs the config of a classifier of mmpretrain, a detector of '
            'mmdet or a segmentor of mmseg')
    if scan < 1:
        raise LaunchError(f'--scan {scan}: expected at least 1')
    dataset = next(leaf for leaf, _ in leaves(open_dataset(cfg, split)))
    total = len(dataset)
    if not total:
        raise LaunchError(f'the {split} data set of {network.name} holds no '
                          'image')
    wanted = [i * total // scan for i in range(scan)] if total > scan \
        else range(total)
    return dataset, [(score_of(_example(network, dataset, i)), i)
                     for i in wanted]


def _example(network: Network, dataset: Any, index: int) -> Example:
    with quiet():
        return predict(network.module, dataset, index,
                       READERS[network.config.default_scope])


def pick(scores: Sequence[tuple[float, int]], order: str, count: int,
         seed: int = 0) -> list[tuple[float, int]]:
    """Choose images by score.

    Args:
        scores (Sequence[tuple[float, int]]): Score and number of each.
        order (str): 'worst' or 'best', these first, or 'random'.
        count (int): How many at most.
        seed (int): Of 'random'. Defaults to 0.

    Returns:
        list[tuple[float, int]]: Score and number of those chosen; of equal
        scores the lower number first.
    """
    if order == 'random':
        return sorted(random.Random(seed).sample(
            list(scores), min(count, len(scores))), key=lambda s: s[1])
    sign = 1 if order == 'worst' else -1
    return sorted(scores, key=lambda s: (sign * s[0], s[1]))[:count]


def compare_picture(network: Network,
                    split: str = 'val',
                    order: str = 'worst',
                    count: int = 6,
                    scan: int = 200,
                    seed: int = 0) -> tuple[Figure, str]:
    """A sheet of predictions beside the truth.

    Args:
        network (Network): From a config of a classifier, detector or
            segmentor.
        split (str): 'train', 'val' or 'test'. Defaults to 'val'.
        order (str): Which images: 'worst', 'best' or 'random'. Defaults to
            'worst'.
        count (int): How many images. Defaults to 6.
        scan (int): Images that are scored at most. Defaults to 200.
        seed (int): Of 'random'. Defaults to 0.

    Returns:
        tuple[Figure, str]: The sheet, and a line about the scores.

    Raises:
        LaunchError: As :func:`score_dataset`, or if ``count`` is below 1.
    """
    if count < 1:
        raise LaunchError(f'--count {count}: expected at least 1')
    dataset, scores = score_dataset(network, split, scan)
    values = [score for score, _ in scores]
    chosen = pick(scores, order, count, seed)
    examples = [(score, i, _example(network, dataset, i))
                for score, i in chosen]
    metainfo = getattr(dataset, 'metainfo', None) or {}
    scope = network.config.default_scope
    line = (f'{len(values)} of {len(dataset)} images scored: mean '
            f'{np.mean(values):.3f}, worst {min(values):.3f}, best '
            f'{max(values):.3f} ({_SCORES[scope]})')
    note = f'{network.about}\n{line}'
    title = f'Predictions beside the truth, {order} {len(chosen)} images'
    drawing = _draw_labels if scope == 'mmpretrain' else _draw_pairs
    return drawing(examples, metainfo, title, note), line


def _draw_labels(examples: list[tuple[float, int, Example]], metainfo: dict,
                 title: str, note: str) -> Figure:
    classes = tuple(metainfo.get('classes') or ())
    columns = min(6, len(examples))
    rows = -(-len(examples) // columns)
    ratio = max(e.image.shape[0] / e.image.shape[1] for _, _, e in examples)
    figure = new_figure(rows * (min(ratio, 2) / max(columns, 3) + 0.05),
                        title, note)
    cells = grid(figure, rows, columns)
    for cell, (score, index, example) in zip(cells.flat, examples):
        best = int(example.prediction.argmax())
        sign = '✓' if best == example.truth else '✗'
        draw(cell, Annotated(example.image), classes, [],
             f'{sign} {name_of(classes, best)} '
             f'{example.prediction[best]:.2f}\nis '
             f'{name_of(classes, example.truth)} {score:.2f}')
        cell.set_xlabel(f'image {index}', fontsize=8, color='#666666')
    return figure


def _annotated(example: Example, side: Any) -> Annotated:
    if isinstance(side, Objects):
        return Annotated(example.image, objects=side)
    return Annotated(example.image, seg_map=side)


def _draw_pairs(examples: list[tuple[float, int, Example]], metainfo: dict,
                title: str, note: str) -> Figure:
    classes = tuple(metainfo.get('classes') or ())
    palette = pick_palette(metainfo.get('palette'), len(classes))
    maps = [side for _, _, e in examples for side in (e.truth, e.prediction)
            if isinstance(side, np.ndarray)]
    # Label maps cover the image, which is shown beside them.
    parts = 3 if maps else 2
    across = min(2, len(examples))
    rows = -(-len(examples) // across)
    ratios = [max(e.image.shape[0] / e.image.shape[1]
                  for _, _, e in examples[i:i + across])
              for i in range(0, len(examples), across)]
    figure = new_figure(
        sum(ratios) * 0.96 / (parts * across) + 0.028 * rows, title, note)
    cells = grid(figure, rows, parts * across, ratios)
    for i, (score, index, example) in enumerate(examples):
        start = i % across * parts
        own = list(cells[i // across][start:start + parts])
        if maps:
            draw(own.pop(0), Annotated(example.image), classes, palette,
                 f'image {index}')
        draw(own[0], _annotated(example, example.truth), classes, palette,
             'truth' if maps else f'image {index}, truth')
        draw(own[1], _annotated(example, example.prediction), classes,
             palette, f'prediction, {score:.2f}')
    add_legend(figure, [_annotated(e, side) for _, _, e in examples
                        for side in (e.truth, e.prediction)], classes,
               palette)
    return figure
