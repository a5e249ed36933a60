"""A backbone and a neck without a task."""

from typing import Optional, Tuple

from mmengine.model import BaseModule
from torch import Tensor

from ..registry import MODELS


@MODELS.register_module()
class FeatureExtractor(BaseModule):
    """The maps that a backbone and a neck make of images.

    What a weight file of a detector or segmentor without heads is for.

    Args:
        backbone (dict): Config of a backbone that returns a tuple of maps.
        neck (dict): Config of a neck that takes it.
        init_cfg (dict | list[dict], optional): Weights to start from, as
            everywhere in mmengine. Defaults to None.
    """

    def __init__(self,
                 backbone: dict,
                 neck: dict,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck)

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Images (B, C, H, W) to the maps of the neck, fine to coarse."""
        return self.neck(self.backbone(x))
