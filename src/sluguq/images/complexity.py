"""How complex an image is, by measures that need no model: baselines for SLUG."""

from __future__ import annotations

import zlib

import numpy as np


def total_variation(pixels: np.ndarray) -> np.ndarray:
    """Anisotropic total variation a pixel and channel of uint8 images (n, h, w, c), on the scale [-1, 1]; (n,)."""
    scaled = pixels.astype(np.float32) / 127.5
    rows = np.abs(np.diff(scaled, axis=1)).mean(axis=(1, 2, 3))
    columns = np.abs(np.diff(scaled, axis=2)).mean(axis=(1, 2, 3))
    return rows + columns


def compressed_size(pixels: np.ndarray) -> np.ndarray:
    """Bytes a value of each image (n, h, w, c) after horizontal prediction and DEFLATE, as in PNG; (n,)."""
    predicted = np.concatenate([pixels[:, :, :1], np.diff(pixels, axis=2)], axis=2)
    return np.array([len(zlib.compress(image.tobytes(), 6)) / image.size for image in predicted], dtype=np.float32)
