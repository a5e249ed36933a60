"""The architectures of iTPN, and a small one of our own."""

from dataclasses import dataclass
from typing import Dict, Mapping, Tuple, Union


@dataclass(frozen=True)
class ITPNArch:
    """What tells one iTPN from another.

    Args:
        embed_dims (int): Channels C of the tokens, a multiple of 4 and of
            ``num_heads``; the first two stages have C / 4 and C / 2.
        depths (tuple[int, ...]): Blocks of the three stages: two of MLPs,
            one of attention.
        num_heads (int): Heads of the attention.
        mlp_ratios (tuple[float, ...]): Hidden channels of the MLPs over
            channels, a stage each. Defaults to (3, 3, 4).

    Raises:
        ValueError: If a value cannot be built.
    """

    embed_dims: int
    depths: Tuple[int, ...]
    num_heads: int
    mlp_ratios: Tuple[float, ...] = (3., 3., 4.)

    def __post_init__(self) -> None:
        object.__setattr__(self, 'depths', tuple(self.depths))
        object.__setattr__(self, 'mlp_ratios', tuple(self.mlp_ratios))
        if self.num_heads < 1 or self.embed_dims < 4 or \
                self.embed_dims % 4 or self.embed_dims % self.num_heads:
            raise ValueError(
                f'embed_dims is {self.embed_dims} with {self.num_heads} '
                'heads; expected a multiple of 4 and of the heads')
        if len(self.depths) != 3 or min(self.depths) < 1:
            raise ValueError(f'depths is {self.depths}; expected the number '
                             'of blocks of three stages, each at least 1')
        if len(self.mlp_ratios) != 3 or min(self.mlp_ratios) <= 0:
            raise ValueError(f'mlp_ratios is {self.mlp_ratios}; expected '
                             'three numbers above 0')

    @property
    def stage_dims(self) -> Tuple[int, int, int]:
        """Channels of the three stages, (C / 4, C / 2, C)."""
        return self.embed_dims // 4, self.embed_dims // 2, self.embed_dims


#: base and large are the released networks. tiny and small are inferred from
#: the sizes that the paper prints (19M and 38M with a classifier): it says
#: no more than that they follow HiViT, and no weights were released. nano is
#: our own, for CPUs.
ARCH_ZOO: Dict[str, ITPNArch] = {
    'nano': ITPNArch(192, (1, 1, 4), 3),
    'tiny': ITPNArch(384, (2, 2, 10), 6),
    'small': ITPNArch(384, (4, 4, 20), 6),
    'base': ITPNArch(512, (3, 3, 24), 8),
    'large': ITPNArch(768, (2, 2, 40), 12),
}


_FAST_RATIOS = (3., 3., 3.)

#: Fast-iTPN: all but nano, which is our own, are the released networks.
FAST_ARCH_ZOO: Dict[str, ITPNArch] = {
    'nano': ITPNArch(192, (1, 1, 4), 3, _FAST_RATIOS),
    'tiny': ITPNArch(384, (1, 1, 12), 6, _FAST_RATIOS),
    'small': ITPNArch(384, (2, 2, 20), 6, _FAST_RATIOS),
    'base': ITPNArch(512, (3, 3, 24), 8, _FAST_RATIOS),
    'large': ITPNArch(768, (2, 2, 40), 12, _FAST_RATIOS),
}


def resolve_fast_arch(arch: Union[str, dict]) -> ITPNArch:
    """An architecture of Fast-iTPN by name or from its settings.

    Args:
        arch (str | dict): A key of :data:`FAST_ARCH_ZOO`, or the arguments
            of :class:`ITPNArch`, ``mlp_ratios`` being (3, 3, 3) by default.

    Returns:
        ITPNArch: The settings.

    Raises:
        ValueError: If the name or a setting is unknown, or one is missing.
    """
    if isinstance(arch, str):
        return resolve_arch(arch, FAST_ARCH_ZOO)
    return resolve_arch({'mlp_ratios': _FAST_RATIOS, **arch})


def resolve_arch(arch: Union[str, dict],
                 zoo: Mapping[str, ITPNArch] = ARCH_ZOO) -> ITPNArch:
    """An architecture by name or from its settings.

    Args:
        arch (str | dict): A key of ``zoo``, or the arguments of
            :class:`ITPNArch`.
        zoo (Mapping[str, ITPNArch]): The architectures with a name. Defaults
            to :data:`ARCH_ZOO`.

    Returns:
        ITPNArch: The settings.

    Raises:
        ValueError: If the name or a setting is unknown, or one is missing.
    """
    if isinstance(arch, str):
        if arch not in zoo:
            raise ValueError(f'arch {arch!r} is unknown; choose one of '
                             f'{sorted(zoo)} or give a dict')
        return zoo[arch]
    try:
        return ITPNArch(**arch)
    except TypeError as error:
        raise ValueError(
            f'arch is {dict(arch)}; expected the keys embed_dims, depths and '
            f'num_heads, and optionally mlp_ratios ({error})') from error
