"""The released architectures of vHeat, and small ones of our own."""

from dataclasses import dataclass
from typing import Dict, Optional, Tuple, Union


@dataclass(frozen=True)
class VHeatArch:
    """What tells one vHeat from another.

    Args:
        embed_dims (int): Channels of the first stage, even; they double
            with each stage.
        depths (tuple[int, ...]): Blocks in each of the four stages.
        mlp_ratio (float): Hidden channels of the MLP over channels.
            Defaults to 4.
        post_norm (bool): Norm behind the branch instead of before it.
            Defaults to False.
        layer_scale (float, optional): First value of the learnt scale of
            each branch; None for no scale. Defaults to None.

    Raises:
        ValueError: If a value cannot be built.
    """

    embed_dims: int
    depths: Tuple[int, ...]
    mlp_ratio: float = 4.
    post_norm: bool = False
    layer_scale: Optional[float] = None

    def __post_init__(self) -> None:
        object.__setattr__(self, 'depths', tuple(self.depths))
        if self.embed_dims < 2 or self.embed_dims % 2:
            raise ValueError(f'embed_dims is {self.embed_dims}; expected an '
                             'even number of channels')
        if len(self.depths) != 4 or min(self.depths) < 1:
            raise ValueError(f'depths is {self.depths}; expected the number '
                             'of blocks of four stages, each at least 1')
        if self.mlp_ratio <= 0:
            raise ValueError(f'mlp_ratio is {self.mlp_ratio}; expected more '
                             'than 0')


#: tiny, small and base are the released networks. base-v2 is inferred from
#: the size and FLOPs that the second version of the paper prints (68M,
#: 11.2G), which it meets without layer scale; whether its norms stand before
#: or behind the branches is not known, and no weights were released. nano is
#: our own, for CPUs.
ARCH_ZOO: Dict[str, VHeatArch] = {
    'nano': VHeatArch(24, (1, 1, 2, 1)),
    'tiny': VHeatArch(96, (2, 2, 6, 2)),
    'small': VHeatArch(96, (2, 2, 18, 2), post_norm=True, layer_scale=1e-5),
    'base': VHeatArch(128, (2, 2, 18, 2), post_norm=True, layer_scale=1e-5),
    'base-v2': VHeatArch(96, (4, 4, 20, 4)),
}


def resolve_arch(arch: Union[str, dict]) -> VHeatArch:
    """An architecture by name or from its settings.

    Args:
        arch (str | dict): A key of :data:`ARCH_ZOO`, or the arguments of
            :class:`VHeatArch`.

    Returns:
        VHeatArch: The settings.

    Raises:
        ValueError: If the name or a setting is unknown, or one is missing.
    """
    if isinstance(arch, str):
        if arch not in ARCH_ZOO:
            raise ValueError(f'arch {arch!r} is unknown; choose one of '
                             f'{sorted(ARCH_ZOO)} or give a dict')
        return ARCH_ZOO[arch]
    try:
        return VHeatArch(**arch)
    except TypeError as error:
        raise ValueError(
            f'arch is {dict(arch)}; expected the keys embed_dims and depths, '
            'and optionally mlp_ratio, post_norm, layer_scale '
            f'({error})') from error
