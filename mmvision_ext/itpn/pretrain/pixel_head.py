"""The decoder of pixel pre-training: from a pyramid of tokens to pixels."""

from collections.abc import Sequence
from typing import Tuple

import torch
from torch import Tensor, nn

from ..blocks import AttentionBlock, init_linear
from ..position import sincos_position
from .patches import PATCH, images_to_patches

Grid = Tuple[int, int]

#: Positions on a side of a patch in each level, fine to coarse.
CELL_SIDES = (4, 2, 1)


def level_embeddings(in_channels: int, out_channels: int,
                     ln_eps: float) -> nn.ModuleList:
    """Norm and linear layer that bring each level to one vector a patch.

    Args:
        in_channels (int): Channels F of the pyramid.
        out_channels (int): Channels of the vector, a multiple of 16; a
            level with s x s positions in a patch gives 1 / s^2 of them each.
        ln_eps (float): Epsilon of the norms.

    Returns:
        nn.ModuleList: Coarse to fine, the order of the released weights.

    Raises:
        ValueError: If ``out_channels`` is no multiple of 16.
    """
    if out_channels % CELL_SIDES[0]**2:
        raise ValueError(
            f'a patch of {out_channels} channels; expected a multiple of 16, '
            'because its 16 finest positions share them evenly')
    return nn.ModuleList(
        nn.Sequential(
            nn.LayerNorm(in_channels, eps=ln_eps),
            nn.Linear(in_channels, out_channels // side**2))
        for side in reversed(CELL_SIDES))


def embed_levels(embeddings: nn.ModuleList,
                 pyramid: Sequence[Tensor]) -> list[Tensor]:
    """Apply :func:`level_embeddings`.

    Args:
        embeddings (nn.ModuleList): Coarse to fine.
        pyramid (Sequence[Tensor]): Fine to coarse, (B, K, s, s, F) for
            s = 4, 2, 1.

    Returns:
        list[Tensor]: Fine to coarse, each (B, K, C), the values of a patch
        in the order (row, column, channel).
    """
    # (B, K, s, s, C / s^2) -> (B, K, C)
    return [
        embed(level).flatten(2)
        for embed, level in zip(reversed(embeddings), pyramid)
    ]


def patch_targets(images: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """What the decoder is to predict: the pixels of each patch, normalised.

    Args:
        images (Tensor): (B, C, H, W).

    Returns:
        tuple[Tensor, Tensor, Tensor]: Pixels with mean 0 and variance 1 in
        each patch, (B, N, 256 * C); and the mean and the standard deviation
        that were taken out, (B, N, 1).
    """
    patches = images_to_patches(images.float())
    mean = patches.mean(-1, keepdim=True)
    std = (patches.var(-1, keepdim=True) + 1e-6).sqrt()
    return (patches - mean) / std, mean, std


class PixelHead(nn.Module):
    """Three level embeddings, mask tokens, a transformer, pixels.

    Source: "Integrally Pre-Trained Transformer Pyramid Networks", CVPR 2023
    (arXiv 2211.12735), section 3, in the form that was released. Its steps
    are :meth:`embed`, :meth:`fill`, :meth:`decode` and :attr:`decoder_pred`,
    the last from (B, N, D) to the normalised pixels, (B, N, 256 * C).

    Args:
        in_channels (int): Channels F of the pyramid. Defaults to 256.
        embed_dims (int): Channels D of the decoder. Defaults to 512.
        depth (int): Blocks of the decoder. Defaults to 8.
        num_heads (int): Heads of their attention. Defaults to 16.
        grid (tuple[int, int]): Patches of the image that the stored position
            embedding is for, (Hp, Wp); other grids get theirs on the fly.
            Defaults to (14, 14).
        image_channels (int): Channels of the image. Defaults to 3.
        ln_eps (float): Epsilon of the norms. Defaults to 1e-6.

    Raises:
        ValueError: If ``embed_dims`` is no multiple of 16.
    """

    def __init__(self,
                 in_channels: int = 256,
                 embed_dims: int = 512,
                 depth: int = 8,
                 num_heads: int = 16,
                 grid: Grid = (14, 14),
                 image_channels: int = 3,
                 ln_eps: float = 1e-6) -> None:
        super().__init__()
        self.grid = tuple(grid)
        self.embed_dims = embed_dims
        self.mask_token = nn.Parameter(torch.zeros(1, 1, embed_dims))
        self.decoder_pos_embed = nn.Parameter(
            sincos_position(embed_dims, self.grid), requires_grad=False)
        self.decoder_embed = level_embeddings(in_channels, embed_dims, ln_eps)
        self.decoder_blocks = nn.ModuleList(
            AttentionBlock(embed_dims, num_heads, ln_eps=ln_eps)
            for _ in range(depth))
        self.decoder_norm = nn.LayerNorm(embed_dims, eps=ln_eps)
        self.decoder_pred = nn.Linear(embed_dims, PATCH**2 * image_channels)
        self.apply(init_linear)
        nn.init.normal_(self.mask_token, std=0.02)

    def embed(self, pyramid: Sequence[Tensor]) -> list[Tensor]:
        """One vector a visible patch for each level.

        Args:
            pyramid (Sequence[Tensor]): Fine to coarse, (B, K, s, s, F) for
                s = 4, 2, 1.

        Returns:
            list[Tensor]: Fine to coarse, each (B, K, D).
        """
        return embed_levels(self.decoder_embed, pyramid)

    def fill(self, visible: Tensor, ids_keep: Tensor, grid: Grid,
             levels: int) -> Tensor:
        """The input of the decoder: visible patches, mask tokens, positions.

        As released, each level brings a mask token of its own, and so the
        sum of three levels holds three times the token where it is masked.

        Args:
            visible (Tensor): Vectors of the visible patches, (B, K, D).
            ids_keep (Tensor): Their places, (B, K) int64.
            grid (tuple[int, int]): Patches of the image, (Hp, Wp).
            levels (int): How many levels ``visible`` is the sum of.

        Returns:
            Tensor: (B, N, D).
        """
        batch, _, dims = visible.shape
        num_patches = grid[0] * grid[1]
        tokens = (levels * self.mask_token).to(visible.dtype)
        # (1, 1, D) -> (B, N, D); (B, K) -> (B, K, D)
        tokens = tokens.expand(batch, num_patches, dims).scatter(
            1, ids_keep[..., None].expand_as(visible), visible)
        return tokens + self._positions(grid)

    def _positions(self, grid: Grid) -> Tensor:
        if tuple(grid) == self.grid:
            return self.decoder_pos_embed
        return sincos_position(self.embed_dims,
                               grid).to(self.decoder_pos_embed)

    def decode(self, tokens: Tensor) -> Tensor:
        """The decoder with its norm, (B, N, D) to (B, N, D)."""
        for block in self.decoder_blocks:
            tokens = block(tokens)
        return self.decoder_norm(tokens)


def pixel_loss(pred: Tensor, images: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error over the hidden patches.

    Args:
        pred (Tensor): Normalised pixels, (B, N, 256 * C).
        images (Tensor): (B, C, H, W).
        mask (Tensor): (B, N) bool, True where hidden.

    Returns:
        Tensor: A scalar, float32.
    """
    error = (pred.float() - patch_targets(images)[0]).square().mean(-1)
    return (error * mask).sum() / mask.sum()
