"""Long compiled loops in slices, between which Python hears Ctrl-C and shows progress."""

SECONDS = 0.5
"""How long a slice is to take."""


def next_count(count: int, took: float, seconds: float = SECONDS) -> int:
    """How many steps the next slice has, after `count` steps took `took` seconds.

    >>> next_count(100, took=0.1), next_count(100, took=1.0), next_count(1, took=60.0)
    (200, 50, 1)
    """
    return max(1, int(min(2 * count, count * seconds / max(took, 1e-6))))
