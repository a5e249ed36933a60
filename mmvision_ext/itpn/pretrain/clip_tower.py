"""The visual tower of CLIP, as the teacher of pre-training uses it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...compat.checkpoint import CheckpointError, safe_load
from ...compat.torchscript import is_torchscript, read_torchscript

#: Width of one attention head, in every tower of CLIP.
HEAD_DIMS = 64

#: Names in a block of the released files, and of torch's encoder layer.
_LAYER_NAMES = {
    'attn.in_proj_': 'self_attn.in_proj_',
    'attn.out_proj.': 'self_attn.out_proj.',
    'ln_1.': 'norm1.',
    'ln_2.': 'norm2.',
    'mlp.c_fc.': 'linear1.',
    'mlp.c_proj.': 'linear2.',
}
_BLOCK = 'transformer.resblocks.'


def quick_gelu(x: Tensor) -> Tensor:
    """The activation of CLIP, ``x * sigmoid(1.702 x)``."""
    return x * torch.sigmoid(1.702 * x)


class CLIPVisualTower(nn.Module):
    """A vision transformer with a norm before its layers and a projection.

    Source: "Learning Transferable Visual Models From Natural Language
    Supervision", ICML 2021.

    Args:
        width (int): Channels of a token, a multiple of 64.
        depth (int): Layers.
        patch_size (int): Side of a patch in pixels.
        grid (int): Patches on a side of the image.
        out_dims (int): Channels T after the projection.
    """

    def __init__(self, width: int, depth: int, patch_size: int, grid: int,
                 out_dims: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(
            3, width, patch_size, stride=patch_size, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positional_embedding = nn.Parameter(
            torch.zeros(grid**2 + 1, width))
        self.ln_pre = nn.LayerNorm(width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width,
                width // HEAD_DIMS,
                dim_feedforward=4 * width,
                dropout=0.,
                activation=quick_gelu,
                batch_first=True,
                norm_first=True) for _ in range(depth))
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.zeros(width, out_dims))

    def forward(self, images: Tensor) -> Tensor:
        """Project every patch into the space shared with text.

        Args:
            images (Tensor): (B, 3, S, S), normalised by the mean and the
                standard deviation of CLIP.

        Returns:
            Tensor: (B, N, T), without the class token.
        """
        # (B, W, g, g) -> (B, N, W)
        x = self.conv1(images).flatten(2).transpose(1, 2)
        first = self.class_embedding.to(x.dtype).expand(x.shape[0], 1, -1)
        x = torch.cat([first, x], dim=1) + self.positional_embedding
        x = self.ln_pre(x)
        for layer in self.layers:
            x = layer(x)
        return self.ln_post(x[:, 1:]) @ self.proj


def read_clip_weights(path: Union[str, Path]) -> dict[str, Tensor]:
    """Read the visual tower out of a released file of CLIP.

    The released files are TorchScript archives; their tensors are read
    without running them. A state dict saved from such a model serves as
    well, whole or its visual part alone.

    Args:
        path (str | Path): The file.

    Returns:
        dict[str, Tensor]: In float32, under the released names without
        ``visual.``.

    Raises:
        CheckpointNotFoundError: If there is no such file.
        CheckpointError: If the file is damaged, could run code when it is
            loaded, or holds no visual transformer of CLIP.
    """
    path = os.path.expanduser(path)
    weights = read_torchscript(path) if is_torchscript(path) else safe_load(
        path)
    for key in ('state_dict', 'model'):
        if isinstance(weights, Mapping) and isinstance(
                weights.get(key), Mapping):
            weights = weights[key]
    weights = dict(weights) if isinstance(weights, Mapping) else {}
    if any(name.startswith('visual.') for name in weights):
        weights = {
            name.removeprefix('visual.'): value
            for name, value in weights.items() if name.startswith('visual.')
        }
    needed = ('conv1.weight', 'class_embedding', 'positional_embedding',
              'proj', f'{_BLOCK}0.attn.in_proj_weight')
    missing = [name for name in needed if name not in weights]
    if missing:
        raise CheckpointError(
            f'{path}: no visual transformer of CLIP, {", ".join(missing)} '
            'missing; expected a released file such as ViT-B-16.pt or '
            'ViT-L-14.pt, or a state dict with its names')
    return {
        name: value.float()
        for name, value in weights.items() if isinstance(value, Tensor)
    }


def build_clip_tower(weights: Mapping[str, Tensor],
                     img_size: int) -> CLIPVisualTower:
    """Build the tower that fits the weights.

    Args:
        weights (Mapping[str, Tensor]): As :func:`read_clip_weights` gives.
        img_size (int): Side of the images in pixels. For another size than
            that of the weights, the position embedding is resized
            bicubically.

    Returns:
        CLIPVisualTower: In eval mode, without gradients.

    Raises:
        CheckpointError: If tensors are missing, too many or of a shape that
            does not fit.
        ValueError: If the patches do not tile the image.
    """
    width, _, patch_size, _ = weights['conv1.weight'].shape
    if img_size % patch_size:
        raise ValueError(
            f'img_size is {img_size}; the teacher needs a multiple of its '
            f'patch, {patch_size} pixels')
    blocks = {
        name.split('.')[2]
        for name in weights if name.startswith(_BLOCK)
    }
    tower = CLIPVisualTower(width, len(blocks), patch_size,
                            img_size // patch_size, weights['proj'].shape[1])
    own = {_own_name(name): value for name, value in weights.items()}
    own['positional_embedding'] = _resize_positions(
        own['positional_embedding'], img_size // patch_size)
    # facts on the model that the released archives keep beside the weights
    for name in ('input_resolution', 'output_dim'):
        own.pop(name, None)
    try:
        tower.load_state_dict(own)
    except RuntimeError as error:
        raise CheckpointError(
            f'not the weights of a visual transformer of CLIP: {error}'
        ) from error
    return tower.eval().requires_grad_(False)


def _own_name(name: str) -> str:
    if not name.startswith(_BLOCK):
        return name
    number, _, rest = name.removeprefix(_BLOCK).partition('.')
    for released, own in _LAYER_NAMES.items():
        if rest.startswith(released):
            rest = own + rest.removeprefix(released)
            break
    return f'layers.{number}.{rest}'


def _resize_positions(positions: Tensor, grid: int) -> Tensor:
    """(1 + g * g, W) to (1 + grid * grid, W)."""
    side = round((positions.shape[0] - 1)**0.5)
    if side == grid:
        return positions
    # (g * g, W) -> (1, W, g, g)
    square = positions[1:].T.reshape(1, -1, side, side)
    square = F.interpolate(
        square, size=(grid, grid), mode='bicubic', align_corners=False)
    # (1, W, grid, grid) -> (grid * grid, W)
    return torch.cat([positions[:1], square.flatten(2)[0].T])
