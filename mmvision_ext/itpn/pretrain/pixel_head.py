"""The decoder of pixel pre-training: from a pyramid of tokens to pixels."""

from collections.abc import Sequence
from typing import Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...ops.attention import attend
from ...ops.gemm import fast_linear
from ...ops.layers import run_linear
from ..blocks import AttentionBlock, MlpBlock, init_linear
from ..network import take_patches
from ..position import sincos_position
from .patches import PATCH, gather_patches

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
        run_linear(linear, norm(level)).flatten(2)
        for (norm, linear), level in zip(reversed(embeddings), pyramid)
    ]


def patch_targets(images: Tensor, grid: Grid,
                  ids: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """What the decoder is to predict: the pixels of patches, normalised.

    Args:
        images (Tensor): (B, C, H, W).
        grid (tuple[int, int]): Patches of the image, (Hp, Wp).
        ids (Tensor): Which patches, (B, M) int64.

    Returns:
        tuple[Tensor, Tensor, Tensor]: Pixels with mean 0 and variance 1 in
        each patch, (B, M, 256 * C), in the order (row, column, channel); and
        the mean and the standard deviation that were taken out, (B, M, 1).
    """
    # (B, M, C, 16, 16) -> (B, M, 16, 16, C) -> (B, M, 256 * C)
    patches = take_patches(images, grid, ids).movedim(2, -1)
    patches = patches.flatten(2).float()
    mean = patches.mean(-1, keepdim=True)
    std = (patches.var(-1, keepdim=True) + 1e-6).sqrt()
    return (patches - mean) / std, mean, std


class DecoderBlock(AttentionBlock):
    """An attention block of the decoder.

    Args:
        embed_dims (int): Channels D.
        num_heads (int): Heads of the attention.
        ln_eps (float): Epsilon of the norms.
    """

    def __init__(self, embed_dims: int, num_heads: int,
                 ln_eps: float) -> None:
        super().__init__(embed_dims, num_heads, ln_eps=ln_eps)

    def forward_some(self, x: Tensor, ids: Tensor) -> Tensor:
        """What :meth:`forward` gives for some tokens, no others computed.

        Args:
            x (Tensor): All tokens, (B, N, D).
            ids (Tensor): Numbers of the wanted ones, (B, M) int64.

        Returns:
            Tensor: Shape (B, M, D).
        """
        y, qkv = self.norm1(x), self.attn.qkv
        dims, heads = x.shape[-1], (self.attn.num_heads, -1)
        parts = dims, 2 * dims
        (q_weight, kv_weight), (q_bias, kv_bias) = qkv.weight.split(
            parts), qkv.bias.split(parts)
        # (B, M, D) -> (B, M, heads, d) -> (B, heads, M, d)
        q = fast_linear(gather_patches(y, ids), q_weight, q_bias)
        q = q.unflatten(-1, heads).transpose(1, 2)
        # (B, N, 2D) -> (B, N, 2, heads, d) -> 2 of (B, heads, N, d)
        k, v = fast_linear(y, kv_weight, kv_bias).unflatten(
            -1, (2, *heads)).permute(2, 0, 3, 1, 4).unbind(0)
        # (B, heads, M, d) -> (B, M, heads, d) -> (B, M, D)
        y = attend(q, k, v).transpose(1, 2).flatten(2)
        x = gather_patches(x, ids) + run_linear(self.attn.proj, y)
        return MlpBlock.forward(self, x)


class PixelHead(nn.Module):
    """Three level embeddings, mask tokens, a transformer, pixels.

    Source: "Integrally Pre-Trained Transformer Pyramid Networks", CVPR 2023
    (arXiv 2211.12735), section 3, in the form that was released. Its steps
    are :meth:`embed`, :meth:`fill`, :meth:`decode` and :meth:`predict`.

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
        ValueError: If ``embed_dims`` is no multiple of 16 or ``depth`` is
            below 1.
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
        if depth < 1:
            raise ValueError(f'depth of the decoder is {depth}; expected 1 '
                             'block or more')
        self.grid = tuple(grid)
        self.embed_dims = embed_dims
        self.mask_token = nn.Parameter(torch.zeros(1, 1, embed_dims))
        self.decoder_pos_embed = nn.Parameter(
            sincos_position(embed_dims, self.grid), requires_grad=False)
        self.decoder_embed = level_embeddings(in_channels, embed_dims, ln_eps)
        self.decoder_blocks = nn.ModuleList(
            DecoderBlock(embed_dims, num_heads, ln_eps)
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

    def decode(self, tokens: Tensor, ids: Tensor) -> Tensor:
        """The decoder with its norm.

        Args:
            tokens (Tensor): All patches, (B, N, D).
            ids (Tensor): The patches that are wanted, (B, M) int64. The last
                block is computed for them alone.

        Returns:
            Tensor: Shape (B, M, D).
        """
        *blocks, last = self.decoder_blocks
        for block in blocks:
            tokens = block(tokens)
        return self.decoder_norm(last.forward_some(tokens, ids))

    def predict(self, tokens: Tensor) -> Tensor:
        """Decoded tokens (B, M, D) to normalised pixels (B, M, 256 * C)."""
        return run_linear(self.decoder_pred, tokens)


def pixel_loss(pred: Tensor, images: Tensor, grid: Grid,
               ids: Tensor) -> Tensor:
    """Mean squared error over the hidden patches.

    Args:
        pred (Tensor): Normalised pixels of these, (B, M, 256 * C).
        images (Tensor): (B, C, H, W).
        grid (tuple[int, int]): Patches of the image, (Hp, Wp).
        ids (Tensor): The hidden patches, (B, M) int64.

    Returns:
        Tensor: A scalar, float32.
    """
    return F.mse_loss(pred.float(), patch_targets(images, grid, ids)[0])
