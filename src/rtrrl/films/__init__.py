"""Films of episodes: frames that show world, value and TD error, and the files they go into."""

from rtrrl.films.files import check_writable as check_writable
from rtrrl.films.files import write as write
from rtrrl.films.film import Film as Film
from rtrrl.films.film import Title as Title
