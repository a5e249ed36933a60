"""Memory that a step takes, as torch's allocator sees it."""

import gc
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

# Without a GPU the profiler would complain on every use.
os.environ.setdefault('KINETO_LOG_LEVEL', '99')

#: Computes anew, returns tensors and keeps nothing.
Step = Callable[[], Sequence[Tensor | None]]


def peak_memory(step: Step, device: torch.device) -> int:
    """Run a step and count the memory that tensors take while it runs.

    Counted are the bytes asked of torch's allocator at the worst moment, what
    was there before (weights, images) left out. This is exact and the same in
    every run. On the CPU the numbers come from torch's profiler; working
    memory that a matrix library keeps to itself is not counted.

    Args:
        step (Step): The computation.
        device (torch.device): Where it runs.

    Returns:
        int: Bytes.
    """
    gc.collect()
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(
            activities=activities, profile_memory=True,
            acc_events=True) as profiler:
        step()
    return _highest_total(profiler)


def _highest_total(profiler: torch.profiler.profile) -> int:
    """The highest sum of bytes allocated and freed under a profiler."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'trace.json'
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text())['traceEvents']
    # in the order of their time; freeing counts below zero
    total = highest = 0
    for event in events:
        if event.get('name') == '[memory]':
            total += event['args']['Bytes']
            highest = max(highest, total)
    return highest


def free_memory(device: torch.device) -> int | None:
    """Bytes that can still be allocated on a device.

    Args:
        device (torch.device): The device.

    Returns:
        int | None: The number, or None where the system does not tell.
    """
    if device.type == 'cuda':
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path('/proc/meminfo').read_text().splitlines()
    except OSError:
        return None
    found = [x.split()[1] for x in lines if x.startswith('MemAvailable:')]
    return int(found[0]) * 1024 if found else None
