"""Agents that learn in real time from one stream."""
