"""Images from files, folders, arrays and videos."""

import glob
import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

IMAGES = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')
VIDEOS = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.webm')
#: More pixels than these are refused before they are decoded.
MAX_PIXELS = 400_000_000


@dataclass(frozen=True)
class Failure:
    """An input that could not be read.

    Args:
        source (str): Which.
        reason (str): Why, in a line.
    """
    source: str
    reason: str


def read_image(image: Any) -> np.ndarray:
    """An image as an array.

    Files are turned upright as their camera says; grey ones get three equal
    channels, transparency is dropped, sixteen bits become eight by their
    upper half.

    Args:
        image (str | Path | np.ndarray | PIL.Image.Image): A file, an array
            of shape (H, W, 3), RGB, or (H, W), uint8, or an opened image.

    Returns:
        np.ndarray: Shape (H, W, 3), RGB, uint8.

    Raises:
        ValueError: If it is no image, is damaged or too large.
    """
    if isinstance(image, np.ndarray):
        return _from_array(image)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            opened = image if isinstance(
                image, Image.Image) else Image.open(image)
        if opened.width * opened.height > MAX_PIXELS:
            raise ValueError(
                f'it has {opened.width} x {opened.height} pixels; at most '
                f'{MAX_PIXELS // 1_000_000} million are read')
        opened = ImageOps.exif_transpose(opened)
        if opened.mode.startswith('I'):
            return _from_array(np.asarray(opened))
        return np.asarray(opened.convert('RGB'))
    except Image.DecompressionBombError as error:
        raise ValueError('it has too many pixels') from error
    except FileNotFoundError as error:
        raise ValueError('there is no such file') from error
    except IsADirectoryError as error:
        raise ValueError('it is a folder') from error
    except (OSError, SyntaxError, EOFError) as error:
        reason = str(error).partition('\n')[0]
        raise ValueError(
            f'it is no image or it is damaged ({reason})') from error


def _from_array(image: np.ndarray) -> np.ndarray:
    if image.ndim == 2:
        # (H, W) -> (H, W, 3)
        image = np.stack([image] * 3, axis=-1)
    if image.ndim != 3 or image.shape[2] not in (3, 4) or not image.size:
        raise ValueError(f'it has the shape {image.shape}; expected '
                         '(H, W, 3) or (H, W)')
    image = image[..., :3]
    if image.dtype in (np.uint16, np.int32, np.uint32):
        image = np.clip(image, 0, 65535).astype(np.uint16) >> 8
    elif image.dtype != np.uint8:
        raise ValueError(f'it is an array of {image.dtype}; expected uint8')
    return np.ascontiguousarray(image, dtype=np.uint8)


def read_inputs(inputs: Any) -> Iterator[tuple[str, np.ndarray | Failure]]:
    """Images one after another, a video's frames included.

    Args:
        inputs (Any): A file, folder (searched with its subfolders), pattern
            with ``*``, video, array, opened image, or a sequence of these.

    Yields:
        tuple[str, np.ndarray | Failure]: Name, and the image of shape
        (H, W, 3), RGB, uint8, or why there is none. Nothing is kept.
    """
    if isinstance(inputs, (str, os.PathLike)):
        yield from _read_place(os.fspath(inputs))
    elif isinstance(inputs, (np.ndarray, Image.Image)):
        yield _read_one('array', inputs)
    elif isinstance(inputs, Iterable):
        for number, item in enumerate(inputs):
            if isinstance(item, (str, os.PathLike)):
                yield from _read_place(os.fspath(item))
            else:
                yield _read_one(f'array {number}', item)
    else:
        raise TypeError(f'an input of type {type(inputs).__name__}; expected '
                        'a path, an array, an image or a sequence of these')


def _read_one(name: str, image: Any) -> tuple[str, np.ndarray | Failure]:
    try:
        return name, read_image(image)
    except (ValueError, AttributeError) as error:
        return name, Failure(name, str(error))


def _read_place(place: str) -> Iterator[tuple[str, np.ndarray | Failure]]:
    path = Path(place)
    if path.is_dir():
        files = sorted(p for p in path.rglob('*')
                       if p.suffix.lower() in (*IMAGES, *VIDEOS))
        if not files:
            yield place, Failure(place, 'the folder holds no image '
                                 f'({", ".join(IMAGES)})')
    elif not path.exists() and glob.has_magic(place):
        files = sorted(map(Path, glob.glob(place, recursive=True)))
        if not files:
            yield place, Failure(place, 'no file has such a name')
    else:
        files = [path]
    for file in files:
        if file.suffix.lower() in VIDEOS:
            yield from _read_video(str(file))
        else:
            yield _read_one(str(file), file)


def _read_video(path: str) -> Iterator[tuple[str, np.ndarray | Failure]]:
    import cv2
    video = cv2.VideoCapture(path)
    number = 0
    try:
        while True:
            there, frame = video.read()
            if not there:
                break
            yield f'{path}#{number:06d}', np.ascontiguousarray(
                frame[..., ::-1])
            number += 1
    finally:
        video.release()
    if not number:
        yield path, Failure(path, 'no frame of this video can be read')
