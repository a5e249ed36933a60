"""The Fast-iTPN backbone as the OpenMMLab libraries use it."""

from typing import Any, Optional

from ..registry import MODELS
from .backbone import ITPN
from .fast import FastITPNNetwork


@MODELS.register_module()
class FastITPN(FastITPNNetwork, ITPN):
    """Fast-iTPN: the pyramid of iTPN from convolutional MLPs and SwiGLU.

    Source: the successor of "Integrally Pre-Trained Transformer Pyramid
    Networks", CVPR 2023 (arXiv 2211.12735), as far as its classifiers were
    released: token migration and token gathering, to which the name refers,
    are not part of them. One implementation serves classification
    (``out_type='avg_featmap'``), detection, segmentation and pre-training,
    at any image size.

    Args:
        arch (str | dict): 'nano', 'tiny', 'small', 'base', 'large' (see
            :data:`FAST_ARCH_ZOO`), or the arguments of :class:`ITPNArch`,
            ``mlp_ratios`` being (3, 3, 3) by default. Defaults to 'base'.
        img_size (int): Side in pixels, a multiple of 16, of the image whose
            patches the position table matches entry by entry. The table is
            resized by bicubics for images of other sizes, and from a loaded
            one of another size. Defaults to 224.
        in_channels (int): Channels of the image. Defaults to 3.
        layer_scale (float, optional): First value of the learnt scale of
            each branch of the last stage; None for no scale. Defaults to
            0.1.
        ln_eps (float): Epsilon of the norms. Defaults to 1e-6.
        drop_path_rate (float): Stochastic depth of the last block; it rises
            linearly from 0. Defaults to 0.
        out_indices (Sequence[int]): Stages whose maps are returned, raw, of
            strides 4, 8 and 16. Defaults to (0, 1, 2).
        out_type (str): 'featmap' for these maps; 'avg_featmap' for the mean
            of the last stage behind a norm, whatever ``out_indices`` says.
            Defaults to 'featmap'.
        frozen_stages (int): Freeze, from 0, the patch and position
            embedding; from 1 to 3 also the stages up to this one, each
            with the merge behind it; -1 freezes nothing. Defaults to -1.
        norm_eval (bool): Keep norm layers in eval mode while training.
            LayerNorm computes the same in both modes; this counts for norms
            with running statistics put in its place. Defaults to False.
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
