"""Films of episodes: frames with the scene, the value and the TD error, and their files."""

from rtrrl.viz.films.files import check_writable as check_writable
from rtrrl.viz.films.files import write as write
from rtrrl.viz.films.film import Film as Film
from rtrrl.viz.films.film import Title as Title
