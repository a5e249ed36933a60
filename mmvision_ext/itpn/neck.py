"""The pyramid of iTPN as a neck of mmdetection and mmsegmentation."""

from typing import Any, Optional

from mmengine.model import BaseModule

from ..engine.match import check_loaded_weights, explain_pretrained
from ..registry import MODELS
from .pyramid import ITPNPyramidNetwork


@MODELS.register_module()
class ITPNPyramid(ITPNPyramidNetwork, BaseModule):
    """The feature pyramid that is pre-trained together with the backbone.

    Source: "Integrally Pre-Trained Transformer Pyramid Networks", CVPR 2023
    (arXiv 2211.12735), section 3. It is pointwise but for the steps between
    resolutions, so it works on the visible patches of pre-training
    (:meth:`forward_tokens`) as on maps, with the same parameters.

    Args:
        in_channels (Sequence[int]): Channels of the three raw stages,
            (C/4, C/2, C). Defaults to (128, 256, 512), those of 'base'.
        out_channels (int): Channels F of every level. Defaults to 256.
        depth (int): MLP blocks behind each sum of the top-down path.
            Released: 2 in pixel pre-training and segmentation, else 1.
            Defaults to 1.
        num_outs (int): Levels: 3 (strides 4, 8, 16), 4 or 5, the further
            ones by pooling. Defaults to 5.
        pool (str): 'avg' as released for detection, 'max' as for
            segmentation. Defaults to 'avg'.
        concat (bool): Append the raw stage to each level, as released for
            segmentation; levels then have F + C_i channels. Defaults to
            False.
        mlp_ratio (float): Hidden channels of the blocks over F. Defaults to
            4.
        ln_eps (float): Epsilon of the norms. The original's detection and
            segmentation networks run with 1e-5. Defaults to 1e-6.
        with_cp (bool): Recompute each block in the backward pass instead of
            keeping its activations. Defaults to False.
        init_cfg (dict | list[dict], optional): Weights to start from, as
            everywhere in mmengine. Defaults to None.

    Raises:
        ValueError: If a value is out of its range or unknown.
    """

    def __init__(self,
                 *args: Any,
                 init_cfg: Optional[dict] = None,
                 **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.init_cfg = init_cfg

    def init_weights(self) -> None:
        """Initialise as ``init_cfg`` says.

        Raises:
            WeightMismatchError: If a pretrained file is not of this network.
        """
        with explain_pretrained(self.init_cfg):
            super().init_weights()

    def _load_from_state_dict(self, state_dict: dict, prefix: str,
                              *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        # A file of a classifier has a backbone and no pyramid. Deeper and
        # shallower pyramids share the blocks that both have.
        if any(name.startswith(prefix) for name in state_dict):
            check_loaded_weights(
                self,
                state_dict,
                prefix,
                optional=r'block_(16to8|8to4)\.[1-9]')
