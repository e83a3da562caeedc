"""A picture as the PNG that a person is shown: small ones enlarged by a whole factor, without blur."""

import io

import numpy as np
from PIL import Image


def png_of(pixels: np.ndarray, size: int) -> bytes:
    """A picture as PNG.

    Args:
        pixels: uint8 ``[H, W]`` or ``[H, W, 3]``.
        size: pixels of the longer side, about: a small picture is enlarged by a whole factor, a large one is made smaller.
    """
    picture = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8))
    height, width = pixels.shape[:2]
    if max(height, width) <= size:
        factor = max(1, round(size / max(height, width)))
        picture = picture.resize((width * factor, height * factor), Image.Resampling.NEAREST)
    else:
        picture.thumbnail((size, size), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
