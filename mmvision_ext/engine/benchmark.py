"""Two forms of one computation side by side: agreement, time, peak memory.

Torch alone is needed. A *step* is a function without arguments that computes
anew and returns tensors, the same ones for both forms, and keeps nothing.
"""

import gc
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

# Without a GPU the profiler would complain on every use.
os.environ.setdefault('KINETO_LOG_LEVEL', '99')

Step = Callable[[], Sequence[Tensor]]


class DisagreementError(RuntimeError):
    """Two forms that should compute the same do not."""


@dataclass(frozen=True)
class Measurement:
    """What one form took.

    Args:
        seconds (tuple[float, ...]): Of each repeat.
        cpu_seconds (tuple[float, ...]): What the CPU worked in each repeat,
            all threads together. It hardly depends on what else a machine
            does; of a GPU it says nothing.
        peak_bytes (int): See :func:`peak_memory`.
    """

    seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    peak_bytes: int

    @property
    def median(self) -> float:
        """Median of the seconds."""
        return statistics.median(self.seconds)

    @property
    def cpu_median(self) -> float:
        """Median of the seconds that the CPU worked."""
        return statistics.median(self.cpu_seconds)


@dataclass(frozen=True)
class Comparison:
    """Two forms of one computation, measured in turns.

    Args:
        ours (Measurement): The form to be judged.
        plain (Measurement): The form it is compared with.
        difference (float): See :func:`largest_difference`.
    """

    ours: Measurement
    plain: Measurement
    difference: float

    @property
    def time_ratio(self) -> float:
        """Median time of the plain form over that of ours."""
        return self.plain.median / self.ours.median

    @property
    def cpu_time_ratio(self) -> float:
        """The same of the time that the CPU worked."""
        return self.plain.cpu_median / self.ours.cpu_median

    @property
    def memory_ratio(self) -> float:
        """Peak memory of the plain form over that of ours."""
        return self.plain.peak_bytes / self.ours.peak_bytes

    def to_dict(self) -> dict:
        """All of it for a JSON file, medians and ratios included."""
        return {
            **asdict(self),
            'ours_median_seconds': self.ours.median,
            'plain_median_seconds': self.plain.median,
            'ours_median_cpu_seconds': self.ours.cpu_median,
            'plain_median_cpu_seconds': self.plain.cpu_median,
            'time_ratio': self.time_ratio,
            'cpu_time_ratio': self.cpu_time_ratio,
            'memory_ratio': self.memory_ratio,
        }


def peak_memory(step: Step, device: torch.device) -> tuple[list[Tensor], int]:
    """Run a step and count the memory that tensors take while it runs.

    Counted are the bytes asked of torch's allocator at the worst moment, what
    was there before (weights, images) left out. This is exact and the same in
    every run. On the CPU the numbers come from torch's profiler; working
    memory that a matrix library keeps to itself is in neither form counted.

    Args:
        step (Step): The computation. What it allocated before, gradients
            for instance, must be gone.
        device (torch.device): Where it runs.

    Returns:
        tuple[list[Tensor], int]: What it returned, and bytes.
    """
    gc.collect()
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        outs = list(step())
        torch.cuda.synchronize(device)
        return outs, torch.cuda.max_memory_allocated(device) - before
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(
            activities=activities, profile_memory=True,
            acc_events=True) as profiler:
        outs = list(step())
    return outs, _highest_total(profiler)


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


def largest_difference(ours: Sequence[Tensor],
                       plain: Sequence[Tensor]) -> float:
    """How far results lie apart.

    Args:
        ours (Sequence[Tensor]): Results of one form.
        plain (Sequence[Tensor]): Those of the other, of the same shapes.

    Returns:
        float: Largest absolute difference in a tensor over the largest
        absolute value in it; of the tensors, the worst. NaN if there is one.
    """
    worst = 0.
    for a, b in zip(ours, plain, strict=True):
        error = (a.float() - b.float()).abs().max().item()
        top = b.float().abs().max().item()
        relative = error / top if top else error
        # max() would pass over a NaN on the right
        worst = relative if relative != relative else max(worst, relative)
        if worst != worst:
            break
    return worst


def compare(ours: Step, plain: Step, device: torch.device, repeats: int,
            tolerance: float) -> Comparison:
    """Measure two forms of one computation.

    Each runs once for its peak memory and its results, which also warms it
    up, then they take turns, and who is first changes each time: what else
    the machine does meets both alike.

    Args:
        ours (Step): The form to be judged.
        plain (Step): The form to compare it with.
        device (torch.device): Where they run.
        repeats (int): Turns, at least 1.
        tolerance (float): The difference that rounding may explain.

    Returns:
        Comparison: The measurements.

    Raises:
        ValueError: If ``repeats`` is below 1.
        DisagreementError: If the results differ by more.
    """
    if repeats < 1:
        raise ValueError(f'repeats is {repeats}; expected 1 or more')
    ours_outs, ours_peak = peak_memory(ours, device)
    plain_outs, plain_peak = peak_memory(plain, device)
    difference = largest_difference(ours_outs, plain_outs)
    if not difference <= tolerance:
        raise DisagreementError(
            f'the two forms differ by {difference:.2e} of the largest value; '
            f'expected at most {tolerance:.0e}, so one of them is wrong')
    del ours_outs, plain_outs
    times: dict[str, list[tuple[float, float]]] = {'ours': [], 'plain': []}
    for i in range(repeats):
        turn = [('ours', ours), ('plain', plain)]
        for name, step in turn[::-1] if i % 2 else turn:
            times[name].append(_seconds(step, device))
    return Comparison(
        Measurement(*zip(*times['ours']), ours_peak),
        Measurement(*zip(*times['plain']), plain_peak), difference)


def _seconds(step: Step, device: torch.device) -> tuple[float, float]:
    """Seconds by the clock, and those that the CPU worked."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    start, cpu_start = time.perf_counter(), time.process_time()
    step()
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return time.perf_counter() - start, time.process_time() - cpu_start


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


def device_name(device: torch.device) -> str:
    """What a device is called, and the threads of a CPU.

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
    name = names[0] if names else platform.processor() or 'CPU'
    return f'{name}, {torch.get_num_threads()} thread(s)'
