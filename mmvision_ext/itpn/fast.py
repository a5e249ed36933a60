"""The Fast-iTPN backbone and its pyramid in plain torch."""

from typing import List, Optional, Sequence, Tuple, Union

from torch import Tensor, nn

from .arch import resolve_fast_arch
from .fast_blocks import (
    ConvMlpBlock,
    FastAttentionBlock,
    FastMerge,
    FastPatchEmbed,
    FastSplit,
    PointwiseConv,
    SubNormBlock,
)
from .network import ITPNNetwork
from .pyramid import ITPNPyramidNetwork


class FastITPNNetwork(ITPNNetwork):
    """Fast-iTPN without any framework around it.

    :class:`mmvision_ext.itpn.FastITPN` documents the arguments, all of which
    are taken here but ``init_cfg``. The paths are those of iTPN; its parts
    and the rule by which the position embedding is resized differ.
    """

    resolve_arch = staticmethod(resolve_fast_arch)
    patch_embed_type = FastPatchEmbed
    mlp_block_type = SubNormBlock
    merge_type = FastMerge
    attention_block_type = FastAttentionBlock
    position_name = 'pos_embed'
    position_excess = 0.

    def __init__(self,
                 arch: Union[str, dict] = 'base',
                 img_size: int = 224,
                 in_channels: int = 3,
                 layer_scale: Optional[float] = 0.1,
                 ln_eps: float = 1e-6,
                 drop_path_rate: float = 0.,
                 out_indices: Sequence[int] = (0, 1, 2),
                 out_type: str = 'featmap',
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 with_cp: bool = False) -> None:
        super().__init__(
            arch=arch,
            img_size=img_size,
            in_channels=in_channels,
            layer_scale=layer_scale,
            ln_eps=ln_eps,
            drop_path_rate=drop_path_rate,
            out_indices=out_indices,
            out_type=out_type,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            with_cp=with_cp)

    def forward_replaced(self,
                         images: Tensor,
                         mask: Tensor,
                         mask_token: Tensor,
                         mask_stride: int = 4,
                         aux_index: Optional[int] = None
                         ) -> Tuple[Tensor, ...]:
        """Features of all patches, some of which were replaced.

        As :meth:`ITPNNetwork.forward_replaced`, but replaced behind the patch
        embedding by default, as in the pre-training of the released networks.

        Args:
            images (Tensor): Shape (B, in_channels, H, W), multiples of 16.
            mask (Tensor): True for each patch to replace, shape (B, N),
                bool, row-major.
            mask_token (Tensor): Shape (1, 1, 4C), which is (C/4, 4, 4)
                flattened; (1, 1, C) with a stride of 16.
            mask_stride (int): Where to replace, 4 or 16. Defaults to 4.
            aux_index (int, optional): Also return the tokens behind this
                block of the last stage, counted from 0. Defaults to None.

        Returns:
            tuple[Tensor, ...]: Of the three stages: (B, N, 4, 4, C/4),
            (B, N, 2, 2, C/2) and (B, N, C); then, with ``aux_index``, tokens
            (B, N, C).

        Raises:
            ValueError: If a size is no multiple of 16, the mask does not
                fit, or the stride is neither 4 nor 16.
        """
        return super().forward_replaced(images, mask, mask_token, mask_stride,
                                        aux_index)

    def get_layer_depth(self,
                        param_name: str,
                        prefix: str = '',
                        legacy: bool = False) -> Tuple[int, int]:
        """Depth of a parameter for layer-wise learning-rate decay.

        Args:
            param_name (str): Name of the parameter.
            prefix (str): What stands before the backbone's own names.
                Defaults to ''.
            legacy (bool): Count the merges as layers of their own, as the
                released fine-tuning does. Defaults to False.

        Returns:
            tuple[int, int]: Layer from 0 (patch and position embedding,
            mask token) over 1 to n (the blocks; a merge counts with the
            block before it) to n + 1 (all else); and the number of layers,
            n + 2.
        """
        layer, num_layers = super().get_layer_depth(param_name, prefix)
        if not legacy:
            return layer, num_layers
        merges = len(self.blocks) - sum(self.arch_settings.depths)
        if layer == num_layers - 1:
            layer += merges
        elif layer > 0:
            layer = int(param_name[len(prefix):].split('.')[1]) + 1
        return layer, num_layers + merges


class FastITPNPyramidNetwork(ITPNPyramidNetwork):
    """The pyramid of Fast-iTPN without any framework around it.

    :class:`mmvision_ext.itpn.FastITPNPyramid` documents the arguments, all of
    which are taken here but ``init_cfg``.
    """

    split_type = FastSplit
    block_type = ConvMlpBlock

    def __init__(self,
                 in_channels: Sequence[int] = (128, 256, 512),
                 out_channels: int = 256,
                 depth: int = 1,
                 num_outs: int = 5,
                 pool: str = 'avg',
                 concat: bool = False,
                 mlp_ratio: float = 4.,
                 ln_eps: float = 1e-6,
                 with_cp: bool = False) -> None:
        super().__init__(in_channels, out_channels, depth, num_outs, pool,
                         concat, mlp_ratio, ln_eps, with_cp)
        self.norm = nn.LayerNorm(self.in_channels[2], eps=ln_eps)

    def make_align(self, in_channels: int, out_channels: int,
                   bias: bool) -> nn.Module:
        """A 1 x 1 convolution, always with bias."""
        return PointwiseConv(in_channels, out_channels)

    def _build(self, f1: Tensor, f2: Tensor, x: Tensor) -> List[Tensor]:
        return super()._build(f1, f2, self.norm(x))
