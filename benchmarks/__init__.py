"""One training step, and one cold process, timed beside the peers: ``python -m benchmarks``."""
