"""Architectures of the mobile networks, their parameters and multiply-adds.

Counts are sums over layers in plain Python, so that the search can refuse a
candidate before anything is built. They equal those of
:func:`mmvision_ext.engine.complexity.count_complexity`.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: Strides of the seven stages behind the stem (stride 2) of FBNetV3.
STRIDES = (1, 2, 2, 2, 1, 2, 1)


def squeeze_channels(channels: int) -> int:
    """Channels between the two layers of a squeeze-and-excitation.

    A quarter of the channels that enter the block, as a multiple of 8 that
    is not more than 5 % below it, as in the released FBNetV3.

    Args:
        channels (int): Channels that enter the block.

    Returns:
        int: At least 8.
    """
    wanted = channels / 4
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.95 * wanted else rounded


@dataclass(frozen=True)
class MobileLayer:
    """An inverted residual: 1x1 up, depthwise, 1x1 down.

    Args:
        in_channels (int): Channels of the map that enters.
        out_channels (int): Channels of the map that leaves.
        kernel (int): Side of the depthwise kernel, odd.
        expansion (int): Channels of the depthwise convolution over
            ``in_channels``; with 1 the first convolution is left out.
        stride (int): 1 or 2.
        se (bool): With squeeze-and-excitation.
    """

    in_channels: int
    out_channels: int
    kernel: int
    expansion: int
    stride: int
    se: bool

    @property
    def middle(self) -> int:
        """Channels of the depthwise convolution."""
        return self.in_channels * self.expansion

    @property
    def residual(self) -> bool:
        """Whether the input is added to the output."""
        return self.stride == 1 and self.in_channels == self.out_channels

    def params(self) -> int:
        """Weights of the convolutions, biases of the SE, batch norms."""
        middle = self.middle
        count = middle * self.kernel**2 + 2 * middle
        count += middle * self.out_channels + 2 * self.out_channels
        if self.expansion > 1:
            count += self.in_channels * middle + 2 * middle
        if self.se:
            squeezed = squeeze_channels(self.in_channels)
            count += 2 * middle * squeezed + squeezed + middle
        return count

    def macs(self, before: int, after: int) -> int:
        """Multiply-adds.

        Args:
            before (int): Pixels of the map that enters.
            after (int): Pixels of the map that leaves.

        Returns:
            int: The count.
        """
        count = after * self.middle * (self.kernel**2 + self.out_channels)
        if self.expansion > 1:
            count += before * self.in_channels * self.middle
        if self.se:
            count += 2 * self.middle * squeeze_channels(self.in_channels)
        return count


@dataclass(frozen=True)
class MobileArch:
    """A mobile network: stem, stages of inverted residuals, last 1x1.

    Settings of a stage may be one value for all its layers, two for the
    first layer and the rest, or one a layer.

    Args:
        stem (int): Channels of the 3x3 stem.
        widths (tuple[int, ...]): Output channels of each stage.
        depths (tuple[int, ...]): Layers of each stage.
        kernels (tuple): Depthwise kernels of each stage, odd.
        expansions (tuple): Expansions of each stage.
        se (tuple[bool, ...]): Squeeze-and-excitation in each stage.
        strides (tuple[int, ...]): Stride of the first layer of each stage.
            Defaults to those of FBNetV3.
        stem_stride (int): 2, or 1 for small images. Defaults to 2.
        head_expansion (int): Channels of the last 1x1 convolution over
            those of the last stage. Defaults to 6.

    Raises:
        ValueError: If the settings do not describe a network.
    """

    stem: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    kernels: tuple
    expansions: tuple
    se: tuple[bool, ...]
    strides: tuple[int, ...] = STRIDES
    stem_stride: int = 2
    head_expansion: int = 6

    def __post_init__(self) -> None:
        count = len(self.widths)
        for name in ('widths', 'depths', 'kernels', 'expansions', 'se',
                     'strides'):
            values = tuple(getattr(self, name))
            if len(values) != count or not count:
                raise ValueError(
                    f'{name} is {values}; expected one entry for each of '
                    f'the {count} stages that widths names')
            object.__setattr__(self, name, values)
        for name in ('kernels', 'expansions'):
            spread = tuple(
                _spread(name, i, value, depth) for i, (value, depth) in
                enumerate(zip(getattr(self, name), self.depths)))
            object.__setattr__(self, name, spread)
        self._check()

    def _check(self) -> None:
        numbers = dict(stem=(self.stem, ), widths=self.widths,
                       depths=self.depths, expansions=sum(
                           self.expansions, ()),
                       head_expansion=(self.head_expansion, ))
        for name, values in numbers.items():
            if min(values) < 1:
                raise ValueError(f'{name} is {values}; expected numbers '
                                 'from 1 on')
        if any(k < 1 or k % 2 == 0 for k in sum(self.kernels, ())):
            raise ValueError(f'kernels is {self.kernels}; expected odd sides')
        if {*self.strides, self.stem_stride} - {1, 2}:
            raise ValueError(f'strides is {self.strides}, stem_stride '
                             f'{self.stem_stride}; expected 1 or 2')

    @property
    def num_stages(self) -> int:
        """Stages of inverted residuals."""
        return len(self.widths)

    @property
    def head_channels(self) -> int:
        """Channels of the last 1x1 convolution."""
        return self.widths[-1] * self.head_expansion

    @property
    def out_channels(self) -> tuple[int, ...]:
        """Channels of what each index of ``out_indices`` returns."""
        return (*self.widths, self.head_channels)

    def stages(self) -> list[list[MobileLayer]]:
        """The layers of every stage, in order."""
        channels, stages = self.stem, []
        for i, depth in enumerate(self.depths):
            stage = []
            for j in range(depth):
                stage.append(MobileLayer(
                    channels, self.widths[i], self.kernels[i][j],
                    self.expansions[i][j], self.strides[i] if j == 0 else 1,
                    self.se[i]))
                channels = self.widths[i]
            stages.append(stage)
        return stages

    def params(self, last: int | None = None, in_channels: int = 3) -> int:
        """Parameters of the backbone.

        Args:
            last (int, optional): Index of the last output that is built;
                ``num_stages`` is the last 1x1 convolution. By default that.
            in_channels (int): Channels of the image. Defaults to 3.

        Returns:
            int: The count.
        """
        last = self.num_stages if last is None else last
        count = self.stem * (in_channels * 9 + 2)
        count += sum(layer.params() for stage in self.stages()[:last + 1]
                     for layer in stage)
        if last == self.num_stages:
            count += self.head_channels * (self.widths[-1] + 2)
        return count

    def flops(self, input_shape: Sequence[int],
              last: int | None = None) -> int:
        """Multiply-adds of the backbone for one image.

        Args:
            input_shape (Sequence[int]): (channels, height, width), or
                (height, width) of an image of 3 channels.
            last (int, optional): As in :meth:`params`.

        Returns:
            int: The count.
        """
        *channels, height, width = input_shape
        last = self.num_stages if last is None else last
        step = self.stem_stride
        height, width = -(-height // step), -(-width // step)
        count = height * width * self.stem * 9 * (channels or [3])[0]
        for stage in self.stages()[:last + 1]:
            for layer in stage:
                before = height * width
                # odd kernels, padded by half of them
                height = -(-height // layer.stride)
                width = -(-width // layer.stride)
                count += layer.macs(before, height * width)
        if last == self.num_stages:
            count += height * width * self.widths[-1] * self.head_channels
        return count


def _spread(name: str, stage: int, value: object,
            depth: int) -> tuple[int, ...]:
    """One value a layer from one, two (first, rest) or that many."""
    values = (value, ) if isinstance(value, int) else tuple(value)
    if len(values) == depth:
        return values
    if len(values) == 1:
        return values * depth
    if len(values) == 2:
        return (values[0], *values[1:] * (depth - 1))
    raise ValueError(
        f'{name} of stage {stage} is {values}; expected one value, two '
        f'(first layer, rest) or one for each of its {depth} layers')


#: 'fbnetv3-a' is the published structure: at 224 pixels it is FBNetV3-A, at
#: 248 FBNetV3-B. 'small' and 'large' are the two corners of the space.
ARCH_ZOO: dict[str, MobileArch] = {
    'fbnetv3-a': MobileArch(
        stem=16,
        widths=(16, 24, 40, 72, 120, 184, 224),
        depths=(2, 4, 5, 5, 6, 6, 1),
        kernels=(3, 5, 5, (5, 3), (3, 5), (3, 5), 5),
        expansions=(1, (4, 2), (5, 3), (5, 3), (5, 3), (6, 4), 6),
        se=(False, False, True, False, True, True, True)),
    'small': MobileArch(
        stem=16,
        widths=(16, 20, 24, 56, 96, 180, 180),
        depths=(1, 4, 4, 4, 6, 5, 1),
        kernels=(3, 3, 3, 3, 3, 3, 3),
        expansions=(1, (4, 2), (4, 2), (4, 2), (4, 2), (4, 4), 6),
        se=(False, ) * 7),
    'large': MobileArch(
        stem=24,
        widths=(24, 32, 48, 84, 144, 224, 224),
        depths=(4, 7, 7, 8, 10, 9, 1),
        kernels=(5, 5, 5, 5, 5, 5, 5),
        expansions=(1, (7, 5), (7, 5), (7, 5), (7, 5), (7, 7), 6),
        se=(False, True, True, True, True, True, True)),
}


def resolve_mobile_arch(arch: str | Mapping) -> MobileArch:
    """An architecture by name or from its settings.

    Args:
        arch (str | Mapping): A key of :data:`ARCH_ZOO`, or the arguments of
            :class:`MobileArch`.

    Returns:
        MobileArch: The settings.

    Raises:
        ValueError: If the name or a setting is unknown, or one is missing.
    """
    if isinstance(arch, str):
        if arch not in ARCH_ZOO:
            raise ValueError(f'arch {arch!r} is unknown; choose one of '
                             f'{sorted(ARCH_ZOO)} or give a dict')
        return ARCH_ZOO[arch]
    try:
        return MobileArch(**arch)
    except TypeError as error:
        raise ValueError(
            f'arch is {dict(arch)}; expected the keys stem, widths, depths, '
            'kernels, expansions and se, and optionally strides, '
            f'stem_stride, head_expansion ({error})') from error
