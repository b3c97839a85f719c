"""Benchmarks: figures, and ratios to named baselines of the same run. They assert nothing."""
