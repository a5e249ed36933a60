"""Random small networks and their inputs."""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..itpn import (
    FastITPNNetwork,
    FastITPNPyramidNetwork,
    ITPNNetwork,
    ITPNPyramidNetwork,
)
from ..vheat import HeatConduction2d, VHeatNetwork

#: Number types of weights and input, and those of autocast.
DTYPES = ('float64', 'float32', 'bfloat16', 'float16', 'autocast bfloat16',
          'autocast float16')
#: One in so many configurations has sides up to the larger limit.
LARGE_SHARE = 8
#: Longest side of an input, and that of the few large ones: in pixels of an
#: image, in tokens of a map. From 368 pixels on iTPN has 512 tokens, where
#: attention takes another path.
_IMAGE, _MAP = (72, 400), (24, 64)


@dataclass(frozen=True)
class Configuration:
    """A small network and its input.

    Args:
        kind (str): One of :data:`KINDS`.
        seed (int): Of weights and input.
        size (tuple[int, int]): Height and width of the input.
        dtype (str): One of :data:`DTYPES`.
        scale (float): Standard deviation of the input.
        train (bool): Whether it is in training mode.
        options (dict): Arguments of the network.
    """
    kind: str
    seed: int
    size: tuple[int, int]
    dtype: str
    scale: float
    train: bool
    options: dict[str, Any]


def draw(seed: int, index: int) -> Configuration:
    """Draw a configuration, which follows from seed and number alone.

    Args:
        seed (int): Of all of them.
        index (int): Which one, from 0.

    Returns:
        Configuration: Inputs between 1e-4 and 1e4 in size.
    """
    rng = np.random.default_rng([seed, index])
    kind = str(rng.choice(KINDS))
    limits = _MAP if kind in ('operator', *_PYRAMIDS) else _IMAGE
    most = limits[int(rng.integers(LARGE_SHARE)) == 0]
    return Configuration(
        kind, int(rng.integers(2**31)),
        tuple(int(n) for n in rng.integers(1, most + 1, 2)),
        str(rng.choice(DTYPES)), float(10**rng.uniform(-4, 4)),
        bool(rng.integers(2)), _OPTIONS[kind](rng))


def _operator(rng: np.random.Generator) -> dict[str, Any]:
    return dict(embed_dims=int(rng.integers(1, 9)) * 2,
                table_size=tuple(int(n) for n in rng.integers(1, 16, 2)),
                table_resize=str(rng.choice(['bicubic', 'pad', 'aligned'])))


def _vheat(rng: np.random.Generator) -> dict[str, Any]:
    arch = dict(embed_dims=int(rng.integers(1, 5)) * 4,
                depths=tuple(int(n) for n in rng.integers(1, 3, 4)),
                post_norm=bool(rng.integers(2)),
                layer_scale=(None, 1e-5)[int(rng.integers(2))])
    return dict(arch=arch, img_size=int(rng.integers(16, 65)),
                table_resize=str(rng.choice(['bicubic', 'pad', 'aligned'])),
                drop_path_rate=float(rng.choice([0., 0.5])),
                ignore_padding=bool(rng.integers(2)),
                with_cp=bool(rng.integers(2)))


def _fast_itpn(rng: np.random.Generator) -> dict[str, Any]:
    heads = int(rng.integers(1, 4))
    arch = dict(embed_dims=heads * 16, num_heads=heads,
                depths=tuple(int(n) for n in rng.integers(1, 3, 3)))
    return dict(arch=arch, img_size=int(rng.integers(1, 5)) * 16,
                layer_scale=(None, 0.1)[int(rng.integers(2))],
                drop_path_rate=float(rng.choice([0., 0.5])),
                with_cp=bool(rng.integers(2)))


def _itpn(rng: np.random.Generator) -> dict[str, Any]:
    windows = int(rng.integers(2, 6)) if rng.integers(4) == 0 else None
    return dict(_fast_itpn(rng), window_size=windows,
                rpe=str(rng.choice(['none', 'table', 'decomposed'])))


