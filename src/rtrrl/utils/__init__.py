"""What is not about reinforcement learning: random numbers, XLA options, files, signals."""
