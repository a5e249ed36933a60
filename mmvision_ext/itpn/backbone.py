"""The iTPN backbone as mmdetection, mmsegmentation and mmpretrain use it."""

from typing import Any, Optional

from mmengine.model import BaseModule

from ..engine.match import check_loaded_weights, explain_pretrained
from ..registry import MODELS
from .loading import OPTIONAL
from .network import ITPNNetwork


@MODELS.register_module()
class ITPN(ITPNNetwork, BaseModule):
    """iTPN: two stages of MLPs and one of attention, strides 4, 8 and 16.

    Source: "Integrally Pre-Trained Transformer Pyramid Networks", CVPR 2023
    (arXiv 2211.12735). One implementation serves pre-training,
    classification (``out_type='avg_featmap'``), and detection and
    segmentation (with :class:`ITPNPyramid` as the neck), at any image size.
    Nothing before the last stage crosses a patch of 16 x 16 pixels, so the
    masked paths :meth:`forward_visible` and :meth:`forward_replaced` give
    what the dense path gives there.

    Args:
        arch (str | dict): 'nano', 'tiny', 'small', 'base', 'large' (see
            :data:`ARCH_ZOO`), or the arguments of :class:`ITPNArch`.
            Defaults to 'base'.
        img_size (int): Side in pixels of the square image that the position
            tables are made for, a multiple of 16; other sizes run too.
            Defaults to 224.
        in_channels (int): Channels of the image. Defaults to 3.
        pos_size (int, optional): Side of the absolute position embedding in
            tokens, where it is not ``img_size / 16``: the original keeps it
            at 14 in detection and segmentation. Defaults to None.
        pos_init (str): First values of that embedding: 'trunc_normal' (std
            0.02) or 'sincos', as pre-training on pixels has it; trained
            either way. Defaults to 'trunc_normal'.
        rpe (str): Relative position: 'none', 'table' or 'decomposed', see
            :class:`mmvision_ext.itpn.attention.Attention`. Defaults to
            'none'.
        layer_scale (float, optional): First value of the learnt scale of
            each branch; None for no scale. The CLIP flavours have 0.1.
            Defaults to None.
        ln_eps (float): Epsilon of the norms. The original's detection and
            segmentation networks run with 1e-5. Defaults to 1e-6.
        drop_path_rate (float): Stochastic depth of the last block; it rises
            linearly from 0. Defaults to 0.
        out_indices (Sequence[int]): Stages whose maps are returned, with
            ``out_type='featmap'``. Defaults to (0, 1, 2).
        out_type (str): 'featmap', or 'avg_featmap': the mean of the last
            stage's tokens behind a LayerNorm, for classifiers without a
            neck. Defaults to 'featmap'.
        frozen_stages (int): Freeze, from 0, the patch and position
            embedding; from 1 to 3 also the stages up to this one, each
            with the merge behind it; -1 freezes nothing. Defaults to -1.
        norm_eval (bool): Keep norm layers in eval mode while training.
            LayerNorm computes the same in both modes; this counts for norms
            with running statistics put in its place. Defaults to False.
        with_cp (bool): Recompute each block in the backward pass instead of
            keeping its activations. Defaults to False.
        window_size (int, optional): Side in tokens of windows that the
            attention keeps to, but in the blocks of ``global_indices``. An
            extension after ViTDet, not part of iTPN. Defaults to None, all
            blocks global.
        global_indices (Sequence[int], optional): With ``window_size``, the
            attention blocks that see all tokens, counted from 0. Defaults
            to the last of each quarter (of 4 blocks, that is all).
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
        check_loaded_weights(self, state_dict, prefix, optional=OPTIONAL)
