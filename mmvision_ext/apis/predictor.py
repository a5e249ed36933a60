"""A trained network on images of any kind."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from ..compat.checkpoint import safe_load
from ..engine.errors import LaunchError
from ..engine.trained import class_names, load_trained
from .inputs import Failure, read_inputs
from .results import ClassResult, InstanceResult, SegmentResult

Result = ClassResult | InstanceResult | SegmentResult
#: Part that tells the task of a model.
_TASKS = {'roi_head': 'detection', 'bbox_head': 'detection',
          'decode_head': 'segmentation', 'head': 'classification'}


class Predictor:
    """A network with the way that its config prepares images.

    Args:
        cfg (mmengine.Config): Its config, with a test pipeline.
        model (nn.Module): It, in eval mode.
        classes (Sequence[str]): Names of the classes, by number.
        device (str | torch.device): Where it is. Defaults to 'cpu'.
        topk (int): Classes of an image. Defaults to 5.
        score_thr (float): Objects with a lower score are left out. Defaults
            to 0.3.

    Attributes:
        task (str): 'classification', 'detection' or 'segmentation'.

    Raises:
        LaunchError: If the model does none of these, or a number makes no
            sense.
    """

    def __init__(self, cfg: Any, model: nn.Module, classes: Sequence[str],
                 device: str | torch.device = 'cpu', topk: int = 5,
                 score_thr: float = 0.3) -> None:
        part = next((p for p in _TASKS
                     if getattr(model, p, None) is not None), None)
        if part is None or not hasattr(model, 'data_preprocessor'):
            raise LaunchError(
                f'a {type(model).__name__} predicts no classes, objects or '
                'segments; give the config of a classifier, detector or '
                'segmentor')
        if topk < 1:
            raise LaunchError(f'topk is {topk}; expected 1 or more')
        if not 0 <= score_thr <= 1:
            raise LaunchError(f'score_thr is {score_thr}; expected a number '
                              'between 0 and 1')
        self.task = _TASKS[part]
        self.model = model.to(device)
        self.classes = tuple(classes)
        self.topk, self.score_thr = topk, score_thr
        self._scope = cfg.get('default_scope') or 'mmengine'
        self._pipeline = self._build_pipeline(cfg)

    def _build_pipeline(self, cfg: Any) -> Any:
        from mmengine.dataset import Compose
        from mmengine.registry import DefaultScope
        loader = cfg.get('test_dataloader') or cfg.get('val_dataloader') or {}
        steps = cfg.get('test_pipeline') or \
            (loader.get('dataset') or {}).get('pipeline')
        if not steps:
            raise LaunchError('the config has no test_pipeline, which says '
                              'how an image is prepared')
        # The image is at hand and there is no truth to load.
        steps = [step for step in steps if 'Load' not in str(step['type'])]
        with DefaultScope.overwrite_default_scope(self._scope):
            return Compose(steps)

    def __call__(self, inputs: Any,
                 batch_size: int = 1) -> Iterator[Result | Failure]:
        """Predict.

        Args:
            inputs (Any): A file, folder, pattern, video, array of shape
                (H, W, 3), RGB, uint8, PIL image, or a sequence of these.
            batch_size (int): Images at a time. Defaults to 1.

        Yields:
            ClassResult | InstanceResult | SegmentResult | Failure: One an
            image, in order. An image that cannot be read gives a
            :class:`Failure`, and the others go on.

        Raises:
            ValueError: If ``batch_size`` is less than 1.
        """
        if batch_size < 1:
            raise ValueError(f'batch_size is {batch_size}; expected 1 or '
                             'more')
        waiting: list[tuple[str, np.ndarray]] = []
        for name, image in read_inputs(inputs):
            if isinstance(image, Failure):
                yield from self._run(waiting)
                waiting = []
                yield image
                continue
            waiting.append((name, image))
            if len(waiting) == batch_size:
                yield from self._run(waiting)
                waiting = []
        yield from self._run(waiting)

    def prepare(self, images: Sequence[np.ndarray]) -> dict:
        """A batch, normalised.

        Args:
            images (Sequence[np.ndarray]): Each of shape (H, W, 3), RGB,
                uint8.

        Returns:
            dict: What the model's ``forward`` takes.
        """
        from mmengine.dataset import pseudo_collate
        items = [self._pipeline(dict(
            # mm packages read images as BGR
            img=np.ascontiguousarray(image[..., ::-1]),
            img_shape=image.shape[:2], ori_shape=image.shape[:2],
            img_path='', img_id=0)) for image in images]
        return self.model.data_preprocessor(pseudo_collate(items), False)

    @torch.no_grad()
    def predict(self, images: Sequence[np.ndarray]) -> list[Any]:
        """The data samples that the network predicts.

        Args:
            images (Sequence[np.ndarray]): Each of shape (H, W, 3), RGB,
                uint8.

        Returns:
            list[BaseDataElement]: With ``pred_score``, ``pred_instances`` or
            ``pred_sem_seg``.
        """
        from mmengine.registry import DefaultScope
        with DefaultScope.overwrite_default_scope(self._scope):
            return self.model(**self.prepare(images), mode='predict')

    def class_name(self, number: int) -> str:
        """Name of a class, or its number."""
        known = number < len(self.classes)
        return self.classes[number] if known else f'class {number}'

    def _run(self, batch: list[tuple[str, np.ndarray]]) -> Iterator[Result]:
        if not batch:
            return
        found = self.predict([image for _, image in batch])
        for (name, image), sample in zip(batch, found):
            yield getattr(self, f'_read_{self.task}')(name, image, sample)

    def _read_classification(self, name: str, image: np.ndarray,
                             sample: Any) -> ClassResult:
        scores = sample.pred_score.cpu()
        best = scores.topk(min(self.topk, len(scores)))
        labels = tuple(best.indices.tolist())
        return ClassResult(name, image, labels,
                           tuple(map(self.class_name, labels)),
                           tuple(best.values.tolist()))

    def _read_detection(self, name: str, image: np.ndarray,
                        sample: Any) -> InstanceResult:
        found = sample.pred_instances.cpu()
        found = found[found.scores >= self.score_thr]
        found = found[found.scores.argsort(descending=True)]
        labels = tuple(found.labels.tolist())
        masks = found.masks.numpy().astype(bool) if 'masks' in found else None
        return InstanceResult(name, image, found.bboxes.numpy(), masks,
                              labels, tuple(map(self.class_name, labels)),
                              tuple(found.scores.tolist()))

    def _read_segmentation(self, name: str, image: np.ndarray,
                           sample: Any) -> SegmentResult:
        # (1, H, W) -> (H, W)
        labels = sample.pred_sem_seg.data[0].cpu().numpy()
        return SegmentResult(name, image, labels, self.classes)


def load_predictor(config: str, weights: str,
                   device: str | torch.device = 'cpu', topk: int = 5,
                   score_thr: float = 0.3) -> Predictor:
    """Load a trained network for prediction.

    Args:
        config (str): A config file of a classifier, detector or segmentor.
        weights (str): A checkpoint of it. It is read without running code
            from it.
        device (str | torch.device): Where the network shall be. Defaults to
            'cpu'.
        topk (int): Classes of an image. Defaults to 5.
        score_thr (float): Objects with a lower score are left out. Defaults
            to 0.3.

    Returns:
        Predictor: ``predictor(inputs)`` yields results. Classes have the
        names that the checkpoint knows, else those of the config, else
        numbers.

    Raises:
        LaunchError: If a file is missing, the weights do not fit, or the
            device is not there.
        CheckpointError: If the checkpoint cannot be read safely.
    """
    try:
        there = torch.device(device)
        torch.empty(1, device=there)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().partition('\n')[0]
        raise LaunchError(f'device {device}: not here ({reason}); choose '
                          'cpu or a device that `python -m mmvision_ext info` '
                          'shows') from error
    cfg, model = load_trained(config, weights)
    content = safe_load(weights)
    meta = content.get('meta') if isinstance(content, dict) else None
    known = (meta or {}).get('dataset_meta') or {}
    names = known.get('classes') or class_names(cfg)
    return Predictor(cfg, model, names, there, topk, score_thr)
