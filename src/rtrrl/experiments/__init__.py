"""Each table and figure of the documentation: a list of runs, and how to read them."""
