"""The vHeat network in plain torch, of blocks and frequency tables."""

from typing import List, Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import TABLE_RULES, resize_table
from ..ops.fused import is_plain, norm_of
from ..ops.normed import norm_channels_first
from .arch import resolve_arch
from .blocks import Downsample, HeatBlock, HeatStage, PatchEmbed
from .decay_cache import DecayCache
from .deploy import check_sizes, freeze_decay, pick_bucket, token_sizes
from .padding import find_valid_sizes, run_on_valid_areas


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
        self.freq_embed: Optional[nn.ParameterList] = nn.ParameterList(
            self._tables(img_size))
        self.deploy_sizes: List[Tuple[int, int]] = []
        self.deploy_pad = False
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

    def switch_to_deploy(self,
                         sizes: Sequence[Tuple[int, int]],
                         pad: bool = False) -> None:
        """Keep what inference at known sizes needs, for good.

        The decay maps of each block take the place of the tables and layers
        that they come from: the released network's form for inference, at
        any number of sizes. The state dict changes with it; a network of the
        same arguments and sizes loads it. ``torch.compile`` makes a graph a
        size, and with one a CUDA graph can be captured.

        Args:
            sizes (Sequence[tuple[int, int]]): Height and width in pixels of
                the images that will come.
            pad (bool): Run other images at the smallest of the sizes that
                holds them, with zeros at the right and the bottom, which
                the global transform sees. By default they are refused.

        Raises:
            ValueError: If the sizes are wrong or the network is deployed.
        """
        if self.deploy_sizes:
            raise ValueError('the network is deployed already; build it anew '
                             'for other sizes')
        checked = check_sizes(sizes)
        per_stage = list(zip(*(token_sizes(size, self.num_stages)
                               for size in checked)))
        for stage, table, maps in zip(self.stages, self.freq_embed,
                                      per_stage):
            for block in stage.blocks:
                freeze_decay(block.op, table, dict.fromkeys(maps))
        self.freq_embed = None
        self.deploy_sizes = checked
        self.deploy_pad = pad
        self.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> 'VHeatNetwork':
        """Set the mode; frozen stages and, if asked, norms stay in eval.

        Args:
            mode (bool): True to train. Defaults to True.

        Returns:
            VHeatNetwork: Itself.

        Raises:
            ValueError: If the network is deployed and is to be trained.
        """
        if mode and self.deploy_sizes:
            raise ValueError('the network is deployed (switch_to_deploy) and '
                             'cannot be trained; build it anew')
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
            return self._forward_deployed(x) if self.deploy_sizes \
                else self._forward(x)
        strides = [4 << i for i in self.out_indices]
        run = self._forward_deployed if self.deploy_sizes else self._forward
        return run_on_valid_areas(run, x, valid_sizes, strides)

    def _forward_deployed(self, x: Tensor) -> Tuple[Tensor, ...]:
        size = (x.shape[2], x.shape[3])
        bucket = pick_bucket(size, self.deploy_sizes, self.deploy_pad)
        if bucket == size:
            return self._forward(x)
        x = F.pad(x, (0, bucket[1] - size[1], 0, bucket[0] - size[0]))
        wanted = token_sizes(size, self.num_stages)
        return tuple(out[:, :, :wanted[i][0], :wanted[i][1]].contiguous()
                     for i, out in zip(self.out_indices, self._forward(x)))

    def _forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        x = self.patch_embed(x)
        outs = []
        for i, stage in enumerate(self.stages):
            x = stage(x, self.freq_embed[i] if self.freq_embed else None)
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
        for i, table in enumerate(self.freq_embed or ()):
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
