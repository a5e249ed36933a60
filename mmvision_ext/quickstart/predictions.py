"""Predictions of a trained network on its validation images."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, DefaultScope
from PIL import Image

from ..compat.checkpoint import safe_load
from ..engine.checks import register_scope
from .training import Record

#: Objects with a lower score are not drawn.
SCORE = 0.5


@dataclass
class Objects:
    """Objects of an image, true or predicted.

    Args:
        boxes (np.ndarray): Shape (N, 4), x1 y1 x2 y2 in pixels.
        labels (np.ndarray): Shape (N, ), class numbers.
        masks (np.ndarray): Shape (N, H, W), bool.
        scores (np.ndarray, optional): Shape (N, ), in [0, 1]; None if true.
    """
    boxes: np.ndarray
    labels: np.ndarray
    masks: np.ndarray
    scores: np.ndarray | None = None


@dataclass
class Example:
    """An image of the validation set with truth and prediction.

    Args:
        image (np.ndarray): Shape (H, W, 3), RGB, uint8.
        truth (Any): A label, an :class:`Objects`, or a map of labels of
            shape (H, W) with 255 for what does not count.
        prediction (Any): Of the same kind; for a label the scores of all
            classes.
    """
    image: np.ndarray
    truth: Any
    prediction: Any


@dataclass
class Predictions:
    """A trained network and what it says about some images.

    Args:
        palette (list): An RGB triple a class, empty for classification.
        params (int): Number of parameters.
        examples (list[Example]): The first images of the validation set.
        model (torch.nn.Module): The network, in eval mode.
        batch (dict): The last example as the network got it.
    """
    palette: list
    params: int
    examples: list[Example] = field(default_factory=list)
    model: torch.nn.Module | None = None
    batch: dict | None = None


def predict(record: Record, count: int) -> Predictions:
    """Load a trained network and run it on the first validation images.

    Args:
        record (Record): The training.
        count (int): Number of images; those without anything to find are
            passed over.

    Returns:
        Predictions: The results.
    """
    cfg = Config.fromfile(record.config)
    register_scope(cfg.default_scope)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        dataset = DATASETS.build(cfg.val_dataloader.dataset)
        # mmpretrain's runner hands the preprocessor's settings over; build
        # as it does.
        settings = dict(cfg.model)
        if cfg.get('data_preprocessor'):
            settings.setdefault('data_preprocessor', cfg.data_preprocessor)
        model = MODELS.build(Config(settings)._cfg_dict)
        weights = safe_load(str(record.checkpoint))['state_dict']
        model.load_state_dict(weights, strict=True)
        model.eval()
        found = Predictions(
            palette=dataset.metainfo.get('palette', []),
            params=sum(p.numel() for p in model.parameters()),
            model=model)
        for index in _pick(record.task.name, dataset, count):
            found.batch = pseudo_collate([dataset[index]])
            with torch.no_grad():
                sample = model.test_step(found.batch)[0]
            found.examples.append(
                _READERS[record.task.name](dataset.get_data_info(index),
                                           sample))
    return found


def _pick(task: str, dataset: Any, count: int) -> list[int]:
    """The first images; for classification one of each class in turn."""
    if task == 'classification':
        labels = dataset.get_gt_labels().tolist()
        by_class = [[i for i, v in enumerate(labels) if v == label]
                    for label in sorted(set(labels))]
        rounds = zip(*by_class)
        return [index for group in rounds for index in group][:count]
    if task == 'detection':
        return [
            i for i in range(len(dataset))
            if any(not item['ignore_flag']
                   for item in dataset.get_data_info(i)['instances'])
        ][:count]
    return list(range(min(count, len(dataset))))


def _read_image(path: str) -> np.ndarray:
    return np.asarray(Image.open(path).convert('RGB'))


def _read_classification(info: dict, sample: Any) -> Example:
    return Example(
        image=_read_image(info['img_path']),
        truth=int(info['gt_label']),
        prediction=sample.pred_score.numpy())


def _read_detection(info: dict, sample: Any) -> Example:
    image = _read_image(info['img_path'])
    true = [item for item in info['instances'] if not item['ignore_flag']]
    found = sample.pred_instances
    found = found[found.scores >= SCORE]
    return Example(
        image=image,
        truth=Objects(
            boxes=np.array([item['bbox'] for item in true]),
            labels=np.array([item['bbox_label'] for item in true]),
            masks=np.stack([
                _fill(item['mask'], image.shape[:2]) for item in true
            ])),
        prediction=Objects(
            boxes=found.bboxes.numpy(),
            labels=found.labels.numpy(),
            masks=found.masks.numpy(),
            scores=found.scores.numpy()))


def _fill(polygons: list, size: tuple[int, int]) -> np.ndarray:
    """Mask of polygons given as x1 y1 x2 y2..., shape ``size``."""
    from pycocotools import mask as coco
    return coco.decode(coco.merge(coco.frPyObjects(polygons, *size))) > 0


def _read_segmentation(info: dict, sample: Any) -> Example:
    return Example(
        image=_read_image(info['img_path']),
        truth=sample.gt_sem_seg.data[0].numpy(),
        prediction=sample.pred_sem_seg.data[0].numpy())


_READERS = dict(
    classification=_read_classification,
    detection=_read_detection,
    segmentation=_read_segmentation)
