"""The measures, one per file: `measure(stage, scale)` returns rows of the final table."""
