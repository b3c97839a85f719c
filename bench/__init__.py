"""Benchmarks: figures and ratios against named baselines in the same run; nothing is asserted."""
