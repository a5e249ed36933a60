"""Bounded store of decay maps that evaluation reuses."""

from collections import OrderedDict
from typing import Any, Callable, Hashable, Optional, Sequence, Tuple

import torch
from torch import Tensor

Fingerprint = Tuple[Any, ...]


def _fingerprint(sources: Sequence[Tensor]) -> Fingerprint:
    marks = []
    for source in sources:
        marks += [source.data_ptr(), source._version, source.device]
        # Writing through ``.data`` leaves the version as it was. Reading the
        # values is nearly free on a CPU and a full stop on a GPU.
        if source.device.type == 'cpu':
            marks.append(source.detach().sum().item())
    return tuple(marks)


class DecayCache:
    """Decay maps by owner and size, least recently used out first.

    A map is used again only while the tensors that it was computed from are
    the same and unchanged. On a GPU a change made through ``tensor.data`` is
    not seen until the mode is set (``train()`` or ``eval()``), weights are
    loaded, or :meth:`clear` is called. Copies and pickles start empty.

    Args:
        max_bytes (int): Bytes of maps kept at most. Defaults to 256 MiB,
            room for every map of the base network at 800 x 1280.
    """

    def __init__(self, max_bytes: int = 256 << 20) -> None:
        self.max_bytes = max_bytes
        self.clear()

    def clear(self) -> None:
        """Forget every map."""
        self._maps: OrderedDict[Hashable, Tuple[Fingerprint, Tensor]] = \
            OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._maps)

    def __reduce__(self) -> Tuple[type, Tuple[int]]:
        return type(self), (self.max_bytes, )

    def get(self, key: Hashable, sources: Sequence[Tensor],
            compute: Callable[[], Tensor]) -> Tensor:
        """The map of ``key``, computed if it is not here or out of date.

        Args:
            key (Hashable): Owner and size.
            sources (Sequence[Tensor]): What the map is a function of.
            compute (Callable[[], Tensor]): Makes the map.

        Returns:
            Tensor: The map.
        """
        needs_grad = torch.is_grad_enabled() and any(
            source.requires_grad for source in sources)
        if needs_grad or any(source.is_inference() for source in sources):
            return compute()
        fingerprint = _fingerprint(sources)
        kept: Optional[Tuple[Fingerprint, Tensor]] = self._maps.pop(key, None)
        if kept is not None:
            if kept[0] == fingerprint:
                self._maps[key] = kept
                return kept[1]
            self.bytes -= kept[1].nbytes
        # A map made in inference mode could not serve training later.
        with torch.inference_mode(False), torch.no_grad():
            value = compute()
        if value.nbytes <= self.max_bytes:
            self._maps[key] = (fingerprint, value)
            self.bytes += value.nbytes
            while self.bytes > self.max_bytes:
                self.bytes -= self._maps.popitem(last=False)[1][1].nbytes
        return value
