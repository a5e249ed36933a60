"""Times of several computations that take turns."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

from .memory import Step


@dataclass
class Times:
    """What the turns of one computation took.

    Args:
        seconds (list[float]): By the clock.
        cpu_seconds (list[float]): What the CPU worked, all threads together.
            It hardly depends on what else a machine does; of a GPU it says
            nothing.
    """

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Median of the seconds."""
        return statistics.median(self.seconds)

    @property
    def cpu_median(self) -> float:
        """Median of the seconds that the CPU worked."""
        return statistics.median(self.cpu_seconds)


class Turns:
    """Computations that take turns, so that all meet the same machine.

    In each round every one runs once, and the order is rotated by one.

    Args:
        steps (Mapping[str, Step]): The computations, warmed up.
        device (torch.device): Where they run.

    Attributes:
        times (dict[str, Times]): Complete after each turn.
        failures (dict[str, Exception]): What ended a computation, which then
            takes no more turns.
    """

    def __init__(self, steps: Mapping[str, Step],
                 device: torch.device) -> None:
        self._steps = dict(steps)
        self._device = device
        self.times = {name: Times() for name in steps}
        self.failures: dict[str, Exception] = {}

    def run(self, rounds: int,
            progress: Callable[[int], None] = lambda done: None) -> None:
        """Take turns.

        Args:
            rounds (int): Turns of each.
            progress (Callable[[int], None]): Called with the number of
                finished rounds after each. Defaults to nothing.
        """
        names = list(self._steps)
        for i in range(rounds):
            first = i % len(names) if names else 0
            for name in names[first:] + names[:first]:
                if name not in self.failures:
                    self._turn(name)
            progress(i + 1)

    def _turn(self, name: str) -> None:
        try:
            seconds, cpu_seconds = measure(self._steps[name], self._device)
        except Exception as error:  # any code may run here
            self.failures[name] = error
            return
        self.times[name].seconds.append(seconds)
        self.times[name].cpu_seconds.append(cpu_seconds)


def measure(step: Step, device: torch.device) -> tuple[float, float]:
    """Run a step once.

    Args:
        step (Step): The computation.
        device (torch.device): Where it runs; a GPU is waited for.

    Returns:
        tuple[float, float]: Seconds by the clock, and those that the CPU
        worked.
    """
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    start, cpu_start = time.perf_counter(), time.process_time()
    step()
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return time.perf_counter() - start, time.process_time() - cpu_start
