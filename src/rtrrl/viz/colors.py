"""The colors of all figures and films."""

INK, GREY, PALE, PAPER = "#262626", "#8c8c8c", "#e4e4e4", "#ffffff"
GRID = "#e6e6e6"

# The palette of Okabe and Ito, distinguishable with every kind of color vision, without yellow.
BLUE, RED, GREEN, PINK = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
ORANGE, SKY, BLACK = "#e69f00", "#56b4e9", "#000000"
PALETTE = (BLUE, RED, GREEN, PINK, ORANGE, SKY, BLACK)
