"""From arrays of pixels to pictures as a person sees them: uint8, or float32 in [0, 1]; ``[n, H, W]`` or ``[n, H, W, 3]``."""

import numpy as np

from ntkviz.data.guard import explain
from ntkviz.data.options import Limits
from ntkviz.errors import UploadRejected


def as_pictures(x: np.ndarray, *, limits: Limits) -> tuple[np.ndarray, list[str]]:
    """Pictures of an array of pixels.

    Args:
        x: ``[n, H, W]``, ``[n, H, W, 1 or 3]`` or ``[n, 1 or 3, H, W]``; booleans, whole numbers from 0 to 255, or finite
            floats in [0, 1].
        limits: ``pixels``.

    Returns:
        the pictures and notes.

    Raises:
        UploadRejected: when shape or values are none of these.
    """
    x, notes = _channels_last(x)
    height, width = x.shape[1:3]
    if not (height and width and height * width <= limits.pixels):
        raise UploadRejected(
            explain(expected=f"images of 1 to {limits.pixels:,} pixels", got=f"{height} x {width}", todo="Bring smaller images.")
        )
    pixels, more = _values(x)
    return pixels, notes + more


def _channels_last(x: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Grey images without a channel axis, colour images with it last.

    Raises:
        UploadRejected: when there is no axis of 1 or 3 channels.
    """
    if x.ndim == 3:
        return x, []
    if x.ndim != 4 or (x.shape[3] not in (1, 3) and x.shape[1] not in (1, 3)):
        raise UploadRejected(
            explain(
                expected="images [n, H, W], [n, H, W, 1 or 3] or [n, 1 or 3, H, W]",
                got=f"an array of the shape {x.shape}",
                todo="Bring grey or RGB images.",
            )
        )
    notes: list[str] = []
    if x.shape[3] in (1, 3):
        if x.shape[1] in (1, 3):
            notes.append(f"Images of the shape {x.shape[1:]} were read as height, width, channels.")
        last = x
    else:
        last = x.transpose(0, 2, 3, 1)
    return (last[..., 0] if last.shape[3] == 1 else last), notes


def _values(x: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Pixels as uint8 or float32 in [0, 1].

    Raises:
        UploadRejected: when they are something else.
    """
    if x.dtype.kind == "b":
        return x.astype(np.float32), ["Black and white pixels were read as 0 and 1."]
    if x.dtype.kind == "f":
        return _floats(x)
    low, high = int(x.min()), int(x.max())
    if low < 0 or high > 255:
        raise UploadRejected(
            explain(
                expected="pixels from 0 to 255",
                got=f"whole numbers from {low} to {high}",
                todo="Scale the images to 0..255 or [0, 1].",
            )
        )
    if high == 1:
        return x.astype(np.float32), ["All pixels are 0 or 1 and were read as black and white, not as 0/255 and 1/255."]
    return x.astype(np.uint8, copy=False), []


def _floats(x: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Pixels of floats.

    Raises:
        UploadRejected: when they are not in [0, 1] nor whole numbers from 0 to 255.
    """
    low, high = float(x.min()), float(x.max())
    if low >= 0 and high <= 1:
        return x.astype(np.float32, copy=False), []
    if low >= 0 and high <= 255 and np.array_equal(x, np.rint(x)):
        return x.astype(np.uint8), ["Pixels from 0 to 255 were divided by 255."]
    raise UploadRejected(
        explain(
            expected="pixels in [0, 1], or whole numbers from 0 to 255",
            got=f"{low:g} to {high:g}",
            todo="Undo the normalisation of the images: mean and standard deviation belong to the model (normalise).",
        )
    )
