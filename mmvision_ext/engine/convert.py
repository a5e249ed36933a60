"""Conversion of official weight files, whatever the family of networks."""

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..version import __version__
from .build import MissingPackageError, build_model, load_weights

#: Modules with ``recognise(source) -> bool`` and
#: ``convert(source, backbone_only) -> Conversion``, each of one family of
#: networks; ``OPTIONS`` names further arguments of ``convert``. By name, so
#: that no family is imported for the sake of another.
FAMILIES: tuple[str, ...] = ('mmvision_ext.vheat.convert',
                             'mmvision_ext.itpn.convert')

# Where a checkpoint keeps its weights. The first is what the original code
# loads when it has also kept an average.
_CONTAINERS = ('model', 'state_dict', 'module', 'model_ema')

_BACKBONE = 'backbone.'


class ConversionError(ValueError):
    """The file cannot be converted; the message says why."""


@dataclass(frozen=True)
class SourceWeights:
    """The tensors of an official file, sorted for the families.

    Args:
        backbone (dict[str, Tensor]): By name without prefix. All tensors of
            a file that holds one network without prefixes.
        rest (dict[str, Tensor]): The other parts of a detector or segmentor.
        raw_names (dict[str, str]): Name in the file of each name in
            ``backbone`` and ``rest``.
        not_tensors (tuple[str, ...]): Entries that are no tensors.
    """

    backbone: dict[str, Tensor]
    rest: dict[str, Tensor]
    raw_names: dict[str, str]
    not_tensors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conversion:
    """Weights under the names of our networks, and what became of the old.

    Args:
        family (str): Name of the networks, such as 'vHeat'.
        form (str): 'classification', 'detection', 'segmentation',
            'backbone' or a kind of pre-training.
        arch (str): The architecture in words.
        model (dict): Config from which ``MODELS`` builds the network.
        state_dict (dict[str, Tensor]): Weights of that network; those of a
            backbone under 'backbone.' in every form.
        sources (dict[str, str]): Name in :class:`SourceWeights` for each
            name in ``state_dict``.
        reshaped (tuple[str, ...]): New names of tensors of another shape,
            but the same values.
        resized (tuple[str, ...]): New names of interpolated tensors.
        dropped (tuple[str, ...]): Entries of the file left out.
        ignored (tuple[str, ...]): Entries that hold no weights but what the
            network computes by itself, such as indices; left out too.
        notes (tuple[str, ...]): What the user should know.
    """

    family: str
    form: str
    arch: str
    model: dict[str, Any]
    state_dict: dict[str, Tensor]
    sources: dict[str, str]
    reshaped: tuple[str, ...] = ()
    resized: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def report(self) -> str:
        """What was recognised and the counts, a few lines of text."""
        renamed = sum(new != old for new, old in self.sources.items())
        lines = [
            f'recognised: {self.family} {self.form} ({self.arch})',
            f'matched {len(self.state_dict)}, renamed {renamed}, '
            f'reshaped {len(self.reshaped)}, resized {len(self.resized)}, '
            f'dropped {len(self.dropped)}'
        ]
        if self.ignored:
            lines.append(f'ignored {len(self.ignored)} without weights: '
                         f'{shorten(self.ignored, 8)}')
        if self.resized:
            lines.append(f'resized: {shorten(self.resized, 8)}')
        if self.dropped:  # all of them: nothing is lost without a word
            lines.append(f'dropped: {", ".join(self.dropped)}')
        return '\n'.join(lines + list(self.notes))


def shorten(names: Sequence[str], shown: int = 3) -> str:
    """The first of some names, for a message.

    Args:
        names (Sequence[str]): The names.
        shown (int): How many to print. Defaults to 3.

    Returns:
        str: The names, with '...' in place of the others.
    """
    return ', '.join(list(names)[:shown]) + (', ...' if len(names) > shown
                                             else '')


def find_weights(content: Any, key: str | None = None
                 ) -> tuple[Mapping[str, Any], str]:
    """Find the state dict in what a checkpoint file holds.

    Args:
        content (Any): The file's content.
        key (str, optional): The entry to use, such as 'model_ema'. By
            default the first of 'model', 'state_dict', 'module' and
            'model_ema' that the file has, or the content itself.

    Returns:
        tuple[Mapping[str, Any], str]: The state dict and its entry, '' for
        the content itself.

    Raises:
        ConversionError: If there is none.
    """
    if not isinstance(content, Mapping):
        raise ConversionError('the file holds a '
                              f'{type(content).__name__}, no state dict')
    if key is not None and not isinstance(content.get(key), Mapping):
        raise ConversionError(f'the file has no weights under {key!r}; it '
                              f'holds {shorten(list(map(str, content)), 8)}')
    keys = [key] if key is not None else [
        name for name in _CONTAINERS if isinstance(content.get(name), Mapping)
    ]
    weights = content[keys[0]] if keys else content
    if not any(isinstance(value, Tensor) for value in weights.values()):
        raise ConversionError('the file holds no tensors'
                              f'{f" under {keys[0]!r}" if keys else ""}')
    return weights, keys[0] if keys else ''


