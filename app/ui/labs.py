"""The lab tabs in the order of the page. A lab is a folder of app.labs: its panels, and what they compute."""

from __future__ import annotations

from app.labs.architecture.panels import LAB as ARCHITECTURE
from app.labs.attention.panels import LAB as ATTENTION
from app.labs.autoencoder.panels import LAB as AUTOENCODER
from app.labs.denoising.panels import LAB as DENOISING
from app.labs.losses.panels import LAB as LOSSES
from app.labs.lower_bound.panels import LAB as LOWER_BOUND
from app.labs.overview.panels import LAB as OVERVIEW
from app.labs.schedules.panels import LAB as SCHEDULES
from app.labs.xy_plot.panels import LAB as XY_PLOT

# From easy to hard.
LABS = (OVERVIEW, SCHEDULES, DENOISING, ATTENTION, AUTOENCODER, LOWER_BOUND, LOSSES, ARCHITECTURE, XY_PLOT)
