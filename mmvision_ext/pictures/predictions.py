"""Predictions of a network on a data set, beside the truth."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..engine.errors import LaunchError
from .annotations import IGNORE, Objects
from .network import read_image

#: Objects with a lower score do not count as found.
SCORE = 0.5
#: Overlap from which on an object is found.
_IOU = 0.5


@dataclass
class Example:
    """An image of the validation set with truth and prediction.

    Args:
        image (np.ndarray): Shape (H, W, 3), RGB, uint8.
        truth (Any): A label, an :class:`Objects`, a map of labels of shape
            (H, W) with 255 for what does not count, or of pre-training the
            image.
        prediction (Any): Of the same kind; for a label the scores of all
            classes; of pre-training what was made of the image.
    """
    image: np.ndarray
    truth: Any
    prediction: Any


def read_classification(info: dict, sample: Any) -> Example:
    """Truth and prediction of a classifier.

    Args:
        info (dict): Of the data set, ``get_data_info``.
        sample (Any): What the network returned.

    Returns:
        Example: A label, and the scores of all classes.

    Raises:
        LaunchError: If the image has several labels or none.
    """
    label = info.get('gt_label')
    if label is None or np.ndim(label):
        raise LaunchError(f"{info.get('img_path')} has "
                          f"{'no label' if label is None else 'several'}; "
                          'expected images with one label each')
    return Example(
        image=read_image(info['img_path']),
        truth=int(label),
        prediction=sample.pred_score.numpy())


def read_detection(info: dict, sample: Any) -> Example:
    """Truth and prediction of a detector.

    Args:
        info (dict): Of the data set, ``get_data_info``.
        sample (Any): What the network returned, in pixels of the file.

    Returns:
        Example: Two :class:`Objects`; with masks where both have some.
    """
    image = read_image(info['img_path'])
    size = image.shape[:2]
    true = [item for item in info['instances'] if not item['ignore_flag']]
    found = sample.pred_instances
    found = found[found.scores >= SCORE]
    has_masks = 'masks' in found and all('mask' in item for item in true)
    masks = [_fill(item['mask'], size) for item in true] if has_masks else []
    return Example(
        image=image,
        truth=Objects(
            boxes=np.array([item['bbox'] for item in true],
                           float).reshape(-1, 4),
            labels=np.array([item['bbox_label'] for item in true], int),
            masks=np.array(masks, bool).reshape(-1, *size)
            if has_masks else None),
        prediction=Objects(
            boxes=found.bboxes.numpy(),
            labels=found.labels.numpy(),
            masks=np.asarray(found.masks, bool) if has_masks else None,
            scores=found.scores.numpy()))


def _fill(mask: Any, size: tuple[int, int]) -> np.ndarray:
    """Mask of polygons, x1 y1 x2 y2..., or of COCO's run lengths."""
    from pycocotools import mask as coco
    if isinstance(mask, list):
        code = coco.merge(coco.frPyObjects(mask, *size))
    else:
        code = coco.frPyObjects(mask, *size) if isinstance(
            mask['counts'], list) else mask
    return coco.decode(code) > 0


def read_segmentation(info: dict, sample: Any) -> Example:
    """Truth and prediction of a segmentor.

    Args:
        info (dict): Of the data set, ``get_data_info``.
        sample (Any): What the network returned, in pixels of the file.

    Returns:
        Example: Two maps of labels.

    Raises:
        LaunchError: If the pipeline loads no truth.
    """
    if 'gt_sem_seg' not in sample:
        raise LaunchError('the pipeline of the config loads no annotations; '
                          'expected LoadAnnotations in its test pipeline')
    return Example(
        image=read_image(info['img_path']),
        truth=sample.gt_sem_seg.data[0].numpy(),
        prediction=sample.pred_sem_seg.data[0].numpy())


Reader = Callable[[dict, Any], Example]
READERS: dict[str, Reader] = dict(
    mmpretrain=read_classification,
    mmdet=read_detection,
    mmseg=read_segmentation)


@torch.no_grad()
def predict(module: torch.nn.Module, dataset: Any, index: int,
            read: Reader) -> Example:
    """Run a network on one image of a data set.

    Args:
        module (nn.Module): The network, in eval mode.
        dataset (Any): The data set.
        index (int): Number of the image.
        read (Callable): One of :data:`READERS`.

    Returns:
        Example: Truth and prediction.
    """
    from mmengine.dataset import pseudo_collate
    sample = module.test_step(pseudo_collate([dataset[index]]))[0]
    return read(dataset.get_data_info(index), sample)


def score_of(example: Example) -> float:
    """How good a prediction is.

    Args:
        example (Example): Truth and prediction.

    Returns:
        float: In [0, 1], 1 is best. Of a label the score of the true class;
        of objects the F-score of those found, of the right class and with an
        overlap of at least 0.5 of masks, or of boxes without masks; of a map
        of labels the mean over the classes in it of intersection over union.
    """
    if isinstance(example.truth, int):
        return float(example.prediction[example.truth])
    if isinstance(example.truth, Objects):
        return _f_score(example.truth, example.prediction)
    return _mean_iou(example.truth, example.prediction)


def _mean_iou(truth: np.ndarray, found: np.ndarray) -> float:
    counted = truth != IGNORE
    truth, found = truth[counted], found[counted]
    ious = [np.mean((found == i)[(truth == i) | (found == i)]
                    & (truth == i)[(truth == i) | (found == i)])
            for i in np.union1d(truth, found)]
    return float(np.mean(ious)) if ious else 1.


def overlaps(a: Objects, b: Objects) -> np.ndarray:
    """Intersection over union of all pairs.

    Args:
        a (Objects): N objects.
        b (Objects): M objects; with masks if the others have some.

    Returns:
        np.ndarray: Shape (N, M): of masks if there are any, else of boxes.
    """
    if not len(a.boxes) or not len(b.boxes):
        return np.zeros((len(a.boxes), len(b.boxes)))
    if a.masks is not None and b.masks is not None:
        # (N, H, W) -> (N, H * W)
        one, two = (m.reshape(len(m), -1).astype(np.float32)
                    for m in (a.masks, b.masks))
        both = one @ two.T
        areas = one.sum(1), two.sum(1)
    else:
        low = np.maximum(a.boxes[:, None, :2], b.boxes[None, :, :2])
        high = np.minimum(a.boxes[:, None, 2:], b.boxes[None, :, 2:])
        both = (high - low).clip(0).prod(-1)
        areas = tuple((o.boxes[:, 2:] - o.boxes[:, :2]).prod(-1)
                      for o in (a, b))
    union = areas[0][:, None] + areas[1] - both
    return both / np.maximum(union, 1e-9)


def _f_score(truth: Objects, found: Objects) -> float:
    total = len(truth.boxes) + len(found.boxes)
    if not total:
        return 1.
    same = truth.labels[:, None] == found.labels
    table = np.where(same, overlaps(truth, found), 0.)
    hits = 0
    # Surest first, each true object once, as COCO matches.
    for j in np.argsort(-found.scores, kind='stable'):
        if len(table) and table[:, j].max() >= _IOU:
            table[table[:, j].argmax()] = 0.
            hits += 1
    return 2 * hits / total
