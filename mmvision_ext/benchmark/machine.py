"""The machine and the versions that numbers belong to."""

import platform
from pathlib import Path
from typing import Any

import torch

from ..compat.stack import detect_stack
from ..version import __version__


def describe_machine(device: torch.device) -> dict[str, Any]:
    """What a number cannot be understood without.

    Args:
        device (torch.device): Where models run.

    Returns:
        dict[str, Any]: ``device_name``, ``threads`` and ``versions``; for a
        GPU also how products in float32 are rounded.
    """
    found: dict[str, Any] = dict(
        device_name=device_name(device),
        threads=torch.get_num_threads(),
        versions=[f'Python {platform.python_version()}',
                  f'torch {torch.__version__}',
                  f'mmvision_ext {__version__}',
                  *map(str, detect_stack().parts)])
    if device.type == 'cuda':
        found['float32'] = (
            f'matmul {torch.get_float32_matmul_precision()}, convolutions '
            f'{"TF32" if torch.backends.cudnn.allow_tf32 else "float32"}')
    return found


def device_name(device: torch.device) -> str:
    """What a device is called.

    Args:
        device (torch.device): The device.

    Returns:
        str: The name.
    """
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        lines = []
    names = [x.split(':', 1)[1].strip() for x in lines
             if x.startswith('model name')]
    return names[0] if names else platform.processor() or 'CPU'
