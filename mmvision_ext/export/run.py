"""From a config and a checkpoint to a checked file."""

import copy
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..engine.errors import LaunchError
from ..version import __version__
from . import formats
from .check import SHAPES, Comparison, compare
from .graph import MAX_SIDE, MIN_SIDE, Pipeline, capture
from .source import Source, load_source

#: Largest relative difference that passes, by format.
TOLERANCE = {'onnx': 1e-4, 'torch-export': 1e-5}
_SUFFIX = {'onnx': '.onnx', 'torch-export': '.pt2'}
_INT8_TOLERANCE = 0.1


@dataclass(frozen=True)
class ExportRequest:
    """What to export, and how.

    Args:
        config (str): A config file.
        weights (str): A checkpoint of it.
        out (Path): The file to write.
        format (str): 'onnx' or 'torch-export'. Defaults to 'onnx'.
        part (str): 'model' or 'backbone'. Defaults to 'model'.
        size (tuple[int, int], optional): Height and width in pixels that the
            file is for. Defaults to None, any.
        opset (int): Version of ONNX operators. Defaults to 18.
        int8 (bool): Hold weights in eight bits. Defaults to False.
        normalise (bool): Whether the file takes pixels from 0 to 255 and
            normalises them. Defaults to True.
    """

    config: str
    weights: str
    out: Path
    format: str = 'onnx'
    part: str = 'model'
    size: tuple[int, int] | None = None
    opset: int = formats.MIN_OPSET
    int8: bool = False
    normalise: bool = True


def export_model(request: ExportRequest) -> list[Comparison]:
    """Export a network, check the file, and only then put it in place.

    Args:
        request (ExportRequest): What to export.

    Returns:
        list[Comparison]: How the file differs from the network.

    Raises:
        LaunchError: If something asked for makes no sense, a package is
            missing, or the file says something else than the network; there
            is no file then, or the one that was there.
    """
    _check(request)
    source = load_source(request.config, request.weights, request.part)
    network = Pipeline(source, request.normalise)
    exported = network
    if request.int8 and request.format == 'torch-export':
        exported = copy.deepcopy(network)
        formats.quantise_linears(exported)
    try:
        program = capture(exported, request.size)
    except Exception as error:
        # torch has no class for what it cannot capture
        raise LaunchError(_uncaptured(request, error)) from error
    request.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
            dir=request.out.parent, prefix='.export-') as folder:
        path = Path(folder, f'file{_SUFFIX[request.format]}')
        count = len(network.model.out_indices) \
            if source.task == 'backbone' and \
            getattr(network.model, 'out_type', '') != 'avg_featmap' else 1
        outputs = [f'map{i}' for i in range(count)] \
            if source.task == 'backbone' else ['logits']
        meta = _meta(source, request, outputs)
        if request.format == 'onnx':
            formats.write_onnx(program, path, outputs, meta, request.opset,
                               request.int8)
            run = formats.run_onnx(path)
        else:
            formats.write_pt2(program, path, meta)
            run = formats.run_pt2(path)
        shapes = SHAPES if request.size is None else \
            ((1, *request.size), (2, *request.size))
        try:
            found = compare(network, run, shapes, source.task != 'backbone',
                            255. if request.normalise else 1.)
        except Exception as error:
            # each runtime has errors of its own
            reason = str(error).strip().partition('\n')[0][:200]
            raise LaunchError(
                f'the exported graph fails at a size of the check: {reason}; '
                f'give one size with --size HxW; nothing was written to '
                f'{request.out}') from error
        _judge(found, request)
        os.replace(path, request.out)
    return found


def _check(request: ExportRequest) -> None:
    suffix = _SUFFIX[request.format]
    if request.out.suffix != suffix or request.out.is_dir():
        raise LaunchError(f'OUT is {request.out}; expected a file name that '
                          f'ends in {suffix}')
    if request.size and not all(
            MIN_SIDE <= side <= MAX_SIDE for side in request.size):
        raise LaunchError(f'--size {request.size[0]}x{request.size[1]}: '
                          f'expected sides from {MIN_SIDE} to {MAX_SIDE}')
    if request.opset < formats.MIN_OPSET:
        raise LaunchError(f'--opset {request.opset}: expected '
                          f'{formats.MIN_OPSET} or more')
    if request.format == 'onnx':
        formats.require('onnx', 'onnxscript', 'onnxruntime')
    elif request.int8:
        formats.require('torchao')


def _uncaptured(request: ExportRequest, error: Exception) -> str:
    reason = str(error).strip().partition('\n')[0][:200]
    help_ = 'give one size with --size HxW' if request.size is None else \
        'this network cannot be exported'
    return (f'config {request.config}: torch cannot capture its graph: '
            f'{reason}; {help_}')


def _meta(source: Source, request: ExportRequest,
          outputs: list[str]) -> dict[str, str]:
    if request.size is None:
        size = f'any, {MIN_SIDE} to {MAX_SIDE} a side'
    else:
        size = f'{request.size[0]}x{request.size[1]}'
    values = dict(
        model=source.name, task=source.task, classes=list(source.classes),
        input='images', input_order='RGB', outputs=outputs, size=size,
        normalisation='inside' if request.normalise else 'outside',
        mean=list(source.mean), std=list(source.std),
        to_rgb=source.rgb, int8=request.int8, version=__version__)
    return {f'mmvision_ext.{key}': value if isinstance(value, str)
            else json.dumps(value) for key, value in values.items()}


def _judge(found: list[Comparison], request: ExportRequest) -> None:
    worst = max(found, key=lambda item: item.difference)
    limit = _INT8_TOLERANCE if request.int8 else TOLERANCE[request.format]
    if not worst.difference <= limit:
        raise LaunchError(
            f'the exported graph differs from the network by '
            f'{worst.difference:.1e} at {worst.shape[1]} x {worst.shape[2]}, '
            f'more than {limit:g}; nothing was written to {request.out}')
