"""The lab tabs, a module each. A new lab is a module here, its words in app.words, its values in app.labs."""

from __future__ import annotations

from app.ui.labs import architecture, attention, autoencoder, bounds, denoising, grid, lessons, losses, schedules

LABS = (
    schedules.LAB, bounds.LAB, losses.LAB, autoencoder.LAB, denoising.LAB, attention.LAB, architecture.LAB, grid.LAB,
    lessons.LAB,
)  # fmt: skip
