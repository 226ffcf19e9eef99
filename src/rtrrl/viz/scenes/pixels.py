"""Worlds that draw themselves."""

import numpy as np
from jaxtyping import UInt8

from rtrrl.environments import VectorEnvironment
from rtrrl.viz.scenes.base import Episode, Picture
from rtrrl.viz.scenes.shapes import Raster, Scene

MOST = 480
"""Larger pictures are halved until neither side is: hundreds of them are held in memory."""


class Pixels(Picture):
    """What a live world draws of itself."""

    def look(self, state: VectorEnvironment) -> UInt8[np.ndarray, "height width 3"]:
        """The picture, no larger than the film needs."""
        return shrunk(np.asarray(state.picture(), np.uint8))

    def scene(self, episode: Episode, moment: int) -> Scene:
        """The picture as it is."""
        pixels = episode.sight(moment)
        height, width, _ = pixels.shape
        return Scene((0, width, 0, height), [Raster(pixels)])


def shrunk(pixels: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "lower narrower 3"]:
    """Halved, by the mean of each 2×2 pixels, until neither side is above `MOST`."""
    while max(pixels.shape[:2]) > MOST:
        height, width = (side // 2 for side in pixels.shape[:2])
        whole = pixels[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3)
        pixels = whole.mean(axis=(1, 3)).round().astype(np.uint8)
    return pixels
