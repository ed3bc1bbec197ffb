"""Benchmarks: ours against a peer or a limit, both in the same run.

`python -m tests.benchmarks [NAME...]` prints a table, with `--json` one object a line.
Values are medians. A ratio is the median of the ratios of single rounds, in which ours and
the other alternate. It is always one of times or sizes: below 1 is better. Trust the ratios,
not the values. Rows without a goal are for information.

To add a benchmark, add a module here with `run() -> Iterator[Row]` and its line in `__main__`.
"""
