"""Memory tasks: the T-maze and delayed recall."""
