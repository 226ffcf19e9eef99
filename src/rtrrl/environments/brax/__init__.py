"""Brax's environments."""
