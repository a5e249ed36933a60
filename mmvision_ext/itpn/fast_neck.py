"""The pyramid of Fast-iTPN as a neck of the OpenMMLab libraries."""

from typing import Any, Optional

from ..registry import MODELS
from .fast import FastITPNPyramidNetwork
from .neck import ITPNPyramid


@MODELS.register_module()
class FastITPNPyramid(FastITPNPyramidNetwork, ITPNPyramid):
    """The pyramid in the files of Fast-iTPN's pre-training.

    No code of it was released. This is reconstructed from how others lay out
    its weights, so that these can be loaded: the pyramid of iTPN with 1 x 1
    convolutions, all with bias, in place of the linear layers, and a norm of
    the last stage in front. That a step to twice the resolution is such a
    convolution too, with the channels in the order of iTPN, is assumed.

    Args:
        in_channels (Sequence[int]): Channels of the three raw stages,
            (C/4, C/2, C). Defaults to (128, 256, 512), those of 'base'.
        out_channels (int): Channels F of every level. Defaults to 256.
        depth (int): MLP blocks behind each sum of the top-down path.
            Defaults to 1.
        num_outs (int): Levels: 3 (strides 4, 8, 16), 4 or 5, the further
            ones by pooling. Defaults to 5.
        pool (str): 'avg' or 'max'. Defaults to 'avg'.
        concat (bool): Append the raw stage to each level, which then has
            F + C_i channels. Defaults to False.
        mlp_ratio (float): Hidden channels of the blocks over F. Defaults to
            4.
        ln_eps (float): Epsilon of the norms. Defaults to 1e-6.
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
