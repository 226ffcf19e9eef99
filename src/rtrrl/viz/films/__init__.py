"""Films of episodes: frames that show world, value and TD error, and the files they go into."""

from rtrrl.viz.films.files import check_writable as check_writable
from rtrrl.viz.films.files import write as write
from rtrrl.viz.films.film import Film as Film
from rtrrl.viz.films.film import Title as Title
