"""Short names of models."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from ..engine.build import build_model
from ..itpn import arch as itpn_arch
from ..vheat import arch as vheat_arch
from ..vheat.network import VHeatNetwork
from .case import Case
from .itpn_forms import (
    build_attention,
    build_features,
    build_plain_attention,
    build_plain_features,
)


def _vheat(case: Case, arch: str, **kwargs: Any) -> nn.Module:
    return VHeatNetwork(arch, **kwargs)


def _swin(case: Case, arch: str, **kwargs: Any) -> nn.Module:
    # Padding is what lets it run on maps smaller than its window.
    return build_model(dict(type='mmpretrain.SwinTransformer', arch=arch,
                            out_indices=(0, 1, 2, 3), drop_path_rate=0.,
                            pad_small_map=True) | kwargs)


def _convnext(case: Case, arch: str, **kwargs: Any) -> nn.Module:
    return build_model(dict(type='mmpretrain.ConvNeXt', arch=arch,
                            out_indices=(0, 1, 2, 3), drop_path_rate=0.,
                            gap_before_final_norm=False) | kwargs)


def _all() -> dict[str, Callable[..., nn.Module]]:
    found: dict[str, Callable[..., nn.Module]] = {}
    for arch in vheat_arch.ARCH_ZOO:
        found[f'vheat-{arch}'] = partial(_vheat, arch=arch)
    for arch in itpn_arch.ARCH_ZOO:
        for suffix, build in (('', build_features),
                              ('-plain', build_plain_features),
                              ('-attention', build_attention),
                              ('-attention-plain', build_plain_attention)):
            found[f'itpn-{arch}{suffix}'] = partial(build, arch=arch)
    for arch in ('tiny', 'small', 'base', 'large'):
        found[f'swin-{arch}'] = partial(_swin, arch=arch)
        found[f'convnext-{arch}'] = partial(_convnext, arch=arch)
    return found


#: Builders, called with the :class:`Case` and the arguments of the user.
#: vHeat, Swin and ConvNeXt are backbones that return four maps; iTPN is
#: backbone and pyramid, ``-plain`` the same with plain softmax attention,
#: ``-attention`` one attention of it alone.
ALIASES = _all()
