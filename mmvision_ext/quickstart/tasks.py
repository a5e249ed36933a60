"""The trainings of the quickstart."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..datasets.toy_classes import TOY_CLASSES
from ..engine.shipped import shipped_root

#: The generated files bear names of COCO and ADE20K; people see the shapes.
SHAPES = tuple(item.shape for item in TOY_CLASSES)
#: In the order of COCO's ids, which is how mmdet numbers them.
COCO_SHAPES = tuple(
    item.shape for item in sorted(TOY_CLASSES, key=lambda c: c.coco_id))
GROUNDS = ('wall', 'sky', 'floor', 'grass')


@dataclass(frozen=True)
class Task:
    """One training of the quickstart.

    Args:
        name (str): Short name, also of its folder.
        title (str): Which network does what, for people.
        kind (str): 'classification', 'detection', 'segmentation' or
            'pretraining'.
        config (str): File name in ``configs/quickstart``.
        layout (str): Folder of the generated data that it reads.
        metrics (dict[str, str]): Metrics to report, from the name in the log
            to the name shown. Of pre-training, which is not validated,
            losses.
        classes (tuple[str, ...]): Names of the classes, for people, in the
            order of the config.
        percent (bool): Whether the log gives the metrics in percent.
            Defaults to True.
        start (str): Name of the training whose weights this one starts
            from. Defaults to none.
    """
    name: str
    title: str
    kind: str
    config: str
    layout: str
    metrics: dict[str, str]
    classes: tuple[str, ...] = SHAPES
    percent: bool = True
    start: str = ''

    @property
    def validated(self) -> bool:
        """Whether its metrics come from validations, not from training."""
        return self.kind != 'pretraining'

    @property
    def config_path(self) -> Path:
        """The config that came with the package."""
        return shipped_root() / 'configs' / 'quickstart' / self.config


_AP50 = {'coco/bbox_mAP_50': 'box AP50', 'coco/segm_mAP_50': 'mask AP50'}

TASKS: tuple[Task, ...] = (
    Task('classification', 'vHeat classifier', 'classification',
         'vheat-nano_toy_cls.py', 'imagenet', {'accuracy/top1': 'top-1'}),
    Task('detection', 'vHeat Mask R-CNN', 'detection',
         'maskrcnn_vheat_nano_toy_det.py', 'coco', _AP50,
         classes=COCO_SHAPES, percent=False),
    Task('segmentation', 'vHeat UPerNet', 'segmentation',
         'upernet_vheat_nano_toy_seg.py', 'ade20k', {'mIoU': 'mIoU'},
         classes=GROUNDS + SHAPES),
    Task('itpn-pretraining', 'iTPN pre-training', 'pretraining',
         'itpn-nano_toy_pretrain.py', 'coco', {'loss_pixel': 'pixel loss'},
         classes=(), percent=False),
    Task('itpn-detection', 'iTPN Mask R-CNN', 'detection',
         'maskrcnn_itpn_nano_toy_det.py', 'coco', _AP50,
         classes=COCO_SHAPES, percent=False, start='itpn-pretraining'),
)
