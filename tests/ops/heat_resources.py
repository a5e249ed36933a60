"""Compiles the Triton kernels as they are launched, without a GPU.

    python tests/ops/heat_resources.py          # every size below
    python tests/ops/heat_resources.py --quick  # what the tests compile

Prints, as one JSON object a line, what a program takes of a GPU: shared
memory in bytes, registers and bytes of spilled registers a thread.
"""
import argparse
import json
import os
import re
import subprocess
import tempfile
from typing import Any, Dict, List, Tuple

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from mmvision_ext.ops import heat_launch

KERNELS = ('conduct_plane', 'conduct_plane_backward', 'transform_rows',
           'conduct_columns', 'sum_decay_gradient')
# H, W, C, type: the stages of vHeat-T at 224, 512 and 800 x 1280 pixels
SIZES = [
    (7, 7, 768, 'bfloat16'), (14, 14, 384, 'bfloat16'),
    (28, 28, 192, 'bfloat16'), (56, 56, 96, 'bfloat16'),
    (25, 40, 768, 'bfloat16'), (128, 128, 96, 'bfloat16'),
    (200, 320, 96, 'bfloat16'), (304, 304, 96, 'bfloat16'),
    (56, 56, 96, 'float16'), (14, 14, 384, 'float32'),
    (28, 28, 192, 'float32'), (56, 56, 96, 'float32'),
    (128, 128, 96, 'float32'), (200, 320, 96, 'float32'),
]
QUICK = [(28, 28, 192, 'bfloat16'), (56, 56, 96, 'bfloat16'),
         (200, 320, 96, 'bfloat16')]


class Recorder:
    """Stands for a kernel and keeps the arguments of its launches."""

    def __init__(self, kernel: Any, calls: List[Tuple]) -> None:
        self.kernel = kernel
        self.calls = calls

    def __getitem__(self, grid: Tuple[int]) -> Any:
        return lambda *args, **kwargs: self.calls.append(
            (self.kernel, args, kwargs))


def record(h: int, w: int, c: int, dtype: str) -> List[Tuple]:
    """Launches of a step of training on a map of two images."""
    calls = []
    kernels = {name: getattr(heat_launch, name) for name in KERNELS}
    for name, kernel in kernels.items():
        setattr(heat_launch, name, Recorder(kernel, calls))
    x = torch.zeros(2, h, w, 2 * c, dtype=getattr(torch, dtype))
    x, decay = x.chunk(2, -1)[0], torch.zeros(h, w, c)
    heat_launch.conduct(x, decay)
    heat_launch.conduct_backward(x.contiguous(), x, decay)
    for name, kernel in kernels.items():
        setattr(heat_launch, name, kernel)
    return calls


def build(kernel: Any, args: Tuple, kwargs: Dict, target: int) -> Any:
    """Compile one launch for compute capability ``target``."""
    types = {torch.bfloat16: '*bf16', torch.float16: '*fp16',
             torch.float32: '*fp32'}
    options = {k: v for k, v in kwargs.items() if k.startswith('num_')}
    values = dict(zip(kernel.arg_names, args))
    values.update((k, v) for k, v in kwargs.items() if k not in options)
    signature, constants, attributes = {}, {}, {}
    for i, name in enumerate(kernel.arg_names):
        value = values[name]
        if kernel.params[i].is_constexpr:
            signature[name], constants[(i, )] = 'constexpr', value
            continue
        is_tensor = isinstance(value, torch.Tensor)
        signature[name] = types[value.dtype] if is_tensor else 'i32'
        if is_tensor or value % 16 == 0:
            attributes[(i, )] = [['tt.divisibility', 16]]
    source = ASTSource(kernel, signature, constants, attributes)
    return triton.compile(source, target=GPUTarget('cuda', target, 32),
                          options=options)


def measure(binary: Any) -> Dict[str, int]:
    tool = os.path.join(os.path.dirname(triton.__file__), 'backends',
                        'nvidia', 'bin', 'cuobjdump')
    with tempfile.NamedTemporaryFile(suffix='.cubin') as file:
        file.write(binary.asm['cubin'])
        file.flush()
        text = subprocess.run([tool, '-res-usage', file.name], check=True,
                              capture_output=True, text=True).stdout
    registers, stack = re.search(r'REG:(\d+) STACK:(\d+)', text).groups()
    return dict(shared=binary.metadata.shared, registers=int(registers),
                spilled=int(stack))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--quick', action='store_true')
    quick = parser.parse_args().quick
    done = set()
    for size in QUICK if quick else SIZES:
        for kernel, args, kwargs in record(*size):
            key = (kernel.__name__, args[0].dtype, *sorted(kwargs.items()))
            for target in (80, 90):
                if (key, target) in done:
                    continue
                done.add((key, target))
                result = dict(kernel=kernel.__name__, map=size,
                              target=target, **kwargs)
                result.update(measure(build(kernel, args, kwargs, target)))
                print(json.dumps(result), flush=True)


if __name__ == '__main__':
    main()
