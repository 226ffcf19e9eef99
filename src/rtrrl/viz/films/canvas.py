"""Scenes drawn with matplotlib."""

from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import BboxImage
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.patches import Polygon as PolygonPatch
from matplotlib.text import Text
from matplotlib.transforms import Affine2D, Bbox

from rtrrl.viz.scenes.shapes import Disc, Label, Line, Polygon, Raster, Scene, Shape


class Canvas:
    """A part of a figure that shows one scene after another, centered, as large as fits."""

    def __init__(self, figure: Figure, area: tuple[float, float, float, float]):
        """`area` is (left, bottom, right, top) in fractions of the figure."""
        self._figure = figure
        self._area = Bbox.from_extents(*area).transformed(figure.transFigure)

    def draw(self, scene: Scene) -> None:
        """Draw over the present content."""
        x0, x1, y0, y1 = scene.window
        scale = min(self._area.width / (x1 - x0), self._area.height / (y1 - y0))
        middle = (self._area.x0 + self._area.x1) / 2, (self._area.y0 + self._area.y1) / 2
        to_pixels = Affine2D().translate(-(x0 + x1) / 2, -(y0 + y1) / 2).scale(scale)
        to_pixels.translate(*middle)
        visible = Bbox([[x0, y0], [x1, y1]]).transformed(to_pixels)
        canvas = self._figure.canvas
        assert isinstance(canvas, FigureCanvasAgg)
        renderer = canvas.get_renderer()
        for shape in scene.shapes:
            artist = self._artist(shape, scale * 72 / self._figure.dpi, to_pixels, visible)
            artist.set_figure(self._figure)
            artist.set_clip_box(visible)
            artist.draw(renderer)

    def _artist(self, shape: Shape, points: float, to_pixels: Affine2D, visible: Bbox) -> Artist:
        """The artist of a shape; `points` is typographic points per unit of the environment."""
        match shape:
            case Line(path, width, color):
                return Line2D(
                    *path.T,
                    color=color,
                    linewidth=points * width,
                    solid_capstyle="round",
                    solid_joinstyle="round",
                    transform=to_pixels,
                )
            case Polygon(path, color):
                return PolygonPatch(path, facecolor=color, linewidth=0, transform=to_pixels)
            case Disc(center, radius, color):
                x, y = map(float, center)
                return Circle((x, y), radius, facecolor=color, linewidth=0, transform=to_pixels)
            case Label(text, center, height, color):
                x, y = map(float, center)
                size = {"fontsize": points * height, "ha": "center", "va": "center"}
                return Text(x, y, text, color=color, transform=to_pixels, **size)
            case Raster(pixels):
                image = BboxImage(visible, interpolation="antialiased", origin="upper")
                image.set_data(pixels)
                return image
