"""What the names and shapes of an official file say about its network.

Needs torch alone.
"""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Optional

from torch import Tensor

from ..engine.convert import ConversionError, shorten
from .arch import ARCH_ZOO, FAST_ARCH_ZOO, ITPNArch

#: First parts of the names of the pyramid.
PYRAMID = ('align_dim_16tofpn', 'align_dim_16to8', 'align_dim_8to4',
           'split_16to8', 'split_8to4', 'block_16to8', 'block_8to4',
           'fpn_modules')

_TABLES = {
    'table': r'blocks\.\d+\.attn\.relative_position_bias_table',
    'decomposed': r'blocks\.\d+\.attn\.rel_pos_[hw]',
}


@dataclass(frozen=True)
class OfficialPyramid:
    """The pyramid of an official file.

    Args:
        width (int): Channels F of its levels.
        depth (int): Blocks behind each sum of the top-down path.
        mlp_ratio (float): Hidden channels over channels in its blocks.
    """

    width: int
    depth: int
    mlp_ratio: float


@dataclass(frozen=True)
class OfficialNetwork:
    """The backbone, and perhaps the pyramid, of an official file.

    Args:
        fast (bool): Whether it is a Fast-iTPN.
        arch (ITPNArch): The architecture.
        heads_read (bool): Whether the number of heads was in the file.
        in_channels (int): Channels of the image.
        position_side (int): Tokens on a side of the absolute position
            embedding.
        rpe (str): 'none', 'table' or 'decomposed'.
        rpe_side (int): Tokens on a side of the map that the relative tables
            are for; ``position_side`` without any.
        layer_scale (bool): Whether the branches have learnt scales.
        pyramid (OfficialPyramid, optional): None in a file without.
    """

    fast: bool
    arch: ITPNArch
    heads_read: bool
    in_channels: int
    position_side: int
    rpe: str
    rpe_side: int
    layer_scale: bool
    pyramid: Optional[OfficialPyramid]

    @property
    def arch_name(self) -> Optional[str]:
        """Name of the architecture among the known ones, if it has one."""
        zoo = FAST_ARCH_ZOO if self.fast else ARCH_ZOO
        return next((n for n, a in zoo.items() if a == self.arch), None)

    def backbone_config(self, ln_eps: float) -> dict[str, Any]:
        """Config from which ``MODELS`` builds the backbone.

        Args:
            ln_eps (float): Epsilon of the norms.

        Returns:
            dict: Without what depends on the task.
        """
        config = dict(
            type='mmvision_ext.FastITPN' if self.fast else
            'mmvision_ext.ITPN',
            arch=self.arch_name or asdict(self.arch),
            img_size=16 * self.rpe_side,
            in_channels=self.in_channels,
            layer_scale=0.1 if self.layer_scale else None,
            ln_eps=ln_eps)
        if not self.fast:
            config['rpe'] = self.rpe
            if self.position_side != self.rpe_side:
                config['pos_size'] = self.position_side
        return config

    def neck_config(self, ln_eps: float) -> dict[str, Any]:
        """Config from which ``MODELS`` builds the pyramid.

        Args:
            ln_eps (float): Epsilon of the norms.

        Returns:
            dict: Without what depends on the task.
        """
        config = dict(
            type='mmvision_ext.FastITPNPyramid' if self.fast else
            'mmvision_ext.ITPNPyramid',
            in_channels=list(self.arch.stage_dims),
            out_channels=self.pyramid.width,
            depth=self.pyramid.depth,
            ln_eps=ln_eps)
        if self.pyramid.mlp_ratio != 4.:
            config['mlp_ratio'] = self.pyramid.mlp_ratio
        return config

    def describe(self) -> str:
        """The architecture in words."""
        arch = self.arch
        heads = f'{arch.num_heads} heads'
        if not self.heads_read:
            heads += ' (not in the file)'
        parts = [
            f'{self.arch_name or "custom"}: embed_dims {arch.embed_dims}, '
            f'depths {arch.depths}, {heads}, img_size {16 * self.rpe_side}',
            ('' if self.layer_scale else 'no ') + 'layer scale',
            'no relative position' if self.rpe == 'none' else
            f'relative position by {self.rpe} of {self.rpe_side} tokens'
        ]
        if self.pyramid:
            parts.append(f'pyramid of width {self.pyramid.width} and depth '
                         f'{self.pyramid.depth}')
        return ', '.join(parts)


def size_of(tensors: Mapping[str, Tensor], name: str, ndim: int
            ) -> tuple[int, ...]:
    """Shape of a tensor of the file.

    Args:
        tensors (Mapping[str, Tensor]): The tensors of the file.
        name (str): The one asked for.
        ndim (int): Axes that it has to have.

    Returns:
        tuple[int, ...]: The shape.

    Raises:
        ConversionError: If there is no such tensor or it has other axes.
    """
    if name not in tensors:
        raise ConversionError(f'{name} is missing from the file')
    shape = tuple(tensors[name].shape)
    if len(shape) != ndim or 0 in shape:
        raise ConversionError(f'{name} has shape {shape}; expected {ndim} '
                              'axes, none of them empty')
    return shape


def default_heads(embed_dims: int, head_dims: int) -> int:
    """Heads of an attention that no shape tells.

    Args:
        embed_dims (int): Channels.
        head_dims (int): Channels of a head in the released networks.

    Returns:
        int: Heads of ``head_dims`` channels. Below 128 channels, or where
        that does not divide them, heads of 16, as small versions of the
        original have them; 1 where nothing divides.
    """
    for dims in (head_dims, 16):
        if embed_dims % dims == 0 and (embed_dims >= 128 or dims == 16):
            return embed_dims // dims
    return 1


