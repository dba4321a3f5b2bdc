"""What weights are worth: figures from fixed seeds, each beside what real drawings get. See docs/evaluation.md."""
