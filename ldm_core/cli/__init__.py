"""One module per verb of `python -m ldm_core`."""
