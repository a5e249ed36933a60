"""Models by name, ready to be called."""

import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..engine.build import build_model
from ..engine.checks import register_scope
from ..engine.launch import read_config
from .aliases import ALIASES
from .case import Case
from .names import ModelName
from .samples import make_images, make_maps, make_samples


class Program:
    """A model that returns features, with what it is called with.

    Args:
        module (nn.Module): The model.
        inputs (Sequence): What it is called with.

    Attributes:
        call (Callable): What is called; the model, or a compiled form.
    """

    def __init__(self, module: nn.Module, inputs: Sequence[Any]) -> None:
        self.module = module
        self.call: Any = module
        self.inputs = tuple(inputs)

    def forward(self) -> list[Tensor]:
        """All tensors that it returns."""
        return list(find_tensors(self.call(*self.inputs)))

    def loss(self) -> Tensor:
        """The sum of the mean squares of what it returns, a scalar."""
        return sum(x.float().square().mean() for x in self.forward())

    def with_module(self, module: nn.Module) -> 'Program':
        """The same for a copy of the model elsewhere.

        Args:
            module (nn.Module): The copy, all of it on one device.

        Returns:
            Program: It has its own inputs, on that device.
        """
        device = next(module.parameters()).device
        return type(self)(module, _move(self.inputs, device))


class WholeModel(Program):
    """A classifier, detector or segmentor: images and data samples."""

    def forward(self) -> list[Tensor]:
        """All tensors of ``mode='tensor'``."""
        return list(find_tensors(self.call(*self.inputs, mode='tensor')))

    def loss(self) -> Tensor:
        """The sum of its losses."""
        return self.module.parse_losses(
            self.call(*self.inputs, mode='loss'))[0]


def find_tensors(value: Any) -> Iterator[Tensor]:
    """The tensors of nested results.

    Args:
        value (Any): A tensor, or tuples, lists and dicts of them.

    Returns:
        Iterator[Tensor]: In order; what is none of these is passed over.
    """
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from find_tensors(item)
    elif isinstance(value, Mapping):
        yield from find_tensors(list(value.values()))


def _move(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, (tuple, list)):
        return type(value)(_move(item, device) for item in value)
    return value


def build_program(name: ModelName, case: Case) -> Program:
    """Build a model and what it is called with.

    Every random number is drawn anew from the same seed.

    Args:
        name (ModelName): The model.
        case (Case): Where and on what it will run.

    Returns:
        Program: On the device, in the mode of the case.

    Raises:
        ValueError: If the model cannot be what the case asks for.
    """
    torch.manual_seed(0)
    module = _BUILD[name.kind](name, case)
    if not isinstance(module, nn.Module):
        raise ValueError(f'{name.target} returns a '
                         f'{type(module).__name__}; expected an nn.Module')
    module = module.to(case.device)
    module.train(case.mode == 'train')
    if case.with_cp:
        _recompute(module)
    torch.manual_seed(0)
    if hasattr(module, 'data_preprocessor'):
        program: Program = WholeModel(
            module, (make_images(case), make_samples(module, case)))
    else:
        program = Program(module, _inputs(module, case))
    if case.compile:
        program.call = torch.compile(module)
    return program


def _inputs(module: nn.Module, case: Case) -> tuple:
    if hasattr(module, 'make_inputs'):
        return module.make_inputs(case)
    channels = getattr(module, 'in_channels', None)
    if isinstance(channels, (tuple, list)) and len(channels) > 1:
        return make_maps(tuple(channels), case)
    return (make_images(case), )


def _recompute(module: nn.Module) -> None:
    parts = [x for x in module.modules()
             if isinstance(getattr(x, 'with_cp', None), bool)]
    if not parts:
        raise ValueError('no part of it has with_cp; run it without '
                         '--with-cp')
    for part in parts:
        part.with_cp = True


def _alias(name: ModelName, case: Case) -> nn.Module:
    return ALIASES[name.target](case, **name.kwargs)


def _type(name: ModelName, case: Case) -> nn.Module:
    return build_model(dict(type=name.target, **name.kwargs))


def _config(name: ModelName, case: Case) -> nn.Module:
    from mmengine.model import revert_sync_batchnorm
    from mmengine.registry import init_default_scope
    cfg = read_config(name.target)
    scope = cfg.get('default_scope')
    register_scope(scope)
    init_default_scope(scope or 'mmengine')
    # one process has nobody to share statistics with
    return revert_sync_batchnorm(build_model(cfg.model))


def _callable(name: ModelName, case: Case) -> nn.Module:
    path, _, attribute = name.target.rpartition(':')
    spec = importlib.util.spec_from_file_location(
        f'_benchmarked_{Path(path).stem}', path)
    module = importlib.util.module_from_spec(spec)
    # a dataclass in the file looks its module up there
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if not hasattr(module, attribute):
        raise ValueError(f'{path} has no {attribute!r}')
    return getattr(module, attribute)(**name.kwargs)


_BUILD = dict(alias=_alias, type=_type, config=_config, callable=_callable)