def count_blocks(names: Collection[str], prefix: str) -> int:
    """How many numbered parts stand behind a prefix.

    Args:
        names (Collection[str]): Names of tensors.
        prefix (str): Such as 'fpn_modules'.

    Returns:
        int: The largest number and one; 0 without any.
    """
    found = [int(m[1]) for m in
             (re.match(rf'{re.escape(prefix)}\.(\d+)\.', n) for n in names)
             if m]
    return max(found, default=-1) + 1


def is_fast(names: Collection[str]) -> bool:
    """Whether names of tensors are those of a Fast-iTPN."""
    return any(re.fullmatch(r'blocks\.\d+\.attn\.q_proj\.weight', name)
               for name in names)


def read_network(tensors: Mapping[str, Tensor],
                 num_heads: Optional[int] = None) -> OfficialNetwork:
    """Read the network from the shapes.

    Args:
        tensors (Mapping[str, Tensor]): The tensors of the file.
        num_heads (int, optional): Heads of the attention. By default as
            relative position tables say, or :func:`default_heads`.

    Returns:
        OfficialNetwork: The network.

    Raises:
        ConversionError: If a part is missing or does not fit the others.
    """
    fast = is_fast(tensors)
    dims, in_channels = size_of(tensors, 'patch_embed.proj.weight', 4)[:2]
    dims *= 4
    depths = _read_depths(tensors)
    starts = (0, depths[0] + 1, depths[0] + depths[1] + 2)
    layers = ('fc1', 'fc1', 'w1' if fast else 'fc1')
    hidden = [
        size_of(tensors, f'blocks.{start}.mlp.{layer}.weight',
                4 if fast and layer == 'fc1' else 2)[0]
        for start, layer in zip(starts, layers)
    ]
    ratios = tuple(
        _ratio(h, d) for h, d in zip(hidden, (dims // 4, dims // 2, dims)))
    position = 'pos_embed' if fast else 'absolute_pos_embed'
    side = _square(size_of(tensors, position, 3)[1], position)
    rpe, rpe_side, read_heads = _read_rpe(tensors, dims, starts[2])
    if read_heads and num_heads not in (None, read_heads):
        raise ConversionError(f'num_heads is {num_heads}, but the relative '
                              f'position tables are for {read_heads} heads')
    heads = read_heads or num_heads or default_heads(dims, 64)
    try:
        arch = ITPNArch(dims, depths, heads, ratios)
    except ValueError as error:
        raise ConversionError(f'not an iTPN network: {error}') from error
    return OfficialNetwork(
        fast=fast,
        arch=arch,
        heads_read=read_heads is not None,
        in_channels=in_channels,
        position_side=side,
        rpe=rpe,
        rpe_side=rpe_side or side,
        layer_scale=any(
            re.fullmatch(r'blocks\.\d+\.gamma_[12]', n) for n in tensors),
        pyramid=_read_pyramid(tensors))


def _read_depths(tensors: Mapping[str, Tensor]) -> tuple[int, int, int]:
    number = count_blocks(tensors, 'blocks')
    merges = [i for i in range(number)
              if f'blocks.{i}.reduction.weight' in tensors]
    if len(merges) != 2:
        raise ConversionError(
            f'{len(merges)} of {number} blocks join tokens; expected 2, '
            'between the three stages')
    first, second = merges
    depths = (first, second - first - 1, number - second - 1)
    if min(depths) < 1:
        raise ConversionError(f'stage {depths.index(min(depths))} has no '
                              'blocks in the file')
    present = {int(m[1]) for m in
               (re.match(r'blocks\.(\d+)\.', n) for n in tensors) if m}
    absent = sorted(set(range(number)) - present)
    if absent:
        raise ConversionError(f'blocks {shorten(list(map(str, absent)))} of '
                              f'{number} are missing from the file')
    return depths


def _ratio(hidden: int, dims: int) -> float:
    ratio = hidden / dims
    # what the network makes of it is rounded down
    return ratio if int(dims * ratio) == hidden else math.nextafter(
        ratio, math.inf)


def _square(number: int, name: str) -> int:
    side = math.isqrt(number)
    if side * side != number:
        raise ConversionError(f'{name} has {number} entries; expected those '
                              'of a square')
    return side


def _read_rpe(tensors: Mapping[str, Tensor], dims: int, block: int
              ) -> tuple[str, Optional[int], Optional[int]]:
    """Kind, tokens on a side, heads; None where the file does not say."""
    kinds = [kind for kind, pattern in _TABLES.items()
             if any(re.fullmatch(pattern, name) for name in tensors)]
    if not kinds:
        return 'none', None, None
    if len(kinds) > 1:
        raise ConversionError('the file has two kinds of relative position')
    if kinds == ['table']:
        name = f'blocks.{block}.attn.relative_position_bias_table'
        entries, heads = size_of(tensors, name, 2)
        side = _square(entries, name)
    else:
        name = f'blocks.{block}.attn.rel_pos_h'
        side, head_dims = size_of(tensors, name, 2)
        heads = dims // head_dims
    if side % 2 == 0:
        raise ConversionError(f'{name} has {side} entries a side; expected '
                              'an odd number, 2S - 1 for S tokens')
    return kinds[0], (side + 1) // 2, heads


def _read_pyramid(tensors: Mapping[str, Tensor]) -> Optional[OfficialPyramid]:
    depth = count_blocks(tensors, 'block_16to8')
    if not depth:  # files of Fast-iTPN may hold the coarsest level alone
        return None
    name = 'fpn_modules.0.mlp.fc1.weight'
    if name not in tensors:
        raise ConversionError(f'{name} is missing from the file')
    hidden, width = tensors[name].shape[:2]
    return OfficialPyramid(width, depth, _ratio(hidden, width))
