"""What requests cost, counted exactly and held by tests: wall time is noise on shared machines."""
