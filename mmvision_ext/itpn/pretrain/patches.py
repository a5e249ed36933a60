"""Images and maps as sequences of 16 x 16 patches, and back."""

from torch import Tensor

#: Side of a patch, in pixels. It follows from the strides 4, 8 and 16.
PATCH = 16


def images_to_patches(images: Tensor) -> Tensor:
    """Cut images into 16 x 16 patches.

    Args:
        images (Tensor): (B, C, H, W), H and W multiples of 16.

    Returns:
        Tensor: (B, N, 256 * C), patches row by row, the values of each in
        the order (row, column, channel).
    """
    b, c, h, w = images.shape
    # (B, C, Hp, 16, Wp, 16) -> (B, Hp, Wp, 16, 16, C) -> (B, N, 256 * C)
    x = images.reshape(b, c, h // PATCH, PATCH, w // PATCH, PATCH)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(b, -1, PATCH * PATCH * c)


def patches_to_images(patches: Tensor, grid: tuple[int, int]) -> Tensor:
    """Undo :func:`images_to_patches`.

    Args:
        patches (Tensor): (B, N, 256 * C).
        grid (tuple[int, int]): Patches a column and a row, (Hp, Wp).

    Returns:
        Tensor: (B, C, 16 * Hp, 16 * Wp).
    """
    b, _, values = patches.shape
    hp, wp = grid
    # (B, Hp, Wp, 16, 16, C) -> (B, C, Hp, 16, Wp, 16) -> (B, C, H, W)
    x = patches.reshape(b, hp, wp, PATCH, PATCH, values // PATCH**2)
    return x.permute(0, 5, 1, 3, 2, 4).reshape(b, -1, hp * PATCH, wp * PATCH)


def map_to_cells(x: Tensor, grid: tuple[int, int]) -> Tensor:
    """Regroup a map by patches.

    Args:
        x (Tensor): (B, C, s * Hp, s * Wp).
        grid (tuple[int, int]): (Hp, Wp).

    Returns:
        Tensor: (B, N, s, s, C), what lies in each patch.
    """
    b, c, h, w = x.shape
    hp, wp = grid
    # (B, C, Hp, s, Wp, s) -> (B, Hp, Wp, s, s, C) -> (B, N, s, s, C)
    x = x.reshape(b, c, hp, h // hp, wp, w // wp).permute(0, 2, 4, 3, 5, 1)
    return x.reshape(b, hp * wp, h // hp, w // wp, c)


def gather_patches(x: Tensor, ids: Tensor) -> Tensor:
    """Choose patches of each image.

    Args:
        x (Tensor): (B, N, ...).
        ids (Tensor): (B, K) int64.

    Returns:
        Tensor: (B, K, ...).
    """
    # (B, K) -> (B, K, ...)
    index = ids.reshape(ids.shape + (1, ) * (x.ndim - 2))
    return x.gather(1, index.expand(ids.shape + x.shape[2:]))
