"""The vHeat network in plain torch: stem, blocks, stages, frequency tables."""

from typing import List, Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
import torch.utils.checkpoint as cp
from torch import Tensor, nn

from ..ops import TABLE_RULES, DropPath, fused_mlp, resize_table
from ..ops.conv import can_fuse_conv, strided_conv
from ..ops.fused import is_plain, norm_of
from ..ops.normed import norm_channels_first, norm_gelu
from .arch import VHeatArch, resolve_arch
from .decay_cache import DecayCache
from .operator import HeatConduction2d
from .padding import find_valid_sizes, run_on_valid_areas


def _strided_conv(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A strided convolution of channels-last maps, (B, H, W, C)."""
    if can_fuse_conv(conv, x):
        return strided_conv(x, conv.weight, conv.bias)
    # (B, H, W, C) -> (B, C, H, W) -> (B, H', W', C'), views throughout
    return conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class PatchEmbed(nn.Module):
    """Two strided 3x3 convolutions, each with a LayerNorm, GELU between.

    Args:
        in_channels (int): Channels of the image.
        embed_dims (int): Channels after the stem, an even number.
    """

    def __init__(self, in_channels: int, embed_dims: int) -> None:
        super().__init__()
        middle = embed_dims // 2
        self.conv1 = nn.Conv2d(in_channels, middle, 3, stride=2, padding=1)
        self.norm1 = nn.LayerNorm(middle, eps=1e-6)
        self.conv2 = nn.Conv2d(middle, embed_dims, 3, stride=2, padding=1)
        self.norm2 = nn.LayerNorm(embed_dims, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, ceil(H/4), ceil(W/4), embed_dims)."""
        # (B, C, H, W) -> (B, H, W, C)
        x = x.permute(0, 2, 3, 1).contiguous()
        x = _strided_conv(self.conv1, x)
        if is_plain(self.norm1):
            x = norm_gelu(x, norm_of(self.norm1))
        else:
            x = F.gelu(self.norm1(x))
        return self.norm2(_strided_conv(self.conv2, x))


class Downsample(nn.Module):
    """Strided 3x3 convolution to twice the channels, then LayerNorm.

    Args:
        in_channels (int): Channels before; there are twice as many after.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, 2 * in_channels, 3, stride=2, padding=1, bias=False)
        self.norm = nn.LayerNorm(2 * in_channels, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, ceil(H/2), ceil(W/2), 2C)."""
        return self.norm(_strided_conv(self.conv, x))


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between.

    The layers keep torch's default initialisation, that of the 1x1
    convolutions of the original.

    Args:
        embed_dims (int): Channels in and out.
        hidden_dims (int): Channels between.
    """

    def __init__(self, embed_dims: int, hidden_dims: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(embed_dims, hidden_dims)
        self.fc2 = nn.Linear(hidden_dims, embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to (..., C)."""
        return self.fc2(F.gelu(self.fc1(x)))

    def weights(self) -> Tuple[Tensor, ...]:
        """Weight and bias of the first layer and of the second."""
        return self.fc1.weight, self.fc1.bias, self.fc2.weight, self.fc2.bias


class HeatBlock(nn.Module):
    """Heat conduction and MLP, each a residual branch.

    ``x + P(g1 HCO(LN(x)))`` in the pre-norm form and ``x + P(g1 LN(HCO(x)))``
    in the post-norm form, then the same with the MLP.

    Args:
        arch (VHeatArch): Form, MLP ratio and layer scale.
        embed_dims (int): Channels C.
        drop_path_rate (float): Stochastic depth of both branches.
        table_resize (str): See :class:`HeatConduction2d`.
        decay_cache (DecayCache): Shared by the network.
    """

    def __init__(self, arch: VHeatArch, embed_dims: int,
                 drop_path_rate: float, table_resize: str,
                 decay_cache: DecayCache) -> None:
        super().__init__()
        self.post_norm = arch.post_norm
        self.norm1 = nn.LayerNorm(embed_dims, eps=1e-5)
        self.op = HeatConduction2d(
            embed_dims, table_resize=table_resize, decay_cache=decay_cache)
        self.norm2 = nn.LayerNorm(embed_dims, eps=1e-5)
        self.mlp = Mlp(embed_dims, int(embed_dims * arch.mlp_ratio))
        self.drop_path = DropPath(drop_path_rate)
        self.gamma1 = self.gamma2 = None
        if arch.layer_scale is not None:
            self.gamma1 = nn.Parameter(
                torch.full((embed_dims, ), arch.layer_scale))
            self.gamma2 = nn.Parameter(
                torch.full((embed_dims, ), arch.layer_scale))

    def forward(self, x: Tensor, freq_embed: Tensor) -> Tensor:
        """(B, H, W, C) and a table (R_h, R_w, C) to (B, H, W, C)."""
        if is_plain(self.norm1, self.norm2, self.mlp.fc1, self.mlp.fc2) \
                and self.op.can_fuse():
            return self._fused(x, freq_embed)
        if self.post_norm:
            y = self.norm1(self.op.mix(x, freq_embed))
        else:
            y = self.op.mix(self.norm1(x), freq_embed)
        x = x + self._scale(y, self.gamma1)
        if self.post_norm:
            y = self.norm2(self.mlp(x))
        else:
            y = self.mlp(self.norm2(x))
        return x + self._scale(y, self.gamma2)

    def _fused(self, x: Tensor, freq_embed: Tensor) -> Tensor:
        norms = norm_of(self.norm1), norm_of(self.norm2)
        drops = self.training and self.drop_path.drop_prob > 0.
        for i, gamma in enumerate((self.gamma1, self.gamma2)):
            pre, post = (None, norms[i]) if self.post_norm else (
                norms[i], None)
            added = None if drops else x
            if i == 0:
                y = self.op.fused(x, freq_embed, pre, post, gamma, added)
            else:
                y = fused_mlp(x, self.mlp.weights(), pre, post, gamma, added)
            x = x + self.drop_path(y) if drops else y
        return x

    def _scale(self, y: Tensor, gamma: Optional[Tensor]) -> Tensor:
        return self.drop_path(y if gamma is None else y * gamma)


class HeatStage(nn.Module):
    """The blocks of one resolution and the step to the next.

    Args:
        blocks (list[HeatBlock]): In order.
        downsample (Downsample, optional): None in the last stage.
        table_resize (str): See :class:`HeatConduction2d`.
        with_cp (bool): Recompute each block once in the backward pass.
    """

    def __init__(self, blocks: List[HeatBlock],
                 downsample: Optional[Downsample], table_resize: str,
                 with_cp: bool) -> None:
        super().__init__()
        self.table_resize = table_resize
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample
        self.with_cp = with_cp

    def forward(self, x: Tensor, freq_embed: Tensor) -> Tensor:
        """The map before the downsampling, (B, H, W, C)."""
        if torch.is_grad_enabled():
            # once for all blocks; without gradients they keep decay maps
            freq_embed = resize_table(freq_embed, x.shape[1:3],
                                      self.table_resize)
        for block in self.blocks:
            if self.with_cp and torch.is_grad_enabled():
                x = cp.checkpoint(block, x, freq_embed, use_reentrant=False)
            else:
                x = block(x, freq_embed)
        return x


class VHeatNetwork(nn.Module):
    """vHeat without any framework around it.

    :class:`mmvision_ext.vheat.VHeat` documents the arguments, all of which
    are taken here but ``init_cfg``.
    """

    num_stages = 4

    def __init__(self,
                 arch: Union[str, dict] = 'tiny',
                 img_size: Union[int, Tuple[int, int]] = 224,
                 in_channels: int = 3,
                 table_resize: str = 'bicubic',
                 table_load: str = 'pad',
                 drop_path_rate: float = 0.,
                 out_indices: Sequence[int] = (0, 1, 2, 3),
                 out_norm: bool = True,
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 with_cp: bool = False,
                 ignore_padding: bool = False) -> None:
        super().__init__()
        self.arch_settings = resolve_arch(arch)
        self._check(img_size, table_load, drop_path_rate, out_indices,
                    frozen_stages)
        self.table_load = table_load
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.ignore_padding = ignore_padding
        self.decay_cache = DecayCache()
        embed_dims = self.arch_settings.embed_dims
        self.num_features = [embed_dims << i for i in range(self.num_stages)]
        self.patch_embed = PatchEmbed(in_channels, embed_dims)
        self.freq_embed = nn.ParameterList(self._tables(img_size))
        self.stages = nn.ModuleList(
            self._stages(drop_path_rate, table_resize, with_cp))
        if out_norm:
            for i in self.out_indices:
                self.add_module(f'norm{i}',
                                nn.LayerNorm(self.num_features[i], eps=1e-5))
        self.out_norm = out_norm
        self._freeze_stages()

    def _check(self, img_size: Union[int, Tuple[int, int]], table_load: str,
               drop_path_rate: float, out_indices: Sequence[int],
               frozen_stages: int) -> None:
        sides = (img_size, ) if isinstance(img_size, int) else tuple(img_size)
        if len(sides) not in (1, 2) or min(sides) < 4:
            raise ValueError(f'img_size is {img_size}; expected one side or '
                             '(height, width) in pixels, at least 4')
        if table_load not in TABLE_RULES:
            raise ValueError(f'table_load is {table_load!r}; choose one of '
                             f'{TABLE_RULES}')
        if not 0. <= drop_path_rate < 1.:
            raise ValueError(f'drop_path_rate is {drop_path_rate}; it must '
                             'lie in [0, 1)')
        wrong = [i for i in out_indices if i not in range(self.num_stages)]
        if wrong or not out_indices or \
                list(out_indices) != sorted(set(out_indices)):
            raise ValueError(f'out_indices is {tuple(out_indices)}; expected '
                             'rising stage numbers out of (0, 1, 2, 3)')
        if frozen_stages not in range(-1, self.num_stages):
            raise ValueError(f'frozen_stages is {frozen_stages}; expected -1 '
                             '(none), 0 (stem and first stage) up to 3')

    def _tables(self, img_size: Union[int, Tuple[int, int]]
                ) -> List[nn.Parameter]:
        height, width = (img_size, img_size) if isinstance(
            img_size, int) else img_size
        tables = []
        for i, channels in enumerate(self.num_features):
            table = nn.Parameter(
                torch.empty(
                    max(height // 4 >> i, 1), max(width // 4 >> i, 1),
                    channels))
            nn.init.trunc_normal_(table, std=0.02, a=-2., b=2.)
            tables.append(table)
        return tables

    def _stages(self, drop_path_rate: float, table_resize: str,
                with_cp: bool) -> List[HeatStage]:
        arch = self.arch_settings
        # on the CPU also where the network is built on the meta device
        rates = iter(
            torch.linspace(
                0, drop_path_rate, sum(arch.depths), device='cpu').tolist())
        stages = []
        for depth, channels in zip(arch.depths, self.num_features):
            blocks = [
                HeatBlock(arch, channels, next(rates), table_resize,
                          self.decay_cache) for _ in range(depth)
            ]
            last = len(stages) == self.num_stages - 1
            stages.append(
                HeatStage(blocks, None if last else Downsample(channels),
                          table_resize, with_cp))
        return stages

    def _freeze_stages(self) -> None:
        if self.frozen_stages < 0:
            return
        frozen: List[nn.Module] = [self.patch_embed]
        for i in range(self.frozen_stages + 1):
            self.freq_embed[i].requires_grad_(False)
            frozen.append(self.stages[i])
            if self.out_norm and i in self.out_indices:
                frozen.append(getattr(self, f'norm{i}'))
        for module in frozen:
            module.eval()
            for parameter in module.parameters():
                parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> 'VHeatNetwork':
        """Set the mode; frozen stages and, if asked, norms stay in eval."""
        super().train(mode)
        self.decay_cache.clear()
        self._freeze_stages()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, (nn.LayerNorm,
                                       nn.modules.batchnorm._BatchNorm)):
                    module.eval()
        return self

    def forward(
        self,
        x: Tensor,
        valid_sizes: Optional[Sequence[Tuple[int, int]]] = None
    ) -> Tuple[Tensor, ...]:
        """Maps of the stages in ``out_indices``, fine to coarse.

        Args:
            x (Tensor): Images of shape (B, in_channels, H, W), any H and W.
            valid_sizes (Sequence[tuple[int, int]], optional): Height and
                width, in pixels, of each image inside a padded canvas. What
                lies outside has no influence then, and its features are 0.
                By default the whole canvas, or with ``ignore_padding`` what
                is not padding.

        Returns:
            tuple[Tensor]: Shapes (B, C_i, ceil(H/s), ceil(W/s)) for the
            strides s = 4, 8, 16 and 32.

        Raises:
            ValueError: If ``x`` is not a batch of images or ``valid_sizes``
                does not fit it.
        """
        channels = self.patch_embed.conv1.in_channels
        if x.ndim != 4 or x.shape[1] != channels:
            raise ValueError(f'input of shape {tuple(x.shape)}; expected '
                             f'images of shape (B, {channels}, H, W)')
        if valid_sizes is None and self.ignore_padding:
            valid_sizes = find_valid_sizes(x)
        if valid_sizes is None:
            return self._forward(x)
        strides = [4 << i for i in self.out_indices]
        return run_on_valid_areas(self._forward, x, valid_sizes, strides)

    def _forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        x = self.patch_embed(x)
        outs = []
        for i, stage in enumerate(self.stages):
            x = stage(x, self.freq_embed[i])
            if i in self.out_indices:
                outs.append(self._channels_first(x, i))
            if i == self.out_indices[-1]:
                break
            x = stage.downsample(x)
        return tuple(outs)

    def _channels_first(self, x: Tensor, stage: int) -> Tensor:
        norm = getattr(self, f'norm{stage}') if self.out_norm else None
        if norm is None or is_plain(norm):
            return norm_channels_first(x, norm and norm_of(norm))
        return norm(x).permute(0, 3, 1, 2).contiguous()  # to (B, C, H, W)

    def _load_from_state_dict(self, state_dict: dict, prefix: str,
                              *args: object) -> None:
        for i, table in enumerate(self.freq_embed):
            key = f'{prefix}freq_embed.{i}'
            loaded = state_dict.get(key)
            # Anything but another grid is left to the usual error.
            if isinstance(loaded, Tensor) and loaded.ndim == 3 and \
                    loaded.shape[2] == table.shape[2]:
                state_dict[key] = resize_table(loaded, table.shape[:2],
                                               self.table_load)
        super()._load_from_state_dict(state_dict, prefix, *args)
        self.decay_cache.clear()

    def get_layer_depth(self,
                        param_name: str,
                        prefix: str = '') -> Tuple[int, int]:
        """Depth of a parameter for layer-wise learning-rate decay.

        Args:
            param_name (str): Name of the parameter.
            prefix (str): What stands before the backbone's own names.
                Defaults to ''.

        Returns:
            tuple[int, int]: Layer from 0 (stem) over 1 to sum(depths) (the
            blocks; a downsampling counts with the block before it, a
            frequency table with the first block of its stage) to
            sum(depths) + 1 (all else); and the number of layers,
            sum(depths) + 2.
        """
        depths = self.arch_settings.depths
        num_layers = sum(depths) + 2
        if not param_name.startswith(prefix):
            return num_layers - 1, num_layers
        parts = param_name[len(prefix):].split('.')
        if parts[0] == 'patch_embed':
            return 0, num_layers
        if parts[0] not in ('stages', 'freq_embed'):
            return num_layers - 1, num_layers
        before = sum(depths[:int(parts[1])])
        if parts[0] == 'freq_embed':
            return before + 1, num_layers
        if parts[2] == 'downsample':
            return before + depths[int(parts[1])], num_layers
        return before + int(parts[3]) + 1, num_layers
