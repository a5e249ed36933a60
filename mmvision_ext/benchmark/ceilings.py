"""What a machine can do at most, measured beside the models."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ..ops.gemm import product
from .memory import Step
from .turns import Times

#: Sides of the square matrices that are multiplied, and bytes that are
#: copied: more than caches hold.
CPU_SIDES, CPU_COPY = (512, 1024, 2048), 256 << 20
GPU_SIDES, GPU_COPY = (2048, 4096, 8192), 1 << 30


@dataclass(frozen=True)
class Ceilings:
    """The best rates of a machine.

    Args:
        flops (float): Floating-point operations a second of the fastest
            matrix product, two a multiply-add.
        bytes (float): Bytes a second of a large copy, those read and those
            written.
    """

    flops: float
    bytes: float


class CeilingProbe:
    """Matrix products and a copy, ready to take turns with models.

    Args:
        device (torch.device): Where they run.
        dtype (torch.dtype): Type of the matrices.

    Attributes:
        steps (dict[str, Step]): By name.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        gpu = device.type == 'cuda'
        self.steps: dict[str, Step] = {}
        self._work: dict[str, int] = {}
        sides = GPU_SIDES if gpu else CPU_SIDES
        if not gpu and dtype == torch.float16:
            # a CPU without instructions for it needs minutes for the others
            sides = sides[:1]
        for side in sides:
            self._add_product(side, device, dtype)
        self._add_copy(GPU_COPY if gpu else CPU_COPY, device)

    def _add_product(self, side: int, device: torch.device,
                     dtype: torch.dtype) -> None:
        a, b = (torch.randn(side, side, device=device).to(dtype)
                for _ in range(2))
        out = torch.empty_like(a)
        # torch's own product is not always that of the fastest library
        for name, step in (('product', lambda: [torch.mm(a, b, out=out)]),
                           ('layer product', lambda: [product(a, b)])):
            self.steps[f'{name} {side}'] = step
            self._work[f'{name} {side}'] = 2 * side**3

    def _add_copy(self, number: int, device: torch.device) -> None:
        # written once, so that the system has given the pages
        source, target = (torch.ones(number // 4, device=device)
                          for _ in range(2))
        self.steps['copy'] = lambda: [target.copy_(source)]
        self._work['copy'] = 2 * source.nbytes

    def rates(self, times: Mapping[str, Times]) -> Ceilings:
        """The ceilings.

        Args:
            times (Mapping[str, Times]): At least one turn of each step.

        Returns:
            Ceilings: From the medians.
        """
        rates = {name: work / times[name].median
                 for name, work in self._work.items()}
        copy = rates.pop('copy')
        return Ceilings(max(rates.values()), copy)
