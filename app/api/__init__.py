"""HTTP routes beside the page, one module a family."""