def _pyramid(rng: np.random.Generator) -> dict[str, Any]:
    width = int(rng.integers(1, 5)) * 8
    return dict(in_channels=(width, 2 * width, 4 * width),
                out_channels=int(rng.integers(1, 5)) * 8,
                depth=int(rng.integers(1, 3)),
                num_outs=int(rng.integers(3, 6)),
                pool=str(rng.choice(['avg', 'max'])),
                concat=bool(rng.integers(2)))


_OPTIONS = {'operator': _operator, 'vheat': _vheat, 'itpn': _itpn,
            'fast-itpn': _fast_itpn, 'pyramid': _pyramid,
            'fast-pyramid': _pyramid}
_TYPES = {'operator': HeatConduction2d, 'vheat': VHeatNetwork,
          'itpn': ITPNNetwork, 'fast-itpn': FastITPNNetwork,
          'pyramid': ITPNPyramidNetwork,
          'fast-pyramid': FastITPNPyramidNetwork}
_PYRAMIDS = ('pyramid', 'fast-pyramid')
KINDS = tuple(_TYPES)


def build(what: Configuration) -> tuple[nn.Module, list[Tensor]]:
    """The network and its inputs, which want gradients.

    Args:
        what (Configuration): What was drawn.

    Returns:
        tuple[nn.Module, list[Tensor]]: Both in the number type of the
        configuration, in float32 for autocast.
    """
    torch.manual_seed(what.seed)
    dtype = torch.float32 if what.dtype.startswith('autocast ') \
        else getattr(torch, what.dtype)
    network: nn.Module = _TYPES[what.kind](**what.options)
    network.train(what.train).to(dtype)
    inputs = [torch.randn(shape) * what.scale for shape in _shapes(what)]
    return network, [x.to(dtype).requires_grad_() for x in inputs]


def _shapes(what: Configuration) -> list[tuple[int, ...]]:
    height, width = what.size
    if what.kind in _PYRAMIDS:
        fine, middle, coarse = what.options['in_channels']
        return [(1, fine, 4 * height, 4 * width),
                (1, middle, 2 * height, 2 * width),
                (1, coarse, height, width)]
    channels = what.options['embed_dims'] if what.kind == 'operator' else 3
    return [(1, channels, height, width)]


def call(what: Configuration, network: nn.Module, inputs: list[Tensor]
         ) -> tuple[Tensor, ...]:
    """Run a network as the configuration says.

    Args:
        what (Configuration): What was drawn.
        network (nn.Module): From :func:`build`.
        inputs (list[Tensor]): From :func:`build`.

    Returns:
        tuple[Tensor, ...]: What comes out.
    """
    _, autocast, name = what.dtype.rpartition('autocast ')
    with torch.autocast('cpu', getattr(torch, name)) if autocast \
            else nullcontext():
        outputs = network(tuple(inputs)) if what.kind in _PYRAMIDS \
            else network(inputs[0])
    return outputs if isinstance(outputs, tuple) else (outputs, )


def named_tensors(network: nn.Module, inputs: list[Tensor],
                  outputs: tuple[Tensor, ...]
                  ) -> Iterator[tuple[str, Tensor]]:
    """Outputs, and the gradients that a backward pass has left.

    Args:
        network (nn.Module): From :func:`build`.
        inputs (list[Tensor]): From :func:`build`.
        outputs (tuple[Tensor, ...]): From :func:`call`.

    Yields:
        tuple[str, Tensor]: What it is, and it.
    """
    for index, out in enumerate(outputs):
        yield f'output {index}', out
    for index, image in enumerate(inputs):
        if image.grad is not None:
            yield f'gradient of input {index}', image.grad
    for name, parameter in network.named_parameters():
        if parameter.grad is not None:
            yield f'gradient of {name}', parameter.grad
