"""Gymnasium's environments, stepped on the host."""
