"""What agents are made of besides a cell: readouts, policies, traces, optimizers, statistics."""
