"""What is not about reinforcement learning: random bits, compiler options, files, signals."""
