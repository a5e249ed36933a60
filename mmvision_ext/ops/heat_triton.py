"""Heat conduction by Triton where it can run, and why not where it cannot.

This module needs torch alone; Triton is imported with the first map on a GPU.
``MMVISION_TRITON=0`` in the environment switches the kernels off. With
``TRITON_INTERPRET=1`` they run on the CPU, slowly, for tests.
"""

import os
import warnings
from functools import lru_cache
from typing import Dict, Optional, Set, Tuple

import torch
from torch import Tensor

from .heat_plans import MAX_SIDE

#: Set to 0 to keep to the plain path.
SWITCH = 'MMVISION_TRITON'
#: Maps whose kernels could not be built, and why; filled by the operator.
failures: Dict[Tuple, str] = {}
_OFF = f'{SWITCH}=0'
_warned: Set[str] = set()


def failure_key(x: Tensor) -> Tuple:
    """What decides which kernels a map needs: type, device and (H, W, C)."""
    return (x.dtype, x.device, *x.shape[1:])


def _is_interpreted() -> bool:
    return os.environ.get('TRITON_INTERPRET') == '1'


@lru_cache(maxsize=32)
def _triton_problem() -> Optional[str]:
    if not hasattr(torch.library, 'custom_op'):
        return f'torch {torch.__version__} is older than 2.4'
    try:
        import triton
    except Exception as error:
        return f'Triton cannot be imported ({error})'
    if tuple(map(int, triton.__version__.split('.')[:2])) < (3, 2):
        return f'Triton {triton.__version__} is older than 3.2'
    from . import heat_op  # noqa: F401  registers the operator
    return None


@lru_cache(maxsize=32)
def _gpu_problem(index: Optional[int]) -> Optional[str]:
    if not torch.cuda.is_available() or torch.version.hip:
        return 'it needs CUDA'
    if torch.cuda.get_device_capability(index) < (8, 0):
        return 'the GPU is older than compute capability 8.0'
    return None


def _machine_problem(device: str, index: Optional[int]) -> Optional[str]:
    if os.environ.get(SWITCH) == '0':
        return _OFF
    if _is_interpreted():
        return _triton_problem()
    if device != 'cuda':
        return 'the map is not on a GPU'
    return _gpu_problem(index) or _triton_problem()


# What torch.compiler.assume_constant_result does, which would import the
# compiler here: the answer holds for as long as a compiled graph does.
_machine_problem._dynamo_marked_constant = True


def _is_export() -> bool:
    if torch.compiler.is_dynamo_compiling():
        return False  # there the answer below is always yes
    return torch.jit.is_tracing() or torch.compiler.is_exporting()


def _map_problem(x: Tensor, decay: Tensor) -> Optional[str]:
    if x.dtype not in (torch.float32, torch.float16, torch.bfloat16):
        return f'no kernel for {x.dtype}'
    if decay.dtype != torch.float32 or decay.device != x.device:
        return 'the decay is not float32 on the device of the map'
    if x.ndim != 4 or decay.shape != x.shape[1:]:
        return 'the map is not (B, H, W, C) with a decay (H, W, C)'
    if x.shape[1] > MAX_SIDE or x.shape[2] > MAX_SIDE:
        return f'a side of more than {MAX_SIDE} tokens'
    if x.shape[0] == 0 or x.shape[3] == 0:
        return 'the map is empty'
    # Offsets in a plane are 32-bit.
    if x.shape[1] * max(x.stride(1), x.shape[2] * x.shape[3]) >= 2**31:
        return 'the map is too large'
    return None


def explain_unsupported(x: Tensor, decay: Tensor) -> Optional[str]:
    """Why the kernels cannot conduct this heat.

    Args:
        x (Tensor): Heat of shape (B, H, W, C).
        decay (Tensor): Decay of shape (H, W, C).

    Returns:
        str | None: The reason; None where they can.
    """
    if _is_export():
        return 'a traced or exported graph keeps to operators of torch'
    reason = _machine_problem(x.device.type, x.device.index)
    reason = reason or _map_problem(x, decay)
    if reason is None and not torch.compiler.is_compiling():
        reason = failures.get(failure_key(x))
    return reason


def warn_once(reason: str) -> None:
    """Say, once a process and reason, that the plain path is taken."""
    if reason not in _warned:
        _warned.add(reason)
        warnings.warn(
            f'Heat conduction runs without its Triton kernels: {reason}',
            stacklevel=3)


def conduct_heat_triton(x: Tensor, decay: Tensor) -> Tensor:
    """:func:`~mmvision_ext.ops.conduct_heat` by the kernels.

    Sums are in float32. float32 maps are multiplied exactly, or in TF32 where
    :func:`torch.set_float32_matmul_precision` allows it. Gradients of both
    arguments are the same bits on every run; those of gradients are computed
    by the plain path.

    Args:
        x (Tensor): Heat of shape (B, H, W, C), in float32, float16 or
            bfloat16. Read as it lies where the channels of a token lie side
            by side, like half of a (B, H, W, 2C) map.
        decay (Tensor): Shape (H, W, C), float32, 1 at [0, 0].

    Returns:
        Tensor: Shape and type of ``x``, contiguous.

    Raises:
        ValueError: Where :func:`explain_unsupported` gives a reason.
    """
    reason = explain_unsupported(x, decay)
    if reason is not None:
        raise ValueError(f'no heat conduction by Triton: {reason}')
    return torch.ops.mmvision_ext.conduct_heat(x, decay)


def try_conduct_heat(x: Tensor, decay: Tensor) -> Optional[Tensor]:
    """:func:`conduct_heat_triton` where it can run.

    Elsewhere a map on a GPU brings one warning a reason, unless the kernels
    were switched off.

    Args:
        x (Tensor): Heat of shape (B, H, W, C).
        decay (Tensor): Decay of shape (H, W, C).

    Returns:
        Tensor | None: None where the plain path has to do.
    """
    reason = explain_unsupported(x, decay)
    if reason is None:
        return torch.ops.mmvision_ext.conduct_heat(x, decay)
    if x.is_cuda and reason != _OFF and not torch.compiler.is_compiling():
        warn_once(reason)
    return None
