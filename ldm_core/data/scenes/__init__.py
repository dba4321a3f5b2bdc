"""Scenes put together from single drawings: structure, things, recolouring, layout, captions, the training mix."""
