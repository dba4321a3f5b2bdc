"""The inference service and the page."""
