"""A backbone that says so when the weights given to it are not its own."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from mmengine.logging import print_log
from torch import nn

#: Below this share of a backbone's tensors a load is refused.
MIN_MATCH = 0.9

#: How many differing names an error prints of each kind.
NAMES_SHOWN = 3

_ADVICE = ('official weights must be converted first: '
           'python tools/convert_weights.py SRC DST')


class WeightMismatchError(ValueError):
    """The weights given to a backbone are those of another network."""


@dataclass(frozen=True)
class WeightMatch:
    """How the tensors given to a network meet its own.

    Args:
        num_own (int): Tensors that the network asks for.
        num_given (int): Tensors given for parts which it has.
        num_matched (int): Tensors of the same name and shape.
        missing (tuple[str, ...]): Own names that were not given.
        unexpected (tuple[str, ...]): Given names that are not own.
        mismatched (tuple[str, ...]): Names given with another shape, each
            followed by both shapes.
    """

    num_own: int
    num_given: int
    num_matched: int
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]

    @property
    def share(self) -> float:
        """Matched tensors over the larger of own and given, 0 to 1.

        The larger of both, because a shallow network finds each of its
        tensors in the file of a deeper one.
        """
        return self.num_matched / max(self.num_own, self.num_given, 1)

    def describe(self) -> str:
        """The figures and the first names that differ, on one line."""
        parts = [
            f'{self.num_matched} of {max(self.num_own, self.num_given)} '
            f'tensors match ({self.share:.0%}, at least {MIN_MATCH:.0%} '
            'expected)'
        ]
        for kind in ('missing', 'unexpected', 'mismatched'):
            names = getattr(self, kind)
            if names:
                shown = ', '.join(names[:NAMES_SHOWN])
                more = ', ...' if len(names) > NAMES_SHOWN else ''
                parts.append(f'{len(names)} {kind}: {shown}{more}')
        return '; '.join(parts)


def match_weights(module: nn.Module,
                  given: Mapping[str, object],
                  optional: str | None = None) -> WeightMatch:
    """Compare the tensors given to a network with its own.

    Args:
        module (nn.Module): The network.
        given (Mapping[str, object]): State dict under the names of the
            network; what is no tensor matches nothing.
        optional (str, optional): Regular expression, matched at the start of
            names that may be missing or too many, such as the norms of
            outputs that another task does not use. Defaults to None.

    Returns:
        WeightMatch: The figures and the names that differ.
    """
    own: dict[str, torch.Size] = {
        name: value.shape
        for name, value in module.state_dict().items()
        if isinstance(value, torch.Tensor)
    }
    parts = {name.split('.')[0] for name in own}
    required = [n for n in own if not (optional and re.match(optional, n))]
    names = [n for n in given if not (optional and re.match(optional, n))]
    matched, mismatched = 0, []
    for name in required:
        shape = getattr(given.get(name), 'shape', None)
        if shape == own[name]:
            matched += 1
        elif shape is not None:
            mismatched.append(
                f'{name} {tuple(shape)} instead of {tuple(own[name])}')
    return WeightMatch(
        num_own=len(required),
        num_given=sum(name.split('.')[0] in parts for name in names),
        num_matched=matched,
        missing=tuple(n for n in required if n not in given),
        unexpected=tuple(n for n in names if n not in own),
        mismatched=tuple(mismatched))


def check_loaded_weights(module: nn.Module,
                         state_dict: Mapping[str, object],
                         prefix: str,
                         optional: str | None = None) -> None:
    """Refuse weights that are not those of a backbone.

    To be called at the end of the backbone's ``_load_from_state_dict``,
    through which every way of loading passes: ``load_from``, ``resume``,
    ``init_cfg`` and ``load_state_dict``. Its children are then unchanged.
    Weights that may differ and do are named in a warning of the log.

    Args:
        module (nn.Module): The backbone.
        state_dict (Mapping[str, object]): As given to that method.
        prefix (str): As given to that method.
        optional (str, optional): See :func:`match_weights`.

    Raises:
        WeightMismatchError: If less than :data:`MIN_MATCH` of the tensors
            match by name and shape. Also if none was given: whoever
            wants the other parts of a model only loads them into those.
    """
    given = {
        name[len(prefix):]: value
        for name, value in state_dict.items() if name.startswith(prefix)
    }
    match = match_weights(module, given, optional)
    if match.share >= MIN_MATCH:
        _warn_of_optional(module, given, prefix, optional)
        return
    where = f' under {prefix!r}' if prefix else ''
    raise WeightMismatchError(
        f'these are not weights of this {type(module).__name__}{where}: '
        f'{match.describe()}. Check that arch is that of the file; {_ADVICE}')


def _warn_of_optional(module: nn.Module, given: Mapping[str, object],
                      prefix: str, optional: str | None) -> None:
    own = module.state_dict()
    for names, what in (
        ([n for n in own if n not in given],
         'not among the weights given, left as they are'),
        ([n for n in given if n not in own],
         'given without a place for them, left out')):
        parts = [m[0].rstrip('.') for m in
                 (re.match(optional or '$.', name) for name in names) if m]
        if parts:
            unique = [prefix + part for part in dict.fromkeys(parts)]
            shown = ', '.join(unique[:NAMES_SHOWN])
            more = ', ...' if len(unique) > NAMES_SHOWN else ''
            print_log(
                f'{type(module).__name__}: {len(parts)} tensors '
                f'{what}: {shown}{more}',
                logger='current',
                level=logging.WARNING)


@contextmanager
def explain_pretrained(init_cfg: object) -> Iterator[None]:
    """Name the checkpoint in what goes wrong while it initialises a backbone.

    Args:
        init_cfg (object): The backbone's ``init_cfg``.

    Raises:
        WeightMismatchError: If the checkpoint of a ``Pretrained`` entry has
            no tensor under its prefix, or not those of the backbone.
    """
    try:
        yield
    except (AssertionError, WeightMismatchError) as error:
        entries: list[object] = init_cfg if isinstance(
            init_cfg, (list, tuple)) else [init_cfg]
        files = [
            str(entry['checkpoint']) for entry in entries
            if isinstance(entry, dict) and entry.get('type') == 'Pretrained'
        ]
        # mmengine asserts that some name starts with the prefix.
        asserted = isinstance(error, AssertionError)
        if not files or (asserted
                         and 'not in the pretrained model' not in str(error)):
            raise
        advice = f'; {_ADVICE}' if asserted else ''
        raise WeightMismatchError(
            f'{", ".join(files)}: {error}{advice}') from error
