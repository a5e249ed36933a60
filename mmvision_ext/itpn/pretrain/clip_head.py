"""The heads of CLIP pre-training: from a pyramid of tokens to features."""

from collections.abc import Sequence
from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..blocks import init_linear
from .pixel_head import embed_levels, level_embeddings

Grid = Tuple[int, int]

#: Released as they are: the default of a plain LayerNorm.
AUX_LN_EPS = 1e-5


class CLIPHead(nn.Module):
    """The main prediction from the pyramid, an auxiliary one from within.

    Both predict the feature of the teacher for every patch. The auxiliary
    branch starts at three quarters of the last stage, with two blocks of its
    own. Source: "Integrally Pre-Trained Transformer Pyramid Networks", CVPR
    2023 (arXiv 2211.12735), in the form that was released.

    Args:
        in_channels (int): Channels F of the pyramid.
        embed_dims (int): Channels C of the last stage.
        out_dims (int): Channels T of the teacher.
        token_dims (int): Channels of the mask token.
        aux_blocks (Sequence[nn.Module]): Attention blocks of the
            auxiliary branch; none for no such branch.
        ln_eps (float): Epsilon of the norms outside these blocks. Defaults
            to 1e-6.
    """

    def __init__(self,
                 in_channels: int,
                 embed_dims: int,
                 out_dims: int,
                 token_dims: int,
                 aux_blocks: Sequence[nn.Module] = (),
                 ln_eps: float = 1e-6) -> None:
        super().__init__()
        self.mask_token = nn.Parameter(torch.zeros(1, 1, token_dims))
        self.decoder_embed = level_embeddings(in_channels, embed_dims, ln_eps)
        self.norm = nn.LayerNorm(embed_dims, eps=ln_eps)
        self.lm_head = nn.Linear(embed_dims, out_dims)
        if aux_blocks:
            self.cls_pt_layers = nn.ModuleList(aux_blocks)
            self.norm_cls = nn.LayerNorm(embed_dims, eps=ln_eps)
            self.lm_cls_head = nn.Linear(embed_dims, out_dims)
        self.apply(init_linear)
        nn.init.trunc_normal_(self.mask_token, std=0.02, a=-2., b=2.)

    def forward(self, pyramid: Sequence[Tensor]) -> Tensor:
        """The main prediction.

        Args:
            pyramid (Sequence[Tensor]): Fine to coarse, (B, N, s, s, F) for
                s = 4, 2, 1.

        Returns:
            Tensor: (B, N, T).
        """
        return self.lm_head(
            self.norm(sum(embed_levels(self.decoder_embed, pyramid))))

    def forward_aux(self, tokens: Tensor, grid: Grid) -> Tensor:
        """The auxiliary prediction.

        Args:
            tokens (Tensor): From within the last stage, (B, N, C).
            grid (tuple[int, int]): Patches of the image, (Hp, Wp).

        Returns:
            Tensor: (B, N, T).
        """
        for block in self.cls_pt_layers:
            tokens = block(tokens, grid)
        return self.lm_cls_head(self.norm_cls(tokens))


def smooth_l1(pred: Tensor, target: Tensor,
              mask: Optional[Tensor] = None) -> Tensor:
    """Smooth L1 distance to the teacher, in float32.

    Args:
        pred (Tensor): (B, N, T).
        target (Tensor): (B, N, T).
        mask (Tensor, optional): (B, N) bool, the patches that count.
            Defaults to None, all, as released.

    Returns:
        Tensor: A scalar, the mean over patches and channels.
    """
    pred, target = pred.float(), target.float()
    if mask is not None:
        pred, target = pred[mask], target[mask]
    return F.smooth_l1_loss(pred, target)
