"""Trained networks on one image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..engine.errors import LaunchError
from ..engine.trained import class_names, load_trained

KINDS = ('classifier', 'detector', 'segmentor')
_PARTS = dict(classifier='head', detector='roi_head', segmentor='decode_head')
#: Times that heat is shown at, in units of the network's own conduction.
TIMES = (0., 0.3, 1., 3., 10., 30., 100., 300., 1000.)


class DemoNetwork:
    """A network with the way that its config prepares an image.

    Args:
        kind (str): 'classifier', 'detector' or 'segmentor'.
        cfg (mmengine.Config): Its config.
        model (nn.Module): It, in eval mode.
        classes (Sequence[str]): Names of the classes, numbers where there
            are none.
        title (str): Name for people.
    """

    def __init__(self, kind: str, cfg: Any, model: nn.Module,
                 classes: Sequence[str], title: str) -> None:
        self.kind = kind
        self.model = model
        self.title = title
        self.scope = cfg.get('default_scope') or 'mmengine'
        self._classes = tuple(classes)
        self._pipeline = self._build_pipeline(cfg)

    def _build_pipeline(self, cfg: Any) -> Any:
        from mmengine.dataset import Compose
        from mmengine.registry import DefaultScope
        steps = cfg.get('test_pipeline') or \
            cfg.test_dataloader.dataset.pipeline
        # The image is at hand and there is no truth to load.
        steps = [step for step in steps if 'Load' not in str(step['type'])]
        with DefaultScope.overwrite_default_scope(self.scope):
            return Compose(steps)

    def class_name(self, number: int) -> str:
        """Name of a class, or its number."""
        known = number < len(self._classes)
        return self._classes[number] if known else f'class {number}'

    def prepare(self, image: np.ndarray) -> dict:
        """A batch of one image, normalised.

        Args:
            image (np.ndarray): Shape (H, W, 3), RGB, uint8.

        Returns:
            dict: What the model's ``forward`` takes.
        """
        from mmengine.dataset import pseudo_collate
        size = image.shape[:2]
        # mm packages read images as BGR
        item = self._pipeline(dict(
            img=np.ascontiguousarray(image[..., ::-1]), img_shape=size,
            ori_shape=size, img_path='', img_id=0))
        return self.model.data_preprocessor(pseudo_collate([item]), False)

    @torch.no_grad()
    def predict(self, image: np.ndarray) -> Any:
        """The data sample that the network predicts.

        Args:
            image (np.ndarray): Shape (H, W, 3), RGB, uint8.

        Returns:
            BaseDataElement: With ``pred_score``, ``pred_instances`` or
            ``pred_sem_seg``.
        """
        from mmengine.registry import DefaultScope
        with DefaultScope.overwrite_default_scope(self.scope):
            batch = self.prepare(image)
            return self.model(**batch, mode='predict')[0]

    @property
    def conducts_heat(self) -> bool:
        """Whether :meth:`heat` works: a backbone of vHeat."""
        from ..vheat import VHeatNetwork
        return isinstance(self.model.backbone, VHeatNetwork)

    def heat(self, image: np.ndarray) -> np.ndarray:
        """Heat in the first stage at :data:`TIMES`.

        Args:
            image (np.ndarray): Shape (H, W, 3), RGB, uint8.

        Returns:
            np.ndarray: Shape (times, H / 4, W / 4), float32.
        """
        from mmengine.registry import DefaultScope

        from ..vheat.diffusion import diffusion_maps
        with DefaultScope.overwrite_default_scope(self.scope):
            inputs = self.prepare(image)['inputs']
        maps = diffusion_maps(self.model.backbone, inputs, TIMES)
        return maps['stages'][0]['heat'].cpu().numpy()


def load_network(kind: str, config: str, weights: str,
                 classes: Sequence[str] | None = None,
                 title: str | None = None) -> DemoNetwork:
    """Load a network for the demo.

    Args:
        kind (str): One of :data:`KINDS`.
        config (str): A config file.
        weights (str): A checkpoint of it.
        classes (Sequence[str], optional): Names of the classes. Defaults to
            those of the config.
        title (str, optional): Name for people. Defaults to the config's.

    Returns:
        DemoNetwork: The network.

    Raises:
        LaunchError: If it cannot be loaded, or is of another kind.
        CheckpointError: If the checkpoint cannot be read safely.
    """
    cfg, model = load_trained(config, weights)
    if getattr(model, _PARTS[kind], None) is None:
        raise LaunchError(f'--{kind} {config}: a {type(model).__name__} has '
                          f'no {_PARTS[kind]}; expected the config of a '
                          f'{kind}')
    return DemoNetwork(kind, cfg, model, classes or class_names(cfg),
                       title or Path(config).stem)


def quickstart_networks(folder: Path) -> list[DemoNetwork]:
    """The networks that the quickstart trained.

    Args:
        folder (Path): Where it wrote, such as ``work_dirs/quickstart``.

    Returns:
        list[DemoNetwork]: One for each kind.

    Raises:
        LaunchError: If one is not there.
    """
    from ..engine.launch import latest_checkpoint
    from ..quickstart.tasks import TASKS
    names = dict(classification='classifier', detection='detector',
                 segmentation='segmentor')
    found = []
    for task in TASKS:
        if task.name not in names:
            continue
        run = folder / task.name
        checkpoint = latest_checkpoint(str(run)) if run.is_dir() else None
        if checkpoint is None:
            raise LaunchError(
                f'{run} holds no checkpoint: train the networks with '
                'bash tools/quickstart.sh, about 9 minutes on two cores, or '
                'name some of yours with --classifier CONFIG:WEIGHTS')
        found.append(load_network(
            names[task.name], str(task.config_path), checkpoint,
            task.classes, task.title))
    return found
