"""Block sizes of the Triton kernels of heat conduction.

Chosen so that, compiled for sm_80 and sm_90, no kernel takes more shared
memory than either has, and registers spill at 64 x 64 only
(tests/ops/heat_resources.py prints it). Not tuned on a GPU.
"""

from dataclasses import dataclass
from typing import Optional

import torch

#: Largest H or W in tokens: the pass over columns sums a whole row of the
#: result in registers.
MAX_SIDE = 512


def _power_of_2(length: int, least: int) -> int:
    return max(least, 1 << (length - 1).bit_length())


@dataclass(frozen=True)
class PlanePlan:
    """How one kernel treats a plane that stays on chip.

    Args:
        height (int): H, padded; at least 16, the least a tensor core takes.
        width (int): W, padded likewise.
        channels (int): Channels a program. 32 bytes of them are one sector
            of memory, fewer are read with their neighbours.
        rows (int): Frequencies of rows treated at a time.
        backward_channels (int): Channels of a program that computes both
            gradients and holds three spectra; 0 if it would not fit.
        warps (int): Warps of 32 threads a program.
    """

    height: int
    width: int
    channels: int
    rows: int
    backward_channels: int
    warps: int = 8


# Padded tokens a plane -> channels forward, channels backward. The sum in
# float32 takes 4 * tokens * channels bytes of the 256 KiB of registers, its
# decay as much for `rows` rows. In float32 products run outside of the
# tensor cores and their operands are in registers as well.
_PLANES_16_BIT = {256: (32, 16), 512: (16, 8), 1024: (16, 8), 2048: (8, 0),
                  4096: (8, 0)}
_PLANES_32_BIT = {256: (16, 8), 512: (8, 0), 1024: (8, 0)}


def plan_plane(height: int, width: int,
               dtype: torch.dtype) -> Optional[PlanePlan]:
    """Blocks for a map of H x W tokens in one kernel.

    Args:
        height (int): H in tokens.
        width (int): W in tokens.
        dtype (torch.dtype): Type of the map.

    Returns:
        PlanePlan | None: None where a plane does not fit on chip.
    """
    height, width = _power_of_2(height, 16), _power_of_2(width, 16)
    planes = _PLANES_32_BIT if dtype == torch.float32 else _PLANES_16_BIT
    channels = planes.get(height * width)
    # The longer side is that of a product whose operand is in registers.
    if channels is None or max(height, width) > 2 * min(height, width):
        return None
    return PlanePlan(height, width, channels[0], 16, channels[1])


@dataclass(frozen=True)
class PassPlan:
    """How three kernels treat a plane of any size.

    Args:
        height (int): Side of the padded basis of H.
        width (int): Side of the padded basis of W.
        channels (int): Channels a program.
        outputs (int): Rows of the result in the transform of rows.
        frequencies (int): Frequencies of columns treated at a time.
        sum_frequencies (int): As many in the gradient of the decay.
        inner (int): Tokens a step along the axis that is transformed.
        columns (int): Columns a program in the transform of rows.
        rows (int): Rows a program in the transform of columns.
        warps (int): Warps of 32 threads a program.
        stages (int): Steps in flight while one is computed.
    """

    height: int
    width: int
    channels: int
    outputs: int
    frequencies: int
    sum_frequencies: int
    inner: int
    columns: int
    rows: int
    warps: int = 8
    stages: int = 2


def plan_passes(height: int, width: int, dtype: torch.dtype) -> PassPlan:
    """Blocks for a map of H x W tokens in three passes.

    Args:
        height (int): H in tokens, at most :data:`MAX_SIDE`.
        width (int): W in tokens, at most :data:`MAX_SIDE`.
        dtype (torch.dtype): Type of the map.

    Returns:
        PassPlan: Valid for every size up to the limit.
    """
    height, width = _power_of_2(height, 64), _power_of_2(width, 64)
    if dtype != torch.float32:
        # The sum of a row is `width * rows * channels`: 64 KiB at most.
        return PassPlan(height, width, 32, min(height, 128), 64,
                        min(width, 128), 64, 4, 1 if width > 256 else 2)
    return PassPlan(height, width, 16, 64, 32, 64, 32, 4,
                    2 if width > 128 else 4)
