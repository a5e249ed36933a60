"""The searchable mobile backbone."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Optional, Union

import torch
import torch.nn.functional as F
import torch.utils.checkpoint as cp
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...ops import DropPath
from ...registry import MODELS
from .mobile_arch import MobileLayer, resolve_mobile_arch, squeeze_channels


class ConvNormAct(nn.Sequential):
    """Convolution without bias, batch norm and, if asked, hard swish.

    Args:
        in_channels (int): Channels in.
        out_channels (int): Channels out.
        kernel (int): Side of the kernel, odd. Defaults to 1.
        stride (int): Defaults to 1.
        groups (int): Defaults to 1.
        act (bool): With hard swish. Defaults to True.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 1,
                 stride: int = 1, groups: int = 1, act: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride,
                              kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)
        if act:
            self.act = nn.Hardswish(inplace=True)


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate computed from the mean of all.

    Source: "Squeeze-and-Excitation Networks", CVPR 2018, with the hard
    gate of MobileNetV3.

    Args:
        channels (int): Channels of the map.
        squeezed (int): Channels between the two layers.
    """

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        gate = F.hardswish(self.reduce(x.mean((2, 3), keepdim=True)))
        return x * F.hardsigmoid(self.expand(gate))


class InvertedResidual(nn.Module):
    """A layer of the network.

    Args:
        layer (MobileLayer): Its sizes.
        drop_path_rate (float): Stochastic depth of the branch.
    """

    def __init__(self, layer: MobileLayer, drop_path_rate: float) -> None:
        super().__init__()
        middle = layer.middle
        self.residual = layer.residual
        self.expand = ConvNormAct(layer.in_channels, middle) \
            if layer.expansion > 1 else None
        self.depthwise = ConvNormAct(middle, middle, layer.kernel,
                                     layer.stride, groups=middle)
        self.se = SqueezeExcite(
            middle, squeeze_channels(layer.in_channels)) if layer.se else None
        self.project = ConvNormAct(middle, layer.out_channels, act=False)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', ceil(H/stride), ceil(W/stride))."""
        y = x if self.expand is None else self.expand(x)
        y = self.depthwise(y)
        y = y if self.se is None else self.se(y)
        y = self.project(y)
        return x + self.drop_path(y) if self.residual else y


