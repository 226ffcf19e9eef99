"""Parts of agents besides the cell: readouts, policies, traces, optimizers, input pipeline."""
