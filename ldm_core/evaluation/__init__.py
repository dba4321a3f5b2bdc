"""What weights are worth: metrics from fixed seeds, each beside what real drawings get. See docs/evaluation.md."""
