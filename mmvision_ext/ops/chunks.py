"""Rows at a time: what is made in between stays in the cache, or small."""

from typing import Iterator, Tuple

import torch

#: Bytes of what is made in between, for a core of a CPU and for a GPU. A CPU
#: has a mebibyte or two of cache a core; a GPU wants large products, and
#: chunks only bound its memory.
CPU_BYTES = 4 << 20
_GPU_BYTES = 128 << 20
#: Below so many rows a matrix product takes longer to lay out its weights.
MIN_ROWS = 512


def row_chunks(rows: int, row_bytes: int,
               device: torch.device) -> Iterator[Tuple[int, int]]:
    """Cut rows into chunks of about equal length.

    Args:
        rows (int): How many there are.
        row_bytes (int): What one row takes in between.
        device (torch.device): Where it is computed.

    Yields:
        tuple[int, int]: First row of a chunk and the one after its last.
    """
    budget = CPU_BYTES * torch.get_num_threads() if device.type == 'cpu' \
        else _GPU_BYTES
    longest = max(budget // row_bytes, MIN_ROWS)
    count = max(-(-rows // longest), 1)
    for i in range(count):
        yield rows * i // count, rows * (i + 1) // count
