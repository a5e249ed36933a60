"""Image files: which there are, and what is wrong with them."""
from pathlib import Path

from PIL import Image

from .record import DataSet

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.ppm')
_ORIENTATION = 0x0112


def list_images(folder: Path, deep: bool = True) -> list[Path]:
    """Images in a folder.

    Args:
        folder (Path): The folder.
        deep (bool): Look into folders below as well. Default: True.

    Returns:
        list[Path]: Sorted; none if there is no such folder.
    """
    found = folder.rglob('*') if deep else folder.glob('*')
    return sorted(path for path in found
                  if path.suffix.lower() in SUFFIXES and path.is_file())


def read_size(path: Path, data: DataSet) -> tuple[int, int] | None:
    """Size of an image; its faults are noted.

    The pixels are decoded, so that a truncated file is found.

    Args:
        path (Path): The image.
        data (DataSet): Gets the faults.

    Returns:
        tuple[int, int] | None: Width and height as stored, in pixels; None
        if the file is no image that can be read.
    """
    place = str(path.relative_to(data.root))
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(_ORIENTATION, 1)
            image.load()
            size, mode = image.size, image.mode
    except (OSError, SyntaxError, ValueError,
            Image.DecompressionBombError) as error:
        data.fault('images that cannot be read',
                   f'{place}: {" ".join(str(error).split())}')
        return None
    if turned not in (0, 1):
        data.fault('images that EXIF turns', f'{place}: orientation {turned}')
    if mode != 'RGB':
        data.fault('images that are not RGB', f'{place}: {mode}')
    return size
