"""What the panels of one lab share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from app.labs.common.shared_results import SharedResults
from app.service import Service
from app.widgets.translation import Translation

if TYPE_CHECKING:
    from app.labs.common.trajectory import Trajectory


@dataclass(frozen=True)
class KeptGeneration:
    """The generation that a lab's panels look at: what the page has kept (or None), the step they show, the default.

    The step is made unrendered; the first panel that shows it puts it into its place.
    """

    state: gr.State
    step: gr.Slider
    default: Callable[[], Trajectory]

    def trajectory(self, kept: Trajectory | None) -> Trajectory:
        """The generation that a page has kept, or everybody's."""
        return kept or self.default()


class LabContext:
    """What the panels of a lab are made with, one after the other in the order of the page."""

    def __init__(self, service: Service, translation: Translation, results: SharedResults) -> None:
        self.service, self.translation, self.results = service, translation, results
        self.controls: dict[str, Any] = {}  # of all panels so far, by their names in links
        self.generation: KeptGeneration  # in a lab of one, from the panel on that makes it
