"""``torture.py numerics``: random networks, sizes, types and scales."""

import argparse
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..engine.errors import LaunchError
from ..itpn import FastITPNNetwork, ITPNNetwork, ITPNPyramidNetwork
from ..vheat import HeatConduction2d, VHeatNetwork

DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16,
          'float16': torch.float16}
KINDS = ('operator', 'vheat', 'itpn', 'fast-itpn', 'pyramid')


@dataclass(frozen=True)
class Configuration:
    """A small network and its input.

    Args:
        kind (str): One of :data:`KINDS`.
        seed (int): Of weights and input.
        size (tuple[int, int]): Height and width of the input.
        dtype (str): Of autocast; float32 is without.
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


def draw(rng: np.random.Generator) -> Configuration:
    """Draw a configuration.

    Args:
        rng (np.random.Generator): Where from.

    Returns:
        Configuration: Inputs between 1e-4 and 1e4 in size.
    """
    kind = str(rng.choice(KINDS))
    most = 24 if kind in ('operator', 'pyramid') else 72
    return Configuration(
        kind, int(rng.integers(2**31)),
        tuple(int(n) for n in rng.integers(1, most, 2)),
        str(rng.choice(list(DTYPES))), float(10**rng.uniform(-4, 4)),
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


def _itpn(rng: np.random.Generator) -> dict[str, Any]:
    heads = int(rng.integers(1, 4))
    arch = dict(embed_dims=heads * 16, num_heads=heads,
                depths=tuple(int(n) for n in rng.integers(1, 3, 3)))
    return dict(arch=arch, img_size=int(rng.integers(1, 5)) * 16,
                rpe=str(rng.choice(['none', 'table', 'decomposed'])),
                layer_scale=(None, 0.1)[int(rng.integers(2))],
                drop_path_rate=float(rng.choice([0., 0.5])),
                with_cp=bool(rng.integers(2)))


def _fast_itpn(rng: np.random.Generator) -> dict[str, Any]:
    options = _itpn(rng)
    del options['rpe']
    return options


def _pyramid(rng: np.random.Generator) -> dict[str, Any]:
    width = int(rng.integers(1, 5)) * 8
    return dict(in_channels=(width, 2 * width, 4 * width),
                out_channels=int(rng.integers(1, 5)) * 8,
                depth=int(rng.integers(1, 3)),
                num_outs=int(rng.integers(3, 6)),
                pool=str(rng.choice(['avg', 'max'])),
                concat=bool(rng.integers(2)))


_OPTIONS = {'operator': _operator, 'vheat': _vheat, 'itpn': _itpn,
            'fast-itpn': _fast_itpn, 'pyramid': _pyramid}
_TYPES = {'operator': HeatConduction2d, 'vheat': VHeatNetwork,
          'itpn': ITPNNetwork, 'fast-itpn': FastITPNNetwork,
          'pyramid': ITPNPyramidNetwork}


def _inputs(what: Configuration) -> list[Tensor]:
    height, width = what.size
    if what.kind == 'pyramid':
        fine, middle, coarse = what.options['in_channels']
        shapes = [(1, fine, 4 * height, 4 * width),
                  (1, middle, 2 * height, 2 * width),
                  (1, coarse, height, width)]
    elif what.kind == 'operator':
        shapes = [(1, what.options['embed_dims'], height, width)]
    else:
        shapes = [(1, 3, height, width)]
    return [(torch.randn(shape) * what.scale).requires_grad_()
            for shape in shapes]


def find_fault(what: Configuration) -> str | None:
    """Run a configuration forward and backward.

    Args:
        what (Configuration): The network and its input.

    Returns:
        str | None: The first tensor with a value that is not finite, or the
        error that was raised; None if there is neither.
    """
    torch.manual_seed(what.seed)
    try:
        network: nn.Module = _TYPES[what.kind](**what.options)
        network.train(what.train)
        inputs = _inputs(what)
        half = what.dtype != 'float32'
        with torch.autocast('cpu', DTYPES[what.dtype]) if half \
                else nullcontext():
            outputs = network(tuple(inputs)) if what.kind == 'pyramid' \
                else network(inputs[0])
        outputs = outputs if isinstance(outputs, tuple) else (outputs, )
        # Means, as losses are: sums of many would leave float16 by
        # themselves.
        sum(out.float().mean() for out in outputs).backward()
    except Exception as error:  # whatever is raised is the finding
        return f'{type(error).__name__}: {error}'
    return next((name for name, tensor in _tensors(network, inputs, outputs)
                 if not torch.isfinite(tensor).all()), None)


def _tensors(network: nn.Module, inputs: list[Tensor],
             outputs: tuple[Tensor, ...]) -> Iterator[tuple[str, Tensor]]:
    for index, out in enumerate(outputs):
        yield f'output {index}', out
    for index, image in enumerate(inputs):
        if image.grad is not None:
            yield f'gradient of input {index}', image.grad
    for name, parameter in network.named_parameters():
        if parameter.grad is not None:
            yield f'gradient of {name}', parameter.grad


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subject.

    Args:
        parser (argparse.ArgumentParser): Its parser.
    """
    parser.add_argument('--configurations', type=int, default=10_000,
                        metavar='N', help='default 10000')
    parser.add_argument('--seed', type=int, default=0)


def run(args: argparse.Namespace) -> int:
    """Try random configurations.

    Args:
        args (argparse.Namespace): Of :func:`add_arguments`.

    Returns:
        int: 0 if all values were finite, 1 otherwise.

    Raises:
        LaunchError: If the number makes no sense.
    """
    if args.configurations < 1:
        raise LaunchError(f'--configurations {args.configurations}: expected '
                          '1 or more')
    rng = np.random.default_rng(args.seed)
    tried: Counter = Counter()
    faults = 0
    for _ in range(args.configurations):
        what = draw(rng)
        tried[what.kind] += 1
        fault = find_fault(what)
        if fault is not None:
            faults += 1
            print(f'{fault}: {asdict(what)}', flush=True)
    counts = ', '.join(f'{n} {kind}' for kind, n in sorted(tried.items()))
    print(f'{args.configurations} configurations ({counts}): {faults} with '
          'an error or a value that is not finite')
    return 1 if faults else 0
