"""iTPN beside the plain softmax form of the very same network."""

import math
from dataclasses import asdict, replace

import torch
from torch import Tensor, nn

from ..itpn.arch import ITPNArch, resolve_arch
from ..itpn.attention import Attention
from ..itpn.network import ITPNNetwork
from ..itpn.plain import PlainAttention, make_plain, pair_index, score_bytes
from ..itpn.pyramid import ITPNPyramidNetwork
from ..itpn.structure import PATCH
from .case import DTYPES, Case
from .memory import free_memory

GIB = 1 << 30


class LoadsInOrder(nn.Module):
    """A network in plain form that takes the weights of the usual one."""

    def load_from(self, reference: nn.Module) -> None:
        """Copy the parameters of the usual form, in their order.

        Args:
            reference (nn.Module): The network in its usual form.

        Raises:
            ValueError: If it is another network.
        """
        own, given = (list(x.parameters()) for x in (self, reference))
        if [x.shape for x in own] != [x.shape for x in given]:
            raise ValueError('its parameters have other shapes')
        with torch.no_grad():
            for target, source in zip(own, given):
                target.copy_(source)


class PlainFeatures(LoadsInOrder):
    """Backbone and pyramid in plain form.

    Args:
        model (nn.Module): From :func:`mmvision_ext.itpn.plain.make_plain`.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """What the usual form returns."""
        return self.model(images)


def build_features(case: Case, arch: str,
                   depths: tuple[int, ...] | None = None,
                   rpe: str = 'none') -> nn.Module:
    """The backbone and the pyramid of the original's detectors.

    Args:
        case (Case): Its relative positions are made for its size and are
            not zero.
        arch (str): Name of the architecture.
        depths (tuple[int, ...], optional): Blocks of the three stages in
            place of those of the architecture. Defaults to None.
        rpe (str): Kind of relative position. Defaults to 'none'.

    Returns:
        nn.Module: From images to the five maps of strides 4 to 64.

    Raises:
        ValueError: If the arguments cannot be built.
    """
    settings = _settings(arch, depths)
    backbone = ITPNNetwork(arch=asdict(settings), img_size=max(case.size),
                           pos_size=14, rpe=rpe)
    _fill_tables(backbone)
    return nn.Sequential(backbone, ITPNPyramidNetwork(settings.stage_dims))


def build_plain_features(case: Case, arch: str,
                         depths: tuple[int, ...] | None = None,
                         rpe: str = 'none') -> nn.Module:
    """The same with the matrix of all pairs of tokens in memory.

    Args:
        case (Case): Where and at which size it will run.
        arch (str): Name of the architecture.
        depths (tuple[int, ...], optional): As in :func:`build_features`.
        rpe (str): Kind of relative position. Defaults to 'none'.

    Returns:
        nn.Module: From images to the five maps of strides 4 to 64.

    Raises:
        ValueError: If its score matrices do not fit into memory, or the
            arguments cannot be built.
    """
    settings = _settings(arch, depths)
    check_scores(case, settings, rpe, free_memory(case.torch_device))
    return PlainFeatures(
        make_plain(build_features(case, arch, depths, rpe),
                   _index(case, rpe)))


class AttentionAlone(nn.Module):
    """One attention of a network, on all tokens of an image.

    Args:
        attention (nn.Module): The attention.
        size (tuple[int, int]): The map in tokens.
        embed_dims (int): Channels.
    """

    def __init__(self, attention: nn.Module, size: tuple[int, int],
                 embed_dims: int) -> None:
        super().__init__()
        self.attention = attention
        self.size = size
        self.embed_dims = embed_dims

    def make_inputs(self, case: Case) -> tuple[Tensor]:
        """Tokens, (B, N, C).

        Args:
            case (Case): Batch and device.

        Returns:
            tuple[Tensor]: What the model is called with.
        """
        return (torch.randn(case.batch, math.prod(self.size),
                            self.embed_dims, device=case.device), )

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) to (B, N, C)."""
        return self.attention(x, self.size)


class PlainAttentionAlone(LoadsInOrder, AttentionAlone):
    """The same in plain form."""


def build_attention(case: Case, arch: str, rpe: str = 'none') -> nn.Module:
    """One attention block of a network, without norm and MLP.

    Args:
        case (Case): Its size.
        arch (str): Name of the architecture.
        rpe (str): Kind of relative position. Defaults to 'none'.

    Returns:
        nn.Module: From tokens to tokens.
    """
    settings, size = resolve_arch(arch), _tokens(case)
    attention = Attention(settings.embed_dims, settings.num_heads, rpe,
                          max(size))
    _fill_tables(attention)
    return AttentionAlone(attention, size, settings.embed_dims)


def build_plain_attention(case: Case, arch: str, rpe: str = 'none'
                          ) -> nn.Module:
    """The same in plain form.

    Args:
        case (Case): Where and at which size it will run.
        arch (str): Name of the architecture.
        rpe (str): Kind of relative position. Defaults to 'none'.

    Returns:
        nn.Module: From tokens to tokens.

    Raises:
        ValueError: If its score matrices do not fit into memory.
    """
    settings = _settings(arch, (1, 1, 1))
    check_scores(case, settings, rpe, free_memory(case.torch_device))
    usual = build_attention(case, arch, rpe)
    return PlainAttentionAlone(
        PlainAttention(usual.attention, _index(case, rpe)), usual.size,
        usual.embed_dims)


def check_scores(case: Case, arch: ITPNArch, rpe: str,
                 free: int | None) -> None:
    """Check that the plain form has memory for its score matrices.

    Args:
        case (Case): What will be run.
        arch (ITPNArch): The network.
        rpe (str): Kind of relative position.
        free (int, optional): Bytes that are free, of which the matrices may
            take three quarters, the rest being for all else. None: as many
            as one likes.

    Raises:
        ValueError: If they do not fit.
    """
    kept, work = (
        case.batch * x
        for x in score_bytes(math.prod(_tokens(case)), arch.num_heads,
                             DTYPES[case.dtype], rpe))
    depth = arch.depths[2]
    if case.mode == 'infer' or case.with_cp:
        # what is kept is freed or made again block by block
        kept, work, depth = 0, kept + work, 1
    need = depth * kept + work
    if free is not None and need > free * 3 // 4:
        raise ValueError(
            f'the plain form needs {_gib(need)} GiB for its score matrices '
            f'({_gib(kept)} GiB kept in each of {depth} blocks), of '
            f'{_gib(free)} GiB free; take a smaller size, fewer images, or '
            'in both forms fewer blocks such as depths=(3, 3, 4)')


def _settings(arch: str, depths: tuple[int, ...] | None) -> ITPNArch:
    settings = resolve_arch(arch)
    return settings if depths is None else replace(settings, depths=depths)


def _tokens(case: Case) -> tuple[int, int]:
    return -(-case.height // PATCH), -(-case.width // PATCH)


def _index(case: Case, rpe: str) -> Tensor:
    if rpe != 'table':
        return torch.empty(0)
    if len(set(_tokens(case))) > 1:
        raise ValueError(f'the size is {case.height}x{case.width}; the plain '
                         "form with rpe='table' needs a square")
    return pair_index(_tokens(case)[0], case.torch_device)


def _fill_tables(model: nn.Module) -> None:
    for name, table in model.named_parameters():
        if name.endswith('bias_table'):
            nn.init.trunc_normal_(table, std=0.5)


def _gib(number: int) -> str:
    return f'{math.ceil(number / GIB * 10) / 10:.1f}'
