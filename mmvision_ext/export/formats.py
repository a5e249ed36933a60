"""Write a graph into a file and run such a file."""

import json
import logging
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from ..engine.errors import LaunchError

Run = Callable[[Tensor], list[Tensor]]
Program = torch.export.ExportedProgram

#: ONNX operators that the graphs need are there from this opset on.
MIN_OPSET = 18


def require(*packages: str) -> None:
    """Check that packages of the extra are installed.

    Args:
        *packages (str): Their import names.

    Raises:
        LaunchError: If one is missing.
    """
    for package in packages:
        if find_spec(package) is None:
            raise LaunchError(f'{package} is not installed, which this '
                              "export needs: pip install "
                              "'mmvision_ext[export]'")


def quantise_linears(model: nn.Module) -> None:
    """Hold the weights of linear layers in eight bits; in place.

    Args:
        model (nn.Module): The network.
    """
    from torchao.quantization import Int8WeightOnlyConfig, quantize_
    from torchao.utils import unwrap_tensor_subclass
    quantize_(model, Int8WeightOnlyConfig())
    unwrap_tensor_subclass(model)


def write_onnx(program: Program, path: Path, outputs: list[str],
               meta: dict[str, str], opset: int, int8: bool) -> None:
    """Write an ONNX file.

    Args:
        program (torch.export.ExportedProgram): The graph.
        path (Path): The file.
        outputs (list[str]): Names of the outputs.
        meta (dict[str, str]): Metadata of the file.
        opset (int): Version of the operators.
        int8 (bool): Hold constant factors of products in eight bits.
    """
    import onnx
    exported = torch.onnx.export(
        program, dynamo=True, verbose=False, opset_version=opset,
        input_names=['images'], output_names=outputs)
    model = exported.model_proto
    if int8:
        model = _onnx_int8(model)
    onnx.helper.set_model_props(model, meta)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _onnx_int8(model: object) -> object:
    from onnxruntime.quantization.matmul_nbits_quantizer import (
        MatMulNBitsQuantizer,
    )
    # It tells of every node on the way.
    logging.getLogger(MatMulNBitsQuantizer.__module__).setLevel(
        logging.WARNING)
    quantizer = MatMulNBitsQuantizer(
        model, bits=8, block_size=32, is_symmetric=True)
    quantizer.process()
    return quantizer.model.model


def run_onnx(path: Path) -> Run:
    """Open an ONNX file with ONNX Runtime on the CPU.

    Args:
        path (Path): The file.

    Returns:
        Callable: From images to the list of outputs.
    """
    import onnxruntime
    session = onnxruntime.InferenceSession(
        str(path), providers=['CPUExecutionProvider'])
    return lambda images: [
        torch.from_numpy(out)
        for out in session.run(None, {'images': images.numpy()})]


def write_pt2(program: Program, path: Path, meta: dict[str, str]) -> None:
    """Write what ``torch.export.load`` reads.

    Args:
        program (torch.export.ExportedProgram): The graph.
        path (Path): The file, ending in ``.pt2``.
        meta (dict[str, str]): Metadata, in the extra file ``meta.json``.
    """
    torch.export.save(program, str(path),
                      extra_files={'meta.json': json.dumps(meta)})


def run_pt2(path: Path) -> Run:
    """Open a file of :func:`write_pt2`.

    Args:
        path (Path): The file.

    Returns:
        Callable: From images to the list of outputs.
    """
    module = torch.export.load(str(path)).module()
    return lambda images: list(module(images))
