"""Images from people who may mean no good."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

#: Bytes and pixels of an upload at most, and pixels a side that are used.
MAX_BYTES = 20 << 20
MAX_PIXELS = 50_000_000
MAX_SIDE = 1024
_FORMATS = ('PNG', 'JPEG', 'WEBP', 'BMP')


class ImageRefused(ValueError):
    """What was uploaded is no image that the demo takes; one line says why."""


def read_image(content: bytes) -> np.ndarray:
    """Decode an uploaded image.

    Args:
        content (bytes): The file.

    Returns:
        np.ndarray: Shape (H, W, 3), RGB, uint8; upright, and shrunk to 1024
        pixels on the longer side.

    Raises:
        ImageRefused: If it is too large, or no whole PNG, JPEG, WebP or BMP.
    """
    if len(content) > MAX_BYTES:
        raise ImageRefused(f'The file has {len(content) / 1e6:.0f} MB; at '
                           f'most {MAX_BYTES >> 20} MB are taken.')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            # only the header is read here
            image = Image.open(io.BytesIO(content), formats=_FORMATS)
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ImageRefused(
                f'The image has {width} x {height} pixels; at most '
                f'{MAX_PIXELS // 1_000_000} million are taken. Please '
                'shrink it.')
        image = ImageOps.exif_transpose(image).convert('RGB')
    except Image.DecompressionBombError as error:
        raise ImageRefused('The image has too many pixels.') from error
    except UnidentifiedImageError as error:
        raise ImageRefused('This file is no image: please choose a PNG, '
                           'JPEG, WebP or BMP.') from error
    except ImageRefused:
        raise
    except Exception as error:
        # decoders of broken files fail in ways of their own
        raise ImageRefused('The image cannot be read, it may be '
                           'damaged.') from error
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    if min(image.size) < 8:
        raise ImageRefused(f'The image is {image.width} x {image.height} '
                           'pixels; please choose one of 8 or more a side.')
    return np.asarray(image)
