"""``torture.py precision``: 16-bit and float32 networks against float64."""

import argparse
import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..engine.errors import LaunchError
from .draws import Configuration, build, call

#: Number types that are compared; float64 is what with.
DTYPES = ('float32', 'bfloat16', 'float16', 'autocast bfloat16',
          'autocast float16')

_ITPN = dict(arch=dict(embed_dims=64, num_heads=4, depths=(1, 1, 3)),
             img_size=64)
_PYRAMID = dict(in_channels=(16, 32, 64), out_channels=32, depth=1,
                num_outs=5)


def _vheat(**arch: object) -> dict:
    return dict(arch=dict(embed_dims=16, depths=(1, 1, 2, 1), **arch),
                img_size=64)


#: Small networks: kind, size of the input, options.
NETWORKS = {
    'vHeat': ('vheat', (96, 112), _vheat()),
    'vHeat, post-norm': ('vheat', (96, 112), _vheat(
        post_norm=True, layer_scale=1.)),
    'iTPN': ('itpn', (80, 96), dict(_ITPN, rpe='none')),
    'iTPN, table': ('itpn', (80, 96), dict(_ITPN, rpe='table')),
    'iTPN, decomposed': ('itpn', (80, 96), dict(_ITPN, rpe='decomposed')),
    'Fast-iTPN': ('fast-itpn', (80, 96), _ITPN),
    'iTPN pyramid': ('pyramid', (5, 6), _PYRAMID),
    'Fast-iTPN pyramid': ('fast-pyramid', (5, 6), _PYRAMID),
}

#: Units of rounding that outputs and gradients may be off by, in float32 and
#: in 16-bit types.
BOUNDS = {
    'vHeat': ((25, 30), (6, 8)),
    'vHeat, post-norm': ((50, 60), (12, 15)),
    'iTPN': ((16, 20), (4, 5)),
    'iTPN, table': ((16, 20), (4, 5)),
    'iTPN, decomposed': ((16, 20), (4, 5)),
    'Fast-iTPN': ((16, 20), (4, 5)),
    'iTPN pyramid': ((10, 12), (3, 4)),
    'Fast-iTPN pyramid': ((10, 12), (3, 4)),
}


def bounds_of(name: str, dtype: str) -> tuple[int, int]:
    """The stated bounds of outputs and gradients.

    Args:
        name (str): One of :data:`NETWORKS`.
        dtype (str): One of :data:`DTYPES`.

    Returns:
        tuple[int, int]: In units of rounding, see :func:`measure`.
    """
    return BOUNDS[name][dtype != 'float32']


def measure(name: str, dtype: str, seed: int, fused: bool = True
            ) -> tuple[float, float]:
    """Error of a network, in units of rounding of its number type.

    All parameters are moved from their first values, so that each counts,
    and rounded to the type before they are compared: what remains is the
    error of the computation. Gradients are those of a random functional.

    Args:
        name (str): One of :data:`NETWORKS`.
        dtype (str): One of :data:`DTYPES`.
        seed (int): Of weights and input.
        fused (bool): Whether layers are fused where they can be, or called
            one by one. Defaults to True.

    Returns:
        tuple[float, float]: Of the worst of the outputs, and of the
        gradients of input and parameters taken together: root mean square of
        the difference over that of the exact values, divided by half the
        distance from 1 to the next number of the type.
    """
    kind, size, options = NETWORKS[name]
    what = Configuration(kind, seed, size, dtype, 1., False, options)
    network, inputs = build(what)
    low = getattr(torch, dtype.removeprefix('autocast '))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for tensor in (*network.parameters(), *inputs):
            tensor.copy_(tensor.to(low))
    exact = copy.deepcopy(network).double()
    if not fused:
        _call_layers(network)
    outputs, gradients = _results(what, network, inputs, low)
    wanted = _results(replace(what, dtype='float64'), exact,
                      [x.detach().double().requires_grad_() for x in inputs],
                      low)
    unit = torch.finfo(low).eps / 2
    return (max(map(_error, outputs, wanted[0])) / unit,
            _error(gradients, wanted[1]) / unit)


def _call_layers(network: nn.Module) -> None:
    # what has a hook is called, not fused
    for module in network.modules():
        module.register_forward_hook(lambda *_: None)


def _results(what: Configuration, network: nn.Module, inputs: list[Tensor],
             low: torch.dtype) -> tuple[tuple[Tensor, ...], Tensor]:
    outputs = call(what, network, inputs)
    rng = torch.Generator().manual_seed(what.seed)
    probes = [torch.randn(out.shape, generator=rng).to(low).to(out.dtype)
              for out in outputs]
    grads = torch.autograd.grad(
        outputs, [*inputs, *network.parameters()], probes)
    return outputs, torch.cat([grad.double().flatten() for grad in grads])


def _error(found: Tensor, wanted: Tensor) -> float:
    return ((found.double() - wanted).norm() / wanted.norm()).item()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subject.

    Args:
        parser (argparse.ArgumentParser): Its parser.
    """
    parser.add_argument('--seeds', type=int, default=5, metavar='N',
                        help='weights and inputs of each (default 5)')


def run(args: argparse.Namespace) -> int:
    """Print the largest errors as a table.

    Args:
        args (argparse.Namespace): Of :func:`add_arguments`.

    Returns:
        int: 0 if all are within :data:`BOUNDS`, 1 otherwise.

    Raises:
        LaunchError: If the number makes no sense.
    """
    if args.seeds < 1:
        raise LaunchError(f'--seeds {args.seeds}: expected 1 or more')
    print('| network |', ' | '.join(DTYPES), '|')
    print('|---' * (1 + len(DTYPES)) + '|')
    kept = True
    for name in NETWORKS:
        cells = []
        for dtype in DTYPES:
            errors = [measure(name, dtype, seed, fused)
                      for seed in range(args.seeds)
                      for fused in (True, False)]
            worst = [max(column) for column in zip(*errors)]
            kept &= all(error <= bound for error, bound in zip(
                worst, bounds_of(name, dtype)))
            cells.append(' / '.join(f'{error:.1f}' for error in worst))
        print(f'| {name} |', ' | '.join(cells), '|', flush=True)
    return 0 if kept else 1
