"""Where in a model a value that is not finite comes from."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class RandomState:
    """Where every random generator stands.

    Args:
        python (Any): State of ``random``.
        numpy (Any): State of ``numpy.random``.
        cpu (Tensor): State of torch on the CPU.
        cuda (Tensor, optional): State of the current CUDA device.
    """

    python: Any
    numpy: Any
    cpu: Tensor
    cuda: Optional[Tensor]

    @classmethod
    def now(cls) -> 'RandomState':
        """Take the state of this moment."""
        cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() \
            else None
        return cls(random.getstate(), np.random.get_state(),
                   torch.get_rng_state(), cuda)

    def restore(self) -> None:
        """Put the generators back to this state."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda)


@dataclass
class Cause:
    """What a second forward pass of a batch has shown.

    Args:
        origin (str): The first thing that is not finite, in words; empty if
            everything was.
        losses (dict[str, float]): Every loss of the pass.
    """

    origin: str = ''
    losses: dict[str, float] = field(default_factory=dict)


def first_bad_tensor(tensors: Iterator[tuple[str, Tensor]]) -> Optional[str]:
    """Name of the first tensor with a value that is not finite.

    Args:
        tensors (Iterator[tuple[str, Tensor]]): Such as
            ``model.named_parameters()``. Integers are passed over.

    Returns:
        str | None: The name; None if all values are finite.
    """
    kept = [(name, value.detach()) for name, value in tensors
            if value.is_floating_point() and value.numel()
            and value.device.type != 'meta']
    if not kept:
        return None
    good = torch.stack([value.isfinite().all().to(kept[0][1].device)
                        for _, value in kept])
    # One transfer for all of them.
    return next((name for (name, _), fine in zip(kept, good.tolist())
                 if not fine), None)


def bad_weight(model: nn.Module) -> Optional[str]:
    """Say which parameter or buffer of a model is not finite.

    Args:
        model (nn.Module): The model.

    Returns:
        str | None: Kind and name of the first; None if all are finite.
    """
    name = first_bad_tensor(model.named_parameters())
    if name is not None:
        return f'parameter {name}'
    name = first_bad_tensor(model.named_buffers())
    return None if name is None else f'buffer {name}'


def find_cause(model: nn.Module, batch: Any, random_state: RandomState,
               context: Callable[[nn.Module], AbstractContextManager]
               ) -> Cause:
    """Repeat the forward pass of a batch and watch every module.

    The random numbers are those of the first pass, so that dropout and
    augmentation on the device do the same again. The pass may change the
    running statistics of normalisations.

    Args:
        model (nn.Module): A model of mmengine, not wrapped.
        batch (Any): What the loader gave.
        random_state (RandomState): Taken before the first pass.
        context (Callable): Gives the context of a training step for a model,
            such as ``optim_wrapper.optim_context``.

    Returns:
        Cause: What was found.
    """
    weight = bad_weight(model)
    random_state.restore()
    found: list[str] = []
    with torch.no_grad(), context(model):
        data = model.data_preprocessor(batch, True)
        place = bad_input(data)
        with _watch(model, found):
            losses = model._run_forward(data, mode='loss')
        _, log_vars = model.parse_losses(losses)
    origin = weight or place or (found[0] if found else '')
    return Cause(origin, {name: float(value)
                          for name, value in log_vars.items()})


@contextmanager
def _watch(model: nn.Module, found: list[str]) -> Iterator[None]:
    """Note the modules whose output is not finite, the first one first."""

    def watcher(name: str) -> Callable:

        def look(module: nn.Module, args: Any, output: Any) -> None:
            # A parent is called after its parts: the first is the inmost.
            if not found and not _is_finite(output):
                found.append(f'output of {name or "the model"} '
                             f'({type(module).__name__})')

        return look

    handles = [module.register_forward_hook(watcher(name))
               for name, module in model.named_modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_finite(value: Any) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in _tensors(value))


def _tensors(value: Any) -> Iterator[Tensor]:
    """The floating point tensors in nested containers."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)


def bad_input(data: Any) -> Optional[str]:
    """Say which image of a prepared batch is not finite.

    Args:
        data (Any): What a data preprocessor returns: a dict with ``inputs``
            and maybe ``data_samples``.

    Returns:
        str | None: The image in words; None if all are finite.
    """
    if not isinstance(data, Mapping):
        return None if _is_finite(data) else 'the input'
    inputs = data.get('inputs')
    if _is_finite(inputs):
        return None
    names = image_names(data)
    if isinstance(inputs, Tensor):
        for index, image in enumerate(inputs):
            if not _is_finite(image):
                name = names[index] if index < len(names) else ''
                return f'input image {index} {name}'.rstrip()
    return 'an input image'


def image_names(data: Any) -> list[str]:
    """Paths of the images of a batch.

    Args:
        data (Any): A batch of a loader, or a prepared one.

    Returns:
        list[str]: As far as the samples know theirs.
    """
    samples = data.get('data_samples') if isinstance(data, Mapping) else None
    if not isinstance(samples, Sequence):
        return []
    paths = [getattr(sample, 'img_path', None) for sample in samples]
    return [str(path) for path in paths if path]
