"""Losses: curves of runs and the loss by timestep, the discriminator, and a run started in the page."""

from __future__ import annotations

from app.labs.common.panels.panel import Lab
from app.labs.losses.panels.adversarial import DiscriminatorLosses, DiscriminatorWeight
from app.labs.losses.panels.curves import Bins, History
from app.labs.losses.panels.training import TrainHere

LAB = Lab("losses", (History, Bins, DiscriminatorLosses, DiscriminatorWeight, TrainHere))
