"""Film files: animated GIF, and MP4, which needs ffmpeg."""

import io
import itertools
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.animation import FFMpegWriter
from matplotlib.figure import Figure
from PIL import Image

from rtrrl.errors import RtrrlError
from rtrrl.utils.files import write_atomic
from rtrrl.viz.films.film import DPI, Film

COLORS = 96
"""The size of a GIF's palette; few colors compress well."""
PAUSE_MS = 1500
"""How long a GIF shows its last frame before it repeats."""


def check_writable(path: Path) -> None:
    """Check before an episode is run. **Raises** `RtrrlError` where `path` cannot be a film."""
    if path.suffix not in _WRITERS:
        raise RtrrlError(f"cannot film into {path}: give a name that ends in .gif or .mp4")
    if path.suffix == ".mp4" and not FFMpegWriter.isAvailable():
        raise RtrrlError(
            f"cannot film into {path}: ffmpeg is not found; install it, or give a name that ends "
            "in .gif"
        )
    if not path.parent.is_dir():
        raise RtrrlError(f"cannot film into {path}: there is no folder {path.parent}; create it")


def write(film: Film, path: Path, fps: int) -> int:
    """Write the film to `path`, whole or not at all; returns its size in bytes.

    **Raises** `RtrrlError` as `check_writable` does, `RunFolderError` where writing fails.
    """
    check_writable(path)
    data = _WRITERS[path.suffix](film, fps)
    write_atomic(path, data)
    return len(data)


def _gif(film: Film, fps: int) -> bytes:
    """One palette for all frames, without dithering: unchanged areas take no space."""
    sampled = sorted({*range(0, len(film), max(1, len(film) // 8)), len(film) - 1})
    sample = Image.fromarray(np.concatenate([film.frame(step) for step in sampled]))
    palette = sample.quantize(COLORS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    _whiten(palette)
    images = (
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in film.frames()
    )
    duration = max(20, round(100 / fps) * 10)  # browsers show faster frames slowly
    durations = [duration] * (len(film) - 1) + [duration + PAUSE_MS]
    file = io.BytesIO()
    next(images).save(file, "GIF", save_all=True, append_images=images, duration=durations, loop=0)
    return file.getvalue()


def _whiten(palette: Image.Image) -> None:
    """Set nearly white entries to white: averaged with edges, the background would be grey."""
    colors = np.array(palette.getpalette(), np.uint8).reshape(-1, 3)
    colors[colors.min(axis=1) >= 247] = 255
    palette.putpalette(colors.tobytes())


def _mp4(film: Film, fps: int) -> bytes:
    """By matplotlib's writer, which takes figures: each frame is a figure with one image."""
    frames = film.frames()
    first = next(frames)
    height, width, _ = first.shape
    figure = Figure((width / DPI, height / DPI), dpi=DPI)
    image = figure.figimage(first)
    writer = FFMpegWriter(fps=fps, codec="h264", extra_args=["-pix_fmt", "yuv420p"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        try:
            with writer.saving(figure, str(path), DPI):
                for frame in itertools.chain([first], frames):
                    image.set_data(frame)
                    writer.grab_frame()
        except (subprocess.CalledProcessError, BrokenPipeError) as error:
            raise RtrrlError(
                "ffmpeg could not write the film: give a name that ends in .gif"
            ) from error
        return path.read_bytes()


_WRITERS: dict[str, Callable[[Film, int], bytes]] = {".gif": _gif, ".mp4": _mp4}
