"""Overview: the whole pipeline as one diagram that plays a real generation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.engine import Work
from app.labs.common.panels.job_panel import PROMPT, JobPanel, read_settings
from app.labs.common.panels.panel import Lab
from app.widgets.events import Updates

if TYPE_CHECKING:
    from app.labs.overview.story import Story

STEPS = 20


class Pipeline(JobPanel["Story"]):
    """One prompt on its way through all five parts."""

    key = "overview"

    def lay_controls(self) -> None:
        """Prompt, steps and seed."""
        self.textbox("overview_of", {"label": "prompt"}, PROMPT)
        self.dial("overview_steps", {"label": "steps", "info": "steps_info"}, 2, 40, STEPS, 1)
        self.seed("overview_seed")
        self.run_button()

    def lay_view(self) -> None:
        """The diagram."""
        self.shown = self.placeholder("shown")

    def make_job(
        self, *, overview_of: str | None, overview_steps: float, overview_seed: float
    ) -> tuple[Work[Any], int]:
        """A generation whose parts are recorded on the way. RequestError where a setting is out of bounds."""
        from app.labs.overview.story import tell

        params = read_settings(self, overview_of, steps=overview_steps, seed=overview_seed)
        return lambda pipe: tell(pipe, params), params.steps

    def on_result(self, lang: str, result: Story, **_: Any) -> Updates:
        """The diagram, playing that generation."""
        from app.labs.overview.diagram import diagram

        return {self.shown: diagram(result, lang)}


LAB = Lab("overview", (Pipeline,))
