"""Parameters and multiply-adds part by part, and what is not counted."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from .complexity import flop_counter

#: What these do is to make room or to move numbers.
_MOVES = {
    '_to_copy', '_unsafe_view', 'arange', 'cat', 'clone', 'constant_pad_nd',
    'copy_', 'empty', 'empty_like', 'flip', 'full', 'index', 'new_empty',
    'new_zeros', 'ones', 'promote_types', 'roll', 'scalar_tensor', 'stack',
    'zeros', 'zeros_like'
}
#: Parts whose own parts are shown.
_OPENED = ('backbone', 'roi_head')


@dataclass(frozen=True)
class Part:
    """A part of a network.

    Args:
        name (str): Its path, that of the first and the last of several
            layers alike in a row.
        params (int): Parameters.
        macs (int): Multiply-adds.
    """

    name: str
    params: int
    macs: int


@dataclass(frozen=True)
class Uncounted:
    """An operation that counts for nothing.

    Args:
        name (str): Its name in torch.
        calls (int): How often it is called.
        values (int): How many numbers it writes in all.
    """

    name: str
    calls: int
    values: int


@dataclass(frozen=True)
class Breakdown:
    """Where the cost of a network lies.

    Args:
        parts (tuple[Part, ...]): In the order of the network, and last what
            happens outside of all of them, such as the decay maps of vHeat.
            Parameters and multiply-adds add up to those of the network.
        uncounted (tuple[Uncounted, ...]): Most values first.
    """

    parts: tuple[Part, ...]
    uncounted: tuple[Uncounted, ...]

    @property
    def params(self) -> int:
        """Parameters of the network."""
        return sum(part.params for part in self.parts)

    @property
    def macs(self) -> int:
        """Multiply-adds of the network."""
        return sum(part.macs for part in self.parts)


class _Whole(nn.Module):
    """Gives every module a name that starts at the network."""

    def __init__(self, model: nn.Module, run: Callable[[], object]) -> None:
        super().__init__()
        self.model = model
        self.run = run

    def forward(self) -> None:
        self.run()


class _Watch(TorchDispatchMode):
    """Writes down where operations happen, and which have no formula."""

    def __init__(self, counter: FlopCounterMode) -> None:
        super().__init__()
        self.counter = counter
        self.macs: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.values: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (),
                           kwargs: Any = None) -> Any:
        before = self.counter.get_total_flops()
        result = func(*args, **(kwargs or {}))
        macs = (self.counter.get_total_flops() - before) // 2
        # The innermost: a layer may be called from outside of what holds it.
        self.macs[max(self.counter.mod_tracker.parents, key=len)] += macs
        name = func._schema.name.partition('::')[2]
        # A view returns its argument in another form.
        view = any(value.alias_info is not None
                   and not value.alias_info.is_write
                   for value in func._schema.returns)
        if not macs and not view and name not in _MOVES and \
                func._overloadpacket not in self.counter.flop_registry:
            written = sum(x.numel() for x in tree_leaves(result)
                          if isinstance(x, Tensor))
            if written:
                self.calls[name] += 1
                self.values[name] += written
        return result


def break_down(model: nn.Module, run: Callable[[], object]) -> Breakdown:
    """Count part by part.

    Args:
        model (nn.Module): A network, or a backbone alone.
        run (Callable[[], object]): Runs it once, without gradients.

    Returns:
        Breakdown: Stages of the backbone and the other parts. The total is
        that of :func:`mmvision_ext.engine.complexity.count_macs`.
    """
    whole = _Whole(model, run)
    with torch.no_grad(), flop_counter() as counter, \
            _Watch(counter) as watch:
        whole()
    prefix = f'{type(whole).__name__}.model.'
    macs = {f'{name.removeprefix(prefix)}.': count
            for name, count in watch.macs.items()}
    parts = [Part(name, _params(part),
                  sum(count for path, count in macs.items()
                      if path.startswith(f'{name}.')))
             for name, part in _pick(model)]
    rest = Part('elsewhere', _params(model) - sum(x.params for x in parts),
                sum(macs.values()) - sum(x.macs for x in parts))
    return Breakdown(
        tuple(part for part in [*_merge(parts), rest]
              if part.params or part.macs),
        tuple(Uncounted(name, watch.calls[name], values)
              for name, values in watch.values.most_common()))


def _params(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _pick(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The parts to show, with their paths."""
    if not hasattr(model, 'backbone'):
        yield from _open(model, '')
        return
    for name, child in model.named_children():
        if name in _OPENED:
            yield from _open(child, f'{name}.')
        else:
            yield name, child


def _open(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    for name, child in module.named_children():
        if isinstance(child, nn.ModuleList):
            yield from ((f'{prefix}{name}.{i}', x)
                        for i, x in enumerate(child))
        else:
            yield prefix + name, child


def _merge(parts: list[Part]) -> Iterator[Part]:
    """Put layers of one list that follow each other and cost the same in one.
    """
    def alike(part: Part) -> tuple[Any, ...]:
        head, _, tail = part.name.rpartition('.')
        return (head if tail.isdigit() else part.name, part.params, part.macs)

    for _, group in groupby(parts, alike):
        run = list(group)
        first, last = run[0].name, run[-1].name.rpartition('.')[2]
        yield Part(first if len(run) == 1 else f'{first}-{last}',
                   sum(x.params for x in run), sum(x.macs for x in run))
