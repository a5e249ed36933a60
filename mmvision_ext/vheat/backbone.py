"""The vHeat backbone as mmdetection, mmsegmentation and mmpretrain use it."""

from typing import Any, Optional

from mmengine.model import BaseModule

from ..engine.match import check_loaded_weights, explain_pretrained
from ..registry import MODELS
from .network import VHeatNetwork


@MODELS.register_module()
class VHeat(VHeatNetwork, BaseModule):
    """vHeat: a four-stage backbone that mixes tokens by heat conduction.

    Source: "Building Vision Models upon Heat Conduction", CVPR 2025
    (arXiv 2405.16555). One implementation serves classification
    (``out_indices=(3, )``), detection and segmentation, at any image size.

    Args:
        arch (str | dict): 'nano', 'tiny', 'small', 'base', 'base-v2'
            (inferred, see :data:`ARCH_ZOO`), or the arguments of
            :class:`VHeatArch`. Defaults to 'tiny'.
        img_size (int | tuple[int, int]): Pixels of the image, one side or
            (height, width), whose tokens the frequency tables match entry
            by entry; other sizes run too. Defaults to 224.
        in_channels (int): Channels of the image. Defaults to 3.
        table_resize (str): How a table becomes one for another map at run
            time: 'bicubic' (as released), 'pad', or 'aligned' (each entry
            keeps its frequency). Defaults to 'bicubic'.
        table_load (str): How a loaded table of another grid is brought to
            this one: 'pad' (as the released downstream weights were made),
            'bicubic' or 'aligned'. Defaults to 'pad'.
        drop_path_rate (float): Stochastic depth of the last block; it rises
            linearly from 0. Defaults to 0.
        out_indices (Sequence[int]): Stages whose maps are returned.
            Defaults to (0, 1, 2, 3).
        out_norm (bool): LayerNorm on each returned map, as released.
            Defaults to True.
        frozen_stages (int): Freeze the stem and the stages up to this one
            with their output norms; -1 freezes nothing. Defaults to -1.
        norm_eval (bool): Keep norm layers in eval mode while training.
            LayerNorm computes the same in both modes; this counts for norms
            with running statistics put in its place. Defaults to False.
        with_cp (bool): Recompute each block in the backward pass instead of
            keeping its activations. Defaults to False.
        ignore_padding (bool): Compute each image of a padded batch at its
            own size, so that padding, which otherwise reaches every token
            through the global transform, has no influence. Defaults to
            False.
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
        # Output norms come and go with the task.
        check_loaded_weights(self, state_dict, prefix, optional=r'norm\d\.')
