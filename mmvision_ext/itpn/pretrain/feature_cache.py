"""Features kept on disk, found again by what they were computed from."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Union

import torch
from torch import Tensor

_DIGEST = 16  # bytes


def digest_of(*tensors: Tensor) -> str:
    """Hexadecimal digest of the shapes, types and values of tensors."""
    state = hashlib.blake2b(digest_size=_DIGEST)
    for tensor in tensors:
        state.update(f'{tensor.dtype}{tuple(tensor.shape)}'.encode())
        state.update(_bytes_of(tensor))
    return state.hexdigest()


def _bytes_of(tensor: Tensor) -> bytes:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()


class FeatureCache:
    """Features of images by the content of the images.

    An entry is found by a digest of the pixels that the teacher is given, so
    that it can never belong to another image, crop, flip or normalisation,
    or to an older version of a file. It follows that a pipeline with endless
    random crops never finds one: see ``num_crops`` of
    :class:`TwoViewRandomResizedCrop`.

    Each entry is a file, written beside its place and then moved there, so
    that processes may share a cache and an interruption leaves none half
    written. It starts with a digest of the rest; a damaged one is computed
    anew.

    Args:
        folder (str | Path): Where the entries are kept.
        owner (str): What computes the features, such as the digest of its
            weights. Each owner has entries of its own.
    """

    def __init__(self, folder: Union[str, Path], owner: str) -> None:
        self.folder = Path(folder).expanduser() / owner

    def fetch(self, images: Tensor,
              compute: Callable[[Tensor], Tensor]) -> Tensor:
        """Features of a batch, computed only where they are not kept.

        Args:
            images (Tensor): (B, C, H, W).
            compute (Callable): From (M, C, H, W) to features (M, ...) whose
                shape and type are the same for every image.

        Returns:
            Tensor: (B, ...), on the device of the images.
        """
        keys = [digest_of(image) for image in images]
        found = [self._read(key) for key in keys]
        absent = [i for i, value in enumerate(found) if value is None]
        if absent:
            for i, value in zip(absent, compute(images[absent])):
                found[i] = value
                self._write(keys[i], value)
        return torch.stack([value.to(images.device) for value in found])

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f'{key[2:]}.feature'

    def _read(self, key: str) -> Union[Tensor, None]:
        try:
            data = self._path(key).read_bytes()
        except FileNotFoundError:
            return None
        digest, payload = data[:_DIGEST], data[_DIGEST:]
        if digest != hashlib.blake2b(payload, digest_size=_DIGEST).digest():
            return None
        head, _, values = payload.partition(b'\n')
        dtype, *shape = head.decode().split()
        return torch.frombuffer(
            bytearray(values),
            dtype=getattr(torch, dtype)).reshape([int(n) for n in shape])

    def _write(self, key: str, value: Tensor) -> None:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        head = ' '.join([str(value.dtype).removeprefix('torch.')] +
                        [str(n) for n in value.shape])
        payload = head.encode() + b'\n' + _bytes_of(value)
        handle, beside = tempfile.mkstemp(dir=path.parent, suffix='.part')
        try:
            with os.fdopen(handle, 'wb') as file:
                file.write(
                    hashlib.blake2b(payload, digest_size=_DIGEST).digest())
                file.write(payload)
            os.replace(beside, path)
        except BaseException:
            os.unlink(beside)
            raise
