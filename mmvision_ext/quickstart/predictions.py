"""Predictions of a trained network on its validation images."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.registry import DATASETS, MODELS, DefaultScope
from torch import Tensor

from ..compat.checkpoint import safe_load
from ..engine.checks import register_scope
from ..pictures.predictions import (
    Example,
    read_classification,
    read_detection,
    read_segmentation,
)
from .training import Record


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
                _READERS[kind](dataset.get_data_info(index), sample)
                if kind in _READERS else
                _read_pretraining(sample, item['inputs']))
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


def _read_pretraining(sample: Any, inputs: Tensor) -> Example:
    # (3, H, W) BGR -> (H, W, 3) RGB: what the pipeline cut out of the file
    image = inputs.permute(1, 2, 0).flip(-1).numpy()
    masked, filled = (
        # (3, H, W) -> (H, W, 3), RGB already
        picture.permute(1, 2, 0).round().byte().numpy()
        for picture in (sample.masked_input, sample.reconstruction))
    return Example(
        image=image, truth=image, prediction=Filled(masked, filled))


#: By kind, what reads a prediction; pre-training needs the input as well.
_READERS = dict(
    classification=read_classification,
    detection=read_detection,
    segmentation=read_segmentation)
#: What makes a batch, where it is not mmengine's usual way.
_COLLATE = dict(pretraining=default_collate)
