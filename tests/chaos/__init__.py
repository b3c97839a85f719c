"""A storm of faults over a mixed load: `python -m tests.chaos --minutes 20 --seed 1`, or `make chaos MINUTES=20`."""
