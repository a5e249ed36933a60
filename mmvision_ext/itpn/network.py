"""The iTPN backbone in plain torch: dense and masked paths."""

from typing import List, Optional, Sequence, Tuple, Type, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops.dct import is_graph_capture
from .arch import ITPNArch, resolve_arch
from .blocks import (
    AttentionBlock,
    MlpBlock,
    PatchEmbed,
    PatchMerge,
    init_linear,
    run_block,
)
from .loading import fit_tables
from .position import Size, resize_position, sincos_position

#: Pixels a side of what becomes one token of the last stage.
PATCH = 16

OUT_TYPES = ('featmap', 'avg_featmap')
POS_INITS = ('trunc_normal', 'sincos')


class ITPNNetwork(nn.Module):
    """iTPN without any framework around it.

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
        if global_indices is None:
            # the last block of each quarter
            global_indices = [depth * (i + 1) // 4 - 1 for i in range(4)]
        wrong = [i for i in global_indices if i not in range(-1, depth)]
        if wrong:
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

    def train(self, mode: bool = True) -> 'ITPNNetwork':
        """Set the mode; frozen stages and, if asked, norms stay in eval."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, (nn.LayerNorm,
                                       nn.modules.batchnorm._BatchNorm)):
                    module.eval()
        return self

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Maps of the stages in ``out_indices``, fine to coarse.

        Args:
            x (Tensor): Images of shape (B, in_channels, H, W), any H and W;
                zeros are added inside up to multiples of 16.

        Returns:
            tuple[Tensor]: Shapes (B, C_i, ceil(H/s), ceil(W/s)) for the
            strides s = 4, 8 and 16; or, with ``out_type='avg_featmap'``, one
            tensor of shape (B, C).

        Raises:
            ValueError: If ``x`` is not a batch of images.
        """
        size = self._image_size(x)
        x = self.patch_embed(_pad(x, size))  # (B, H/4, W/4, C/4)
        last = self.num_stages - 1 if self.out_type == 'avg_featmap' \
            else self.out_indices[-1]
        maps = []
        for i in range(last + 1):
            if i == 2:
                grid = (x.shape[1], x.shape[2])
                # (B, h, w, C) -> (B, N, C) -> (B, h, w, C)
                x, _ = self._run_tokens(x.flatten(1, 2), grid)
                x = x.unflatten(1, grid)
                maps.append(x)
                break
            *blocks, merge = self._stage(i)
            x = self._run(blocks, x)
            maps.append(x)
            if i < last:
                x = self._run([merge], x)
        if self.out_type == 'avg_featmap':
            return (self.fc_norm(x.mean((1, 2))), )
        return tuple(
            _to_nchw(maps[i], size, PATCH >> (2 - i))
            for i in self.out_indices)

    def forward_visible(self, images: Tensor,
                        ids_keep: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Features of some patches; the others are not computed.

        Args:
            images (Tensor): Shape (B, in_channels, H, W), multiples of 16.
            ids_keep (Tensor): Row-major numbers of the 16 x 16 patches to
                compute, shape (B, K), int64.

        Returns:
            tuple[Tensor, Tensor, Tensor]: Of the three stages:
            (B, K, 4, 4, C/4), (B, K, 2, 2, C/2) and (B, K, C). The position
            embedding is sampled as :func:`resize_position` says for K
            tokens, as in the released pre-training.

        Raises:
            ValueError: If a size is no multiple of 16 or there are windows.
        """
        grid = self._grid(images)
        if self.window_size is not None:
            raise ValueError(f'window_size is {self.window_size}; windows '
                             'are not defined for a part of the patches, '
                             'build the network without')
        x = _take_patches(images, grid, ids_keep)  # (B, K, C, 16, 16)
        f1, f2, x = self._run_cells(self.patch_embed(x))
        # (B, K, 1, 1, C) -> (B, K, C)
        x, _ = self._run_tokens(x.flatten(2, 3).squeeze(2), grid, ids_keep)
        return f1, f2, x

    def forward_replaced(self,
                         images: Tensor,
                         mask: Tensor,
                         mask_token: Tensor,
                         mask_stride: int = PATCH,
                         aux_index: Optional[int] = None
                         ) -> Tuple[Tensor, ...]:
        """Features of all patches, some of which were replaced.

        Args:
            images (Tensor): Shape (B, in_channels, H, W), multiples of 16.
            mask (Tensor): True for each patch to replace, shape (B, N),
                bool, row-major.
            mask_token (Tensor): What stands in for it: shape (1, 1, C) with
                a stride of 16, (1, 1, 4C) with a stride of 4.
            mask_stride (int): Where to replace. 16: tokens before the last
                stage, as released for CLIP targets; the first two stages
                see the whole image. 4: cells of 4 x 4 behind the patch
                embedding, ``mask_token`` being (C/4, 4, 4) flattened; no
                stage sees what is masked. Defaults to 16.
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
        grid = self._grid(images)
        num_tokens = grid[0] * grid[1]
        if mask.shape != (images.shape[0], num_tokens):
            raise ValueError(
                f'mask of shape {tuple(mask.shape)}; expected '
                f'({images.shape[0]}, {num_tokens}) for {grid[0]} x '
                f'{grid[1]} patches')
        if mask_stride not in (4, PATCH):
            raise ValueError(f'mask_stride is {mask_stride}; choose 4 or 16')
        # (B, H/4, W/4, C/4) -> (B, h, 4, w, 4, C/4) -> (B, N, 4, 4, C/4)
        x = self.patch_embed(images)
        x = x.unflatten(2, (grid[1], 4)).unflatten(1, (grid[0], 4))
        x = x.transpose(2, 3).flatten(1, 2)
        if mask_stride == 4:
            # (1, 1, 4C) -> (1, 1, C/4, 4, 4) -> (1, 1, 4, 4, C/4)
            cell = mask_token.unflatten(-1, (-1, 4, 4)).movedim(2, -1)
            x = torch.where(mask[:, :, None, None, None], cell.to(x), x)
        f1, f2, x = self._run_cells(x)
        x = x.flatten(2, 3).squeeze(2)  # (B, N, 1, 1, C) -> (B, N, C)
        if mask_stride == PATCH:
            x = torch.where(mask[..., None], mask_token.to(x), x)
        x, aux = self._run_tokens(x, grid, aux_index=aux_index)
        return (f1, f2, x) if aux is None else (f1, f2, x, aux)

    def _run(self, blocks: Sequence[nn.Module], x: Tensor) -> Tensor:
        for block in blocks:
            x = run_block(block, self.with_cp, x)
        return x

    def _run_cells(self, x: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Stages 1 and 2 on (B, K, 4, 4, C/4); last is (B, K, 1, 1, C)."""
        *blocks, merge = self._stage(0)
        f1 = self._run(blocks, x)
        x = self._run([merge], f1)
        *blocks, merge = self._stage(1)
        f2 = self._run(blocks, x)
        return f1, f2, self._run([merge], f2)

    def _run_tokens(self,
                    x: Tensor,
                    grid: Size,
                    ids: Optional[Tensor] = None,
                    aux_index: Optional[int] = None
                    ) -> Tuple[Tensor, Optional[Tensor]]:
        """Position embedding and stage 3 on (B, N, C)."""
        position = resize_position(self.position, grid, x.shape[1],
                                   self.position_excess)
        if ids is not None:
            position = position[0][ids]  # (N, C) at (B, K) -> (B, K, C)
        x = x + position
        aux = None
        for i, block in enumerate(self._stage(2)):
            x = run_block(block, self.with_cp, x, grid, ids)
            if i == aux_index:
                aux = x
        return x, aux

    def _image_size(self, x: Tensor) -> Size:
        channels = self.patch_embed.proj.in_channels
        if x.ndim != 4 or x.shape[1] != channels:
            raise ValueError(f'input of shape {tuple(x.shape)}; expected '
                             f'images of shape (B, {channels}, H, W)')
        if torch.jit.is_tracing():  # sizes are tensors there
            return int(x.shape[2]), int(x.shape[3])
        return x.shape[2], x.shape[3]

    def _grid(self, images: Tensor) -> Size:
        """Patches along height and width, of images without padding."""
        height, width = self._image_size(images)
        if height % PATCH or width % PATCH:
            raise ValueError(f'masked images of {height} x {width} pixels; '
                             f'expected multiples of {PATCH}, crop or pad '
                             'them first')
        return height // PATCH, width // PATCH

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


def _pad(x: Tensor, size: Size) -> Tensor:
    """Zeros at the bottom and on the right, up to multiples of 16."""
    bottom, right = -size[0] % PATCH, -size[1] % PATCH
    if is_graph_capture() or bottom or right:
        return F.pad(x, (0, right, 0, bottom))
    return x


def _to_nchw(x: Tensor, size: Size, stride: int) -> Tensor:
    """(B, h, w, C) to (B, C, ceil(H / stride), ceil(W / stride))."""
    height, width = (-(-side // stride) for side in size)
    # Operators of detection read contiguous maps.
    return x[:, :height, :width].permute(0, 3, 1, 2).contiguous()


def _take_patches(images: Tensor, grid: Size, ids: Tensor) -> Tensor:
    """Pixels (B, K, C, 16, 16) of the patches with the numbers ``ids``."""
    # (B, C, H, W) -> (B, C, h, 16, w, 16)
    cells = images.unflatten(3, (grid[1], PATCH)).unflatten(
        2, (grid[0], PATCH))
    batch = torch.arange(images.shape[0], device=images.device)[:, None]
    return cells[batch, :, ids // grid[1], :, ids % grid[1]]
