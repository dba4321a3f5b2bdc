"""Pictures as arrays and as tensors: uint8 ↔ float, transparency onto a ground, many on one sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor  # the page needs pictures before it needs torch

Pixels = NDArray[np.uint8]


def composite(rgba: Pixels, background: Pixels) -> Pixels:
    """Drawings uint8 [B,H,W,4] (straight alpha) over colours uint8 [B,3] → uint8 [B,H,W,3]."""
    alpha = rgba[..., 3:].astype(np.uint16)
    paint = background[:, None, None, :].astype(np.uint16)
    mixed = rgba[..., :3] * alpha + paint * (255 - alpha)
    return ((mixed + 127) // 255).astype(np.uint8)


def to_tensor(images: Pixels) -> Tensor:
    """uint8 [B,H,W,3] → float32 [B,3,H,W] in [-1,1], contiguous."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / 127.5 - 1


def to_uint8(images: Tensor) -> Pixels:
    """float [B,3,H,W] in about [-1,1] → uint8 [B,H,W,3]."""
    import torch

    scaled = ((images.detach().float().cpu() + 1) * 127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def picture_grid(images: Pixels, columns: int) -> Pixels:
    """Pictures uint8 [N,H,W,3], row by row → one picture; the last row is filled with white."""
    n, h, w, c = images.shape
    rows = -(-n // columns)
    grid = np.full((rows * columns, h, w, c), 255, np.uint8)
    grid[:n] = images
    return np.ascontiguousarray(grid.reshape(rows, columns, h, w, c).swapaxes(1, 2).reshape(rows * h, columns * w, c))


def check_picture(image: Pixels, name: str = "init_image") -> None:
    """ValueError unless `image` is uint8 [H,W,3]."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"{name} must be an array uint8 [H,W,3], not {described(image)}")


def check_mask(mask: Pixels, image: Pixels | None) -> None:
    """ValueError unless `mask` is uint8 [H,W] over a picture [H,W,3]."""
    if image is None:
        raise ValueError("a mask needs an init_image to keep")
    if not isinstance(mask, np.ndarray) or mask.dtype != np.uint8 or mask.ndim != 2:
        raise ValueError(f"the mask must be an array uint8 [H,W], 255 where to repaint, not {described(mask)}")
    if mask.shape != image.shape[:2]:
        raise ValueError(f"the mask must have the picture's height and width {image.shape[:2]}, not {mask.shape}")


def described(value: object) -> str:
    """An array's type and shape, or what else it is, for a refusal."""
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__
