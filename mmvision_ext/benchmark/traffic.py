"""Bytes that the operations of a step read and write."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .memory import Step

#: They reserve or rename memory and touch none of it.
_FREE = frozenset((
    'aten::empty', 'aten::empty_like', 'aten::empty_strided',
    'aten::new_empty', 'aten::new_empty_strided', 'aten::resize_',
    'aten::set_', 'aten::_unsafe_view', 'aten::lift_fresh'))
#: What they change they only write.
_WRITE_ONLY = frozenset(('aten::copy_', 'aten::fill_', 'aten::zero_'))


class TrafficCounter(TorchDispatchMode):
    """Counts while it is entered.

    For each operation that reaches a kernel: the elements of its tensor
    arguments, each argument once, and those of its results, in bytes.
    Repeated elements of an expanded tensor count once. An argument that is
    changed in place counts as read and as written; what ``copy_``, ``fill_``
    and ``zero_`` overwrite, and ``out=``, as written only. Views and plain
    allocations count nothing. So it is what an algorithm asks for, in the
    operations that it is written in, if nothing stays in a cache between two
    operations; what a fused kernel keeps to itself is not in it, and kernels
    that are launched past torch's dispatcher (Triton) are not seen.

    Attributes:
        bytes (int): The sum.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (),
                           kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        outs = func(*args, **kwargs)
        schema = func._schema
        if schema.name not in _FREE and not _is_view(schema):
            read = (x for given in _read(schema, args, kwargs)
                    for x in _tensors(given))
            self.bytes += sum(map(_touched, {id(x): x for x in read}.values()))
            self.bytes += sum(map(_touched, _tensors(outs)))
        return outs


def _is_view(schema: Any) -> bool:
    """Whether results share the memory of arguments unchanged."""
    return any(x.alias_info is not None and not x.alias_info.is_write
               for x in schema.returns)


def _read(schema: Any, args: Any, kwargs: Any) -> Iterator[Any]:
    if schema.name.endswith('_like') or schema.name.startswith('aten::new_'):
        return  # the argument tells the shape alone
    for place, argument in enumerate(schema.arguments):
        written = argument.alias_info is not None and \
            argument.alias_info.is_write
        if written and (argument.is_out or schema.name in _WRITE_ONLY):
            continue
        if place < len(args):
            yield args[place]
        elif argument.name in kwargs:
            yield kwargs[argument.name]


def _tensors(value: Any) -> list[Tensor]:
    return [x for x in tree_leaves(value) if isinstance(x, Tensor)]


def _touched(x: Tensor) -> int:
    number = x.element_size()
    for length, stride in zip(x.shape, x.stride()):
        number *= 1 if stride == 0 and length else length
    return number


def count_traffic(step: Step) -> int:
    """Run a step and count the bytes that its operations read and write.

    Args:
        step (Step): The computation, not compiled.

    Returns:
        int: Bytes, see :class:`TrafficCounter`.
    """
    with TrafficCounter() as counter:
        step()
    return counter.bytes
