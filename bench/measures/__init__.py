"""The measures, a file each: `measure(stage, scale)` gives rows of the final table."""
