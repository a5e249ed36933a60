"""Conversion of a weight file, and its command line."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..compat.checkpoint import (
    CheckpointError,
    CheckpointNotFoundError,
    safe_load,
)
from ..compat.foreign import read_foreign
from .convert import (
    Conversion,
    ConversionError,
    check_conversion,
    convert_weights,
    save_conversion,
)
from .convert_options import add_arguments
from .errors import LaunchError


def read_official(path: Path) -> Any:
    """Read a weight file without running what it may hold.

    Args:
        path (Path): The file.

    Returns:
        Any: Its content; objects of other projects are inert.

    Raises:
        CheckpointError: If the file is missing, cut short, corrupt, or asks
            for what weights do not need.
    """
    try:
        return safe_load(path)
    except CheckpointNotFoundError:
        raise
    except CheckpointError:
        # Perhaps only for the config object beside the weights.
        with suppress(CheckpointError):
            return read_foreign(path)
        raise


def convert_file(src: Path, dst: Path, key: str | None = None,
                 backbone_only: bool = False, force: bool = False,
                 **options: Any) -> Conversion:
    """Convert an official weight file.

    Args:
        src (Path): The official file.
        dst (Path): The file to write, with the entries ``meta`` and
            ``state_dict``.
        key (str, optional): Entry of ``src`` that holds the weights. By
            default found.
        backbone_only (bool): Leave out all but the backbone. Defaults to
            False.
        force (bool): Replace ``dst`` if it exists. Defaults to False.
        **options (Any): See :func:`convert_weights`.

    Returns:
        Conversion: What was written.

    Raises:
        ConversionError: If the file cannot be converted, or ``dst`` is in
            the way. Nothing is written.
        CheckpointError: If ``src`` cannot be read. Nothing is written.
    """
    if dst.exists() and src.exists() and dst.samefile(src):
        raise ConversionError(f'{dst} is the source itself; name another file')
    if dst.is_dir():
        raise ConversionError(f'{dst} is a folder; name a file')
    if dst.exists() and not force:
        raise ConversionError(f'{dst} exists; --force replaces it')
    try:
        result = convert_weights(
            read_official(src), key, backbone_only, **options)
        unchecked = check_conversion(result)
    except ConversionError as error:
        raise ConversionError(f'{src}: {error}') from error
    if unchecked:
        result = replace(result, notes=(*result.notes, unchecked))
    save_conversion(result, dst, src.name)
    return result


def run(args: argparse.Namespace) -> int:
    """Convert, and say what was written.

    Args:
        args (argparse.Namespace): Of
            :func:`mmvision_ext.engine.convert_options.add_arguments`.

    Returns:
        int: 0.

    Raises:
        LaunchError: If the file cannot be converted. Nothing is written.
        CheckpointError: If it cannot be read. Nothing is written.
    """
    try:
        result = convert_file(args.src, args.dst, args.key,
                              args.backbone_only, args.force,
                              form=args.form, num_heads=args.num_heads)
    except ConversionError as error:
        raise LaunchError(str(error)) from error
    print(result.report())
    print(f'written: {args.dst}')
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv (Sequence[str], optional): Arguments. Defaults to those of the
            process.

    Returns:
        int: 0, or 1 after an error, which is one line on stderr.
    """
    parser = argparse.ArgumentParser(
        prog='convert_weights.py',
        description='Convert an official weight file (vHeat, iTPN, '
        'Fast-iTPN: pre-training, classification, detection, segmentation or '
        'backbone alone) to the names of this package.')
    add_arguments(parser)
    try:
        return run(parser.parse_args(argv))
    except (LaunchError, CheckpointError, OSError) as error:
        print(f'error: {" ".join(str(error).split())}', file=sys.stderr)
        return 1
