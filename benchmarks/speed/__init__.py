"""Speed and memory of regional prompting, measured and counted; `python -m benchmarks.speed --help`."""
