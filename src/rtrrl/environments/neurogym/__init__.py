"""NeuroGym's tasks."""
