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
    """A part of a figure that shows one scene after another, as large as fits, in its middle."""

    def __init__(self, figure: Figure, area: tuple[float, float, float, float]):
        """`area` is (left, bottom, right, top) in fractions of the figure."""
        self._figure = figure
        self._area = Bbox.from_extents(*area).transformed(figure.transFigure)

    def draw(self, scene: Scene) -> None:
        """Draws over what is there."""
        x0, x1, y0, y1 = scene.window
        scale = min(self._area.width / (x1 - x0), self._area.height / (y1 - y0))
        middle = (self._area.x0 + self._area.x1) / 2, (self._area.y0 + self._area.y1) / 2
        place = Affine2D().translate(-(x0 + x1) / 2, -(y0 + y1) / 2).scale(scale).translate(*middle)
        shown = Bbox([[x0, y0], [x1, y1]]).transformed(place)
        canvas = self._figure.canvas
        assert isinstance(canvas, FigureCanvasAgg)
        renderer = canvas.get_renderer()
        for shape in scene.shapes:
            artist = self._artist(shape, scale * 72 / self._figure.dpi, place, shown)
            artist.set_figure(self._figure)
            artist.set_clip_box(shown)
            artist.draw(renderer)

    def _artist(self, shape: Shape, points: float, place: Affine2D, shown: Bbox) -> Artist:
        """The artist of a shape; `points` are typographic points a unit of the world."""
        match shape:
            case Line():
                return Line2D(
                    *shape.points.T,
                    color=shape.color,
                    linewidth=points * shape.width,
                    solid_capstyle="round",
                    solid_joinstyle="round",
                    transform=place,
                )
            case Polygon():
                return PolygonPatch(
                    shape.points, facecolor=shape.color, linewidth=0, transform=place
                )
            case Disc():
                x, y = shape.centre
                return Circle(
                    (x, y), shape.radius, facecolor=shape.color, linewidth=0, transform=place
                )
            case Label():
                x, y = shape.centre
                return Text(
                    x,
                    y,
                    shape.text,
                    fontsize=points * shape.height,
                    color=shape.color,
                    ha="center",
                    va="center",
                    transform=place,
                )
            case Raster():
                image = BboxImage(shown, interpolation="antialiased", origin="upper")
                image.set_data(shape.pixels)
                return image
