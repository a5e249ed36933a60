"""What is measured: image size, batch, mode, device and type."""

import re
from dataclasses import dataclass

import torch

from ..engine.errors import LaunchError

DTYPES = {
    'float32': torch.float32,
    'bfloat16': torch.bfloat16,
    'float16': torch.float16
}
MODES = ('infer', 'train')


@dataclass(frozen=True)
class Case:
    """The setting that all models meet alike.

    Args:
        height (int): Of the images, in pixels.
        width (int): Of the images, in pixels.
        batch (int): Images a step. Defaults to 1.
        mode (str): 'infer', all outputs without gradients; or 'train',
            forward and backward, without an optimiser. Defaults to 'infer'.
        device (str): 'cpu', 'cuda' or 'cuda:N'. Defaults to 'cpu'.
        dtype (str): A key of :data:`DTYPES`; other than float32 it is
            autocast. Defaults to 'float32'.
        compile (bool): Compile the model with torch. Defaults to False.
        with_cp (bool): Recompute blocks in the backward pass. Defaults to
            False.
    """

    height: int
    width: int
    batch: int = 1
    mode: str = 'infer'
    device: str = 'cpu'
    dtype: str = 'float32'
    compile: bool = False
    with_cp: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    @property
    def torch_device(self) -> torch.device:
        """The device as torch names it."""
        return torch.device(self.device)

    def __str__(self) -> str:
        """In words, for messages."""
        parts = [f'{self.height}x{self.width}', f'batch {self.batch}',
                 self.mode, self.dtype, self.device]
        parts += ['compiled'] * self.compile + ['with_cp'] * self.with_cp
        return ', '.join(parts)


def parse_sizes(text: str) -> list[tuple[int, int]]:
    """Image sizes of a command line.

    Args:
        text (str): Sides or HEIGHTxWIDTH in pixels, with commas between:
            '224,800x1280'.

    Returns:
        list[tuple[int, int]]: Height and width of each, every one once.

    Raises:
        LaunchError: If a part is no size.
    """
    sizes = []
    for part in text.split(','):
        match = re.fullmatch(r'(\d+)(?:x(\d+))?', part.strip())
        if match is None or '0' in match.groups():
            raise LaunchError(f'--sizes {text}: {part!r} is no size; expected '
                              'pixels such as 224 or 800x1280 (height x '
                              'width), with commas between')
        sizes.append((int(match[1]), int(match[2] or match[1])))
    return list(dict.fromkeys(sizes))


def parse_numbers(option: str, text: str) -> list[int]:
    """Whole numbers of a command line.

    Args:
        option (str): The option, for the message.
        text (str): Numbers of at least 1, with commas between.

    Returns:
        list[int]: The numbers, every one once.

    Raises:
        LaunchError: If a part is no such number.
    """
    numbers = []
    for part in text.split(','):
        if not re.fullmatch(r'[1-9]\d*', part.strip()):
            raise LaunchError(f'{option} {text}: {part!r} is no whole number '
                              'of at least 1; separate several by commas')
        numbers.append(int(part))
    return list(dict.fromkeys(numbers))


def check_device(device: str) -> None:
    """Check that a device can be used.

    Args:
        device (str): Its name.

    Raises:
        LaunchError: If it is unknown, or not on this machine.
    """
    match = re.fullmatch(r'cpu|cuda(?::(\d+))?', device)
    if match is None:
        raise LaunchError(f'--device {device}: choose cpu, cuda or cuda:N')
    count = torch.cuda.device_count()
    if device != 'cpu' and int(match[1] or 0) >= count:
        raise LaunchError(f'--device {device}: torch {torch.__version__} '
                          f'finds {count} GPU(s); take cpu')
