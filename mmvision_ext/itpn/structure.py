"""What the iTPN backbone is made of: parts, modes, names, loading."""

from typing import List, Optional, Sequence, Tuple, Type, Union

import torch
from torch import nn

from .arch import ITPNArch, resolve_arch
from .blocks import (
    AttentionBlock,
    MlpBlock,
    PatchEmbed,
    PatchMerge,
    init_linear,
)
from .loading import fit_tables
from .position import sincos_position

#: Pixels a side of what becomes one token of the last stage.
PATCH = 16

OUT_TYPES = ('featmap', 'avg_featmap')
POS_INITS = ('trunc_normal', 'sincos')


class ITPNStructure(nn.Module):
    """The backbone without its paths; :class:`ITPNNetwork` adds them.

    :class:`mmvision_ext.itpn.ITPN` documents the arguments, all of which
    are taken here but ``init_cfg``.
    """

    num_stages = 3

    #: What a network of another family replaces: its architectures, parts,
    #: and the name and the rule (see :func:`resize_position`) of its position
    #: embedding.
    resolve_arch = staticmethod(resolve_arch)
    patch_embed_type: Type[nn.Module] = PatchEmbed
    mlp_block_type: Type[nn.Module] = MlpBlock
    merge_type: Type[nn.Module] = PatchMerge
    attention_block_type: Type[nn.Module] = AttentionBlock
    position_name = 'absolute_pos_embed'
    position_excess = 0.1

    def __init__(self,
                 arch: Union[str, dict] = 'base',
                 img_size: int = 224,
                 in_channels: int = 3,
                 pos_size: Optional[int] = None,
                 pos_init: str = 'trunc_normal',
                 rpe: str = 'none',
                 layer_scale: Optional[float] = None,
                 ln_eps: float = 1e-6,
                 drop_path_rate: float = 0.,
                 out_indices: Sequence[int] = (0, 1, 2),
                 out_type: str = 'featmap',
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 with_cp: bool = False,
                 window_size: Optional[int] = None,
                 global_indices: Optional[Sequence[int]] = None) -> None:
        super().__init__()
        self.arch_settings = self.resolve_arch(arch)
        self._check(img_size, pos_init, drop_path_rate, out_indices,
                    out_type, frozen_stages)
        self.out_indices = tuple(out_indices)
        self.out_type = out_type
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.with_cp = with_cp
        self.window_size = window_size
        self.num_features = list(self.arch_settings.stage_dims)
        self.patch_embed = self.patch_embed_type(
            in_channels, self.num_features[0], ln_eps)
        side = img_size // PATCH if pos_size is None else pos_size
        self.register_parameter(
            self.position_name,
            nn.Parameter(torch.empty(1, side * side, self.num_features[2])))
        if pos_init == 'sincos':
            with torch.no_grad():
                self.position.copy_(
                    sincos_position(self.num_features[2], (side, side)))
        else:
            nn.init.trunc_normal_(self.position, std=0.02, a=-2., b=2.)
        windows = self._windows(window_size, global_indices)
        self.blocks = nn.ModuleList(
            self._make_blocks(drop_path_rate, layer_scale, ln_eps, rpe,
                              img_size // PATCH, windows))
        if out_type == 'avg_featmap':
            self.fc_norm = nn.LayerNorm(self.num_features[2], eps=1e-6)
        self.apply(init_linear)
        self._freeze_stages()

    def _check(self, img_size: int, pos_init: str, drop_path_rate: float,
               out_indices: Sequence[int], out_type: str,
               frozen_stages: int) -> None:
        if img_size < PATCH or img_size % PATCH:
            raise ValueError(f'img_size is {img_size}; expected the side of '
                             f'a square image, a multiple of {PATCH} (images '
                             'of any size can be run all the same)')
        if pos_init not in POS_INITS:
            raise ValueError(f'pos_init is {pos_init!r}; choose one of '
                             f'{POS_INITS}')
        if not 0. <= drop_path_rate < 1.:
            raise ValueError(f'drop_path_rate is {drop_path_rate}; it must '
                             'lie in [0, 1)')
        wrong = [i for i in out_indices if i not in range(self.num_stages)]
        if wrong or not out_indices or \
                list(out_indices) != sorted(set(out_indices)):
            raise ValueError(f'out_indices is {tuple(out_indices)}; expected '
                             'rising stage numbers out of (0, 1, 2)')
        if out_type not in OUT_TYPES:
            raise ValueError(f'out_type is {out_type!r}; choose one of '
                             f'{OUT_TYPES}')
        if frozen_stages not in range(-1, self.num_stages + 1):
            raise ValueError(f'frozen_stages is {frozen_stages}; expected -1 '
                             '(none), 0 (patch and position embedding) up '
                             'to 3')

    def _windows(self, window_size: Optional[int],
                 global_indices: Optional[Sequence[int]]
                 ) -> List[Optional[int]]:
        """The window of each attention block, None where it is global."""
        depth = self.arch_settings.depths[2]
        if window_size is not None and window_size < 1:
            raise ValueError(f'window_size is {window_size}; expected at '
                             'least 1 token, or None')
        if global_indices is None:
            # the last block of each quarter
            global_indices = [depth * (i + 1) // 4 - 1 for i in range(4)]
        elif window_size is None:
            raise ValueError(
                f'global_indices is {tuple(global_indices)} without a '
                'window_size; all blocks are global then, give both or none')
        elif not set(global_indices) <= set(range(depth)):
            raise ValueError(
                f'global_indices is {tuple(global_indices)}; expected '
                f'numbers of attention blocks, 0 to {depth - 1}')
        return [
            None if i in global_indices else window_size for i in range(depth)
        ]

    def _make_blocks(self, drop_path_rate: float,
                     layer_scale: Optional[float], ln_eps: float, rpe: str,
                     rpe_size: int, windows: List[Optional[int]]
                     ) -> List[nn.Module]:
        arch: ITPNArch = self.arch_settings
        # on the CPU also where the network is built on the meta device
        rates = iter(
            torch.linspace(
                0, drop_path_rate, sum(arch.depths), device='cpu').tolist())
        blocks: List[nn.Module] = []
        for stage in (0, 1):
            dims = arch.stage_dims[stage]
            blocks += [
                self.mlp_block_type(dims, arch.mlp_ratios[stage], layer_scale,
                                    ln_eps, next(rates))
                for _ in range(arch.depths[stage])
            ]
            blocks.append(self.merge_type(dims, ln_eps))
        blocks += [
            self.attention_block_type(
                arch.embed_dims, arch.num_heads, arch.mlp_ratios[2], rpe,
                rpe_size, window, layer_scale, ln_eps, next(rates))
            for window in windows
        ]
        return blocks

    @property
    def position(self) -> nn.Parameter:
        """The absolute position embedding, (1, S * S, C)."""
        return getattr(self, self.position_name)

    def _stage(self, index: int) -> List[nn.Module]:
        """The blocks of a stage, the merge behind them included."""
        depths = self.arch_settings.depths
        start = sum(depths[:index]) + index
        return list(self.blocks)[start:start + depths[index] + 1]

    def _freeze_stages(self) -> None:
        if self.frozen_stages < 0:
            return
        self.position.requires_grad_(False)
        frozen: List[nn.Module] = [self.patch_embed]
        for i in range(self.frozen_stages):
            frozen += self._stage(i)
        for module in frozen:
            module.eval()
            for parameter in module.parameters():
                parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> 'ITPNStructure':
        """Set the mode; frozen stages and, if asked, norms stay in eval."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, (nn.LayerNorm,
                                       nn.modules.batchnorm._BatchNorm)):
                    module.eval()
        return self

    def _load_from_state_dict(self, state_dict: dict, prefix: str,
                              *args: object) -> None:
        fit_tables(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def get_layer_depth(self,
                        param_name: str,
                        prefix: str = '',
                        legacy: bool = False) -> Tuple[int, int]:
        """Depth of a parameter for layer-wise learning-rate decay.

        Args:
            param_name (str): Name of the parameter.
            prefix (str): What stands before the backbone's own names.
                Defaults to ''.
            legacy (bool): Count as the original does in detection and
                segmentation: merges are layers of their own, so the last
                block comes one layer *after* the heads, and the position
                embedding goes with the heads. Defaults to False.

        Returns:
            tuple[int, int]: Layer from 0 (patch and position embedding,
            mask token) over 1 to n (the blocks; a merge counts with the
            block before it) to n + 1 (all else); and the number of layers,
            n + 2.
        """
        num_layers = sum(self.arch_settings.depths) + 2
        if not param_name.startswith(prefix):
            return num_layers - 1, num_layers
        parts = param_name[len(prefix):].split('.')
        first = ('patch_embed', ) if legacy else (
            'patch_embed', self.position_name, 'mask_token')
        if parts[0] in first:
            return 0, num_layers
        if parts[0] != 'blocks':
            return num_layers - 1, num_layers
        index = int(parts[1])
        if legacy:
            return index + 1, num_layers
        merges = sum(
            isinstance(block, self.merge_type)
            for block in list(self.blocks)[:index + 1])
        return index + 1 - merges, num_layers
