"""The captioned emoji corpus: fetched, rendered, named, split, read."""