def sort_weights(weights: Mapping[str, Any]) -> SourceWeights:
    """Strip the prefixes that wrappers add and part backbone from heads.

    Args:
        weights (Mapping[str, Any]): A state dict; 'module.' and 'backbone.'
            may stand before its names in any order and number, and where
            nothing has 'backbone.', 'encoder.' too.

    Returns:
        SourceWeights: The tensors.

    Raises:
        ConversionError: If two entries end with the same name.
    """
    names: dict[str, str] = {}
    # heads of detectors have encoders of their own
    wrapper = 'backbone' if any(
        re.match(r'(module\.)*backbone\.', str(raw))
        for raw in weights) else 'encoder'
    for raw in weights:
        prefix, name = re.fullmatch(rf'((?:module\.|{wrapper}\.)*)(.*)',
                                    str(raw), re.DOTALL).groups()
        name = (_BACKBONE if _BACKBONE in prefix else '') + name
        if name in names:
            raise ConversionError(
                f'{names[name]} and {raw} are the same tensor behind their '
                'prefixes; the file mixes two networks')
        names[name] = raw
    tensors = {n: weights[r] for n, r in names.items()
               if isinstance(weights[r], Tensor)}
    prefixed = any(name.startswith(_BACKBONE) for name in tensors)
    backbone: dict[str, Tensor] = {}
    rest: dict[str, Tensor] = {}
    raw_names: dict[str, str] = {}
    for name, tensor in tensors.items():
        inside = name.startswith(_BACKBONE) or not prefixed
        short = name[len(_BACKBONE):] if inside and prefixed else name
        (backbone if inside else rest)[short] = tensor
        raw_names[short] = str(names[name])
    return SourceWeights(
        backbone, rest, raw_names,
        tuple(str(raw) for n, raw in names.items() if n not in tensors))


def convert_weights(content: Any, key: str | None = None,
                    backbone_only: bool = False,
                    **options: Any) -> Conversion:
    """Convert what an official file holds.

    Args:
        content (Any): The file's content.
        key (str, optional): See :func:`find_weights`.
        backbone_only (bool): Leave out all but the backbone. Defaults to
            False.
        **options (Any): What only some families take, see their
            ``OPTIONS``; None counts as not given.

    Returns:
        Conversion: With the names of the file in ``sources``, ``dropped``
        and ``ignored``. Every entry of the file's state dict is in one of
        them.

    Raises:
        ConversionError: If no family knows the file, or its own refuses it.
    """
    weights, used = find_weights(content, key)
    meta = content.get('meta')
    if isinstance(meta, Mapping) and 'mmvision_ext_version' in meta:
        raise ConversionError('the file is a converted one already')
    source = sort_weights(weights)
    families = [import_module(name) for name in FAMILIES]
    family = next((f for f in families if f.recognise(source)), None)
    if family is None:
        raise ConversionError(
            'these are not weights of a known family (vHeat, iTPN, '
            f'Fast-iTPN): the file holds {shorten(list(map(str, weights)))}')
    options = {k: v for k, v in options.items() if v is not None}
    unknown = sorted(set(options) - set(getattr(family, 'OPTIONS', ())))
    if unknown:
        raise ConversionError(f'{", ".join(unknown)}: not for this file; '
                              'leave it out')
    result: Conversion = family.convert(
        source, backbone_only=backbone_only, **options)
    raw = source.raw_names
    notes = list(result.notes)
    others = [k for k in _CONTAINERS
              if k != used and isinstance(content.get(k), Mapping)]
    if used and others:
        notes.append(f'note: {used!r} was converted; the file also has '
                     f'{shorten(others)} (choose with --key)')
    broken = [name for name, tensor in result.state_dict.items()
              if tensor.is_floating_point() and not tensor.isfinite().all()]
    if broken:
        notes.append(f'warning: {len(broken)} tensors hold NaN or infinity: '
                     f'{shorten(broken)}')
    result = replace(
        result,
        # Own memory: a view would drag its whole storage into the file.
        state_dict={n: t.detach().clone().contiguous()
                    for n, t in result.state_dict.items()},
        sources={new: raw[old] for new, old in result.sources.items()},
        dropped=tuple(raw[n] for n in result.dropped) + source.not_tensors,
        ignored=tuple(raw[n] for n in result.ignored),
        notes=tuple(notes))
    _account(list(map(str, weights)), result)
    return result


def _account(names: list[str], result: Conversion) -> None:
    told = sorted([*result.sources.values(), *result.dropped,
                   *result.ignored])
    if told != sorted(names) or set(result.sources) != set(result.state_dict):
        raise RuntimeError('the conversion lost track of tensors; this is a '
                           "defect of the family's converter")


def check_conversion(result: Conversion) -> str | None:
    """Build the network of the config and load the weights strictly.

    Args:
        result (Conversion): The conversion.

    Returns:
        str | None: Why it could not be checked, None if it was.

    Raises:
        ConversionError: If the weights do not fit the network.
    """
    try:
        model = build_model(result.model)
    except MissingPackageError as error:
        return f'note: not tried by building the network: {error}'
    try:
        load_weights(model, result.state_dict)
    except (RuntimeError, ValueError) as error:
        reason = ' '.join(str(error).split())
        raise ConversionError(
            f'the weights are not those of a stock {result.model["type"]}: '
            f'{reason[:400]}; --backbone-only converts the backbone alone'
        ) from error
    return None


def save_conversion(result: Conversion, dst: Path, source: str) -> None:
    """Write a conversion, whole or not at all.

    Args:
        result (Conversion): The conversion.
        dst (Path): The file; replaced if it exists.
        source (str): Name of the official file, kept in ``meta``.
    """
    meta = dict(
        model=result.model,
        family=result.family,
        form=result.form,
        arch=result.arch,
        source=source,
        mmvision_ext_version=__version__)
    dst.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        dir=dst.parent, prefix=f'.{dst.name}.', suffix='.tmp')
    try:
        with os.fdopen(handle, 'wb') as file:
            torch.save(dict(meta=meta, state_dict=result.state_dict), file)
        # mkstemp makes it private; give it the rights of any new file
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, dst)
    except BaseException:
        os.unlink(name)
        raise