@MODELS.register_module()
class SearchableMobileNet(BaseModule):
    """A mobile network whose every size is a setting.

    The layers and the default space are those of FBNetV3 ("FBNetV3: Joint
    Architecture-Recipe Search using Predictor Pretraining", CVPR 2021):
    inverted residuals with hard swish and a last 1x1 convolution in front of
    the pooling. That MA2ML searched kernel, width, depth and resolution in a
    space of this type is published; its exact table is not.
    :class:`mmvision_ext.ma2ml.spaces.MobileSpace` makes the decisions.

    Args:
        arch (str | dict): A name of :data:`ARCH_ZOO` ('fbnetv3-a', 'small',
            'large') or the arguments of :class:`MobileArch`. Defaults to
            'fbnetv3-a'.
        in_channels (int): Channels of the image. Defaults to 3.
        drop_path_rate (float): Stochastic depth of the last layer; it rises
            linearly from 0. Defaults to 0.
        out_indices (Sequence[int], optional): What is returned: 0 to 6 are
            the stages (strides 2, 4, 8, 16, 16, 32, 32), 7 is the last 1x1
            convolution. What lies behind the last of them is not built. By
            default (7, ), for a classifier.
        frozen_stages (int): Freeze the stem and the stages up to this one;
            -1 freezes nothing. Defaults to -1.
        norm_eval (bool): Keep batch norms in eval mode while training.
            Defaults to False.
        with_cp (bool): Recompute each layer in the backward pass instead of
            keeping its activations. Batch norms then see each batch twice.
            Defaults to False.
        channels_last (bool): Keep maps and kernels with the channels last
            in memory: half the time on CPUs, and with mixed precision on
            GPUs. Outputs are the same to rounding. Defaults to False.
        init_cfg (dict | list[dict], optional): Weights to start from, as
            everywhere in mmengine. Defaults to None.

    Raises:
        ValueError: If a value is out of its range or unknown.
    """

    def __init__(self,
                 arch: Union[str, Mapping] = 'fbnetv3-a',
                 in_channels: int = 3,
                 drop_path_rate: float = 0.,
                 out_indices: Optional[Sequence[int]] = None,
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 with_cp: bool = False,
                 channels_last: bool = False,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.arch_settings = resolve_mobile_arch(arch)
        stages = self.arch_settings.num_stages
        self.out_indices = (stages, ) if out_indices is None else \
            tuple(out_indices)
        self.in_channels = in_channels
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.with_cp = with_cp
        self.memory_format = torch.channels_last if channels_last else \
            torch.contiguous_format
        self._check(drop_path_rate)
        self._build(drop_path_rate)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # a kernel of a depthwise convolution feeds one channel
                fan = module.weight[0, 0].numel() * (
                    module.out_channels // module.groups)
                nn.init.normal_(module.weight, std=(2 / fan)**0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.to(memory_format=self.memory_format)
        self._freeze()

    def _check(self, drop_path_rate: float) -> None:
        stages = self.arch_settings.num_stages
        if not 0. <= drop_path_rate < 1.:
            raise ValueError(f'drop_path_rate is {drop_path_rate}; it must '
                             'lie in [0, 1)')
        outs = self.out_indices
        if not outs or list(outs) != sorted(set(outs)) or \
                set(outs) - set(range(stages + 1)):
            raise ValueError(
                f'out_indices is {outs}; expected rising numbers from 0 to '
                f'{stages - 1} for the stages, {stages} for the last '
                'convolution')
        last = min(outs[-1], stages - 1)
        if not -1 <= self.frozen_stages <= last:
            raise ValueError(
                f'frozen_stages is {self.frozen_stages}; expected -1 (none) '
                f'up to {last}, the last stage that is built')

    def _build(self, drop_path_rate: float) -> None:
        arch = self.arch_settings
        last = self.out_indices[-1]
        # on the CPU also where the network is built on the meta device
        rates = iter(torch.linspace(
            0, drop_path_rate, sum(arch.depths), device='cpu').tolist())
        self.stem = ConvNormAct(self.in_channels, arch.stem, 3,
                                arch.stem_stride)
        self.stages = nn.ModuleList(
            nn.Sequential(*(InvertedResidual(layer, next(rates))
                            for layer in stage))
            for stage in arch.stages()[:last + 1])
        if last == arch.num_stages:
            self.head_conv = ConvNormAct(arch.widths[-1], arch.head_channels)

    def _freeze(self) -> None:
        if self.frozen_stages < 0:
            return
        for module in (self.stem, *self.stages[:self.frozen_stages + 1]):
            module.eval()
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> SearchableMobileNet:
        """Set the mode; frozen stages and, if asked, norms stay in eval."""
        super().train(mode)
        self._freeze()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Maps of ``out_indices``, fine to coarse.

        Args:
            x (Tensor): Images of shape (B, in_channels, H, W), any H and W.

        Returns:
            tuple[Tensor]: Shapes (B, C_i, ceil(H/s), ceil(W/s)).
        """
        x = self.stem(x.contiguous(memory_format=self.memory_format))
        outs = []
        for i, stage in enumerate(self.stages):
            for layer in stage:
                if self.with_cp and torch.is_grad_enabled():
                    x = cp.checkpoint(layer, x, use_reentrant=False)
                else:
                    x = layer(x)
            if i in self.out_indices:
                outs.append(x)
        if self.out_indices[-1] == len(self.stages):
            outs.append(self.head_conv(x))
        return tuple(outs)

    def flops(self, input_shape: Sequence[int]) -> int:
        """Multiply-adds of one image, without running the network.

        Args:
            input_shape (Sequence[int]): (channels, height, width) or
                (height, width).

        Returns:
            int: What the counter of the suite counts.
        """
        shape = (self.in_channels, *input_shape[-2:])
        return self.arch_settings.flops(shape, self.out_indices[-1])
