"""Figures and films: learning curves, scenes of environments, recorded episodes."""
