"""What is fast, measured against named peers in one run: `python -m benchmarks`."""
