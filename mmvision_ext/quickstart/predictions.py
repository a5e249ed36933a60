"""Predictions of a trained network on its validation images."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.registry import DATASETS, MODELS, DefaultScope
from PIL import Image
from torch import Tensor

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
class Filled:
    """What pre-training sees of an image and makes of it.

    Args:
        masked (np.ndarray): The image with its hidden patches grey, shape
            (H, W, 3), RGB, uint8.
        filled (np.ndarray): The same with the patches as predicted.
    """
    masked: np.ndarray
    filled: np.ndarray


@dataclass
class Example:
    """An image of the validation set with truth and prediction.

    Args:
        image (np.ndarray): Shape (H, W, 3), RGB, uint8.
        truth (Any): A label, an :class:`Objects`, a map of labels of shape
            (H, W) with 255 for what does not count, or of pre-training the
            image.
        prediction (Any): Of the same kind; for a label the scores of all
            classes; of pre-training a :class:`Filled`.
    """
    image: np.ndarray
    truth: Any
    prediction: Any


@dataclass
class Predictions:
    """A trained network and what it says about some images.

    Args:
        palette (list): An RGB triple a class, empty for classification.
        params (int): Number of parameters that are trained.
        examples (list[Example]): The first images of the validation set.
        model (torch.nn.Module): The network, in eval mode.
        batches (list[dict]): The examples as the network gets them.
    """
    palette: list
    params: int
    examples: list[Example] = field(default_factory=list)
    model: torch.nn.Module | None = None
    batches: list[dict] = field(default_factory=list)


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
        dataset = DATASETS.build(_dataset_config(cfg))
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
            params=sum(
                p.numel() for p in model.parameters() if p.requires_grad),
            model=model)
        kind = record.task.kind
        # Pre-training draws what it hides.
        torch.manual_seed(0)
        for index in _pick(kind, dataset, count):
            item = dataset[index]
            batch = _COLLATE.get(kind, pseudo_collate)([item])
            with torch.no_grad():
                sample = model.test_step(batch)[0]
            found.batches.append(batch)
            found.examples.append(
                _READERS[kind](dataset.get_data_info(index), sample,
                               item['inputs']))
    return found


def _dataset_config(cfg: Config) -> dict:
    """The validation images, which in pre-training only make pictures."""
    if cfg.get('val_dataloader'):
        return cfg.val_dataloader.dataset
    return dict(
        cfg.train_dataloader.dataset,
        data_prefix='val2017',
        pipeline=cfg.test_pipeline)


def _pick(kind: str, dataset: Any, count: int) -> list[int]:
    """The first images; for classification one of each class in turn."""
    if kind == 'classification':
        labels = dataset.get_gt_labels().tolist()
        by_class = [[i for i, v in enumerate(labels) if v == label]
                    for label in sorted(set(labels))]
        rounds = zip(*by_class)
        return [index for group in rounds for index in group][:count]
    if kind == 'detection':
        return [
            i for i in range(len(dataset))
            if any(not item['ignore_flag']
                   for item in dataset.get_data_info(i)['instances'])
        ][:count]
    return list(range(min(count, len(dataset))))


def _read_image(path: str) -> np.ndarray:
    return np.asarray(Image.open(path).convert('RGB'))


def _read_classification(info: dict, sample: Any, _: Tensor) -> Example:
    return Example(
        image=_read_image(info['img_path']),
        truth=int(info['gt_label']),
        prediction=sample.pred_score.numpy())


def _read_detection(info: dict, sample: Any, _: Tensor) -> Example:
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


def _read_segmentation(info: dict, sample: Any, _: Tensor) -> Example:
    return Example(
        image=_read_image(info['img_path']),
        truth=sample.gt_sem_seg.data[0].numpy(),
        prediction=sample.pred_sem_seg.data[0].numpy())


def _read_pretraining(_: dict, sample: Any, inputs: Tensor) -> Example:
    # (3, H, W) BGR -> (H, W, 3) RGB: what the pipeline cut out of the file
    image = inputs.permute(1, 2, 0).flip(-1).numpy()
    masked, filled = (
        # (3, H, W) -> (H, W, 3), RGB already
        picture.permute(1, 2, 0).round().byte().numpy()
        for picture in (sample.masked_input, sample.reconstruction))
    return Example(
        image=image, truth=image, prediction=Filled(masked, filled))


_READERS = dict(
    classification=_read_classification,
    detection=_read_detection,
    segmentation=_read_segmentation,
    pretraining=_read_pretraining)
#: What makes a batch, where it is not mmengine's usual way.
_COLLATE = dict(pretraining=default_collate)
