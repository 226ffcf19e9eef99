"""gymnax's environments."""
