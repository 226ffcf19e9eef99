"""Environments that render themselves."""

import numpy as np
from jaxtyping import UInt8

from rtrrl.environments import VectorEnvironment
from rtrrl.viz.scenes.base import Episode, SceneRenderer
from rtrrl.viz.scenes.shapes import Raster, Scene

MAX_SIDE = 480
"""Larger images are halved until neither side exceeds it: hundreds of them are kept in memory."""


class Pixels(SceneRenderer):
    """The image that an open environment renders of itself."""

    def extract(self, env_state: VectorEnvironment) -> UInt8[np.ndarray, "height width 3"]:
        return shrink(np.asarray(env_state.render(), np.uint8))

    def scene(self, episode: Episode, step: int) -> Scene:
        pixels = episode.snapshot(step)
        height, width, _ = pixels.shape
        return Scene((0, width, 0, height), [Raster(pixels)])


def shrink(pixels: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "lower narrower 3"]:
    """Halve, by the mean of each 2×2 pixels, until neither side exceeds `MAX_SIDE`."""
    while max(pixels.shape[:2]) > MAX_SIDE:
        height, width = (side // 2 for side in pixels.shape[:2])
        blocks = pixels[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3)
        pixels = blocks.mean(axis=(1, 3)).round().astype(np.uint8)
    return pixels
