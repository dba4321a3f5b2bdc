"""Denoising: one generation kept, scrubbed, its guidance taken apart, forked; etas side by side; inversion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.engine import Work
from app.i18n import say
from app.labs.common.panels.job_panel import (
    STEPS,
    GenerationPanel,
    JobPanel,
    StepPanel,
    TrajectoryJobPanel,
    read_settings,
)
from app.labs.common.panels.panel import Lab
from app.labs.common.panels.pictures import chosen, figures, heat_figure, signed_bar
from app.widgets.events import Updates

if TYPE_CHECKING:
    from app.labs.common.trajectory import Trajectory
    from app.labs.denoising.ddim_inversion import Inverted
    from app.labs.denoising.plots import Forked
    from ldm_core.images import Pixels


class StepViewer(StepPanel):
    """Any step: x, x̂₀, ε and what changed."""

    key = "scrub"

    def draw_step(self, lang: str, trajectory: Trajectory, i: int) -> Updates:
        """x, x̂₀ and ε decoded and as channels, what changed since the step before, and a plot of the change."""
        from app.labs.common.maps import tiles
        from app.labs.denoising.plots import change_plot, latents, seen

        made = self.ask(trajectory, i, lambda pipe: seen(pipe, trajectory, i))
        decoded = [(say(lang, f"scrub_{name}"), getattr(made, name)) for name in ("x", "x0", "eps")]
        channels = [
            (say(lang, f"channels_{name}"), tiles(value), signed_bar(value))
            for name, value in latents(trajectory, i).items()
        ]
        change = heat_figure(say(lang, "scrub_change"), made.change, 0.0)
        return {
            self.shown: figures([*decoded, change]) + figures(channels),
            **self.card.show(change_plot(trajectory, i, lang), lang),
        }


class Guidance(StepPanel):
    """The two terms of a step, their mix and their difference."""

    key = "anatomy"

    def draw_step(self, lang: str, trajectory: Trajectory, i: int) -> Updates:
        """The terms without and with the prompt, their mix, and the norm of their difference."""
        from app.labs.denoising.plots import anatomy, anatomy_plot

        made = self.ask(trajectory, i, lambda pipe: anatomy(pipe, trajectory, i))
        decoded = [(say(lang, f"term_{name}"), getattr(made, name)) for name in ("uncond", "cond", "mixed")]
        return {
            self.shown: figures([*decoded, heat_figure(say(lang, "anatomy_norm"), made.norm, 0.0)]),
            **self.card.show(anatomy_plot(trajectory, i, lang), lang),
        }


class Etas(TrajectoryJobPanel[tuple[list["Trajectory"], "Pixels"]]):
    """The kept recipe at five etas over the same noise."""

    key = "etas"

    def lay_controls(self) -> None:
        """The button alone."""
        self.run_button()

    def make_job(self, *, kept: Trajectory | None) -> tuple[Work[Any], int]:
        """The kept generation at each eta, all in one batch: as many steps as it had."""
        from app.labs.common.trajectory import record_etas

        params = self.context.generation.trajectory(kept).params
        return lambda pipe: record_etas(pipe, params), params.steps

    def on_result(self, lang: str, result: tuple[list[Trajectory], Pixels], **_: Any) -> Updates:
        """The pictures by eta, and how far apart the latents run."""
        from app.labs.denoising.plots import apart_plot

        trajectories, pictures = result
        named = [(f"η = {t.params.eta:g}", pixels) for t, pixels in zip(trajectories, pictures, strict=True)]
        return {self.shown: figures(named), **self.card.show(apart_plot(trajectories, lang), lang)}


class Fork(TrajectoryJobPanel["Forked"]):
    """Another prompt, guidance or eta from step k on."""

    key = "fork"

    def lay_controls(self) -> None:
        """The step to fork at, and what holds from there on: prompt, guidance, eta."""
        self.slider("fork_step", 1, GenerationPanel.max_steps, 4, 1)
        self.textbox(
            "fork_prompt",
            {"label": "fork_prompt_label", "info": "fork_prompt_info"},
            "a pink heart on a yellow background",
        )
        self.dial("fork_guidance", {"label": "guidance_scale", "info": "guidance_info"}, 1, 15, 5, 0.5)
        self.dial("fork_eta", {"label": "eta", "info": "eta_info"}, 0, 1, 0, 0.05)
        self.run_button()

    def make_job(
        self,
        *,
        kept: Trajectory | None,
        fork_step: float,
        fork_prompt: str | None,
        fork_guidance: float,
        fork_eta: float,
    ) -> tuple[Work[Any], int]:
        """The kept predictions replayed to step k, then on with the new settings; an empty prompt keeps the old one."""
        from app.labs.denoising.plots import compare_fork

        trunk, k = self.context.generation.trajectory(kept), int(fork_step)
        prompt = (fork_prompt or "").strip() or trunk.params.prompt
        params = read_settings(
            self,
            prompt,
            steps=trunk.params.steps,
            seed=trunk.params.seed,
            guidance_scale=fork_guidance,
            eta=fork_eta,
        )
        return lambda pipe: compare_fork(pipe, trunk, k, params), params.steps

    def on_result(self, lang: str, result: Forked, **_: Any) -> Updates:
        """Both pictures, their difference, and how far the latents part."""
        from app.labs.denoising.plots import difference, fork_plot

        a, b = result.pictures
        apart = difference(a, b)
        rows = [
            (say(lang, "fork_trunk"), a),
            (say(lang, "fork_branch"), b),
            heat_figure(say(lang, "fork_difference"), apart, 0.0),
        ]
        return {self.shown: figures(rows), **self.card.show(fork_plot(result, lang), lang)}


class Inversion(JobPanel["Inverted"]):
    """A picture back to its noise, and forward again."""

    key = "inversion"

    def lay_controls(self) -> None:
        """A picture, the prompt, steps, and the rounds by which each step is refined."""
        self.upload("picture")
        self.textbox("inversion_prompt", {"label": "prompt", "info": "inversion_prompt_info"})
        words = {"label": "steps", "info": "inversion_steps_info"}
        self.dial("inversion_steps", words, 2, GenerationPanel.max_steps, STEPS, 1)
        self.slider("refine", 0, 3, 0, 1)
        self.run_button()

    def make_job(
        self, *, picture: str | None, inversion_prompt: str | None, inversion_steps: float, refine: float
    ) -> tuple[Work[Any], int]:
        """There and back, refined: steps · (2 + rounds) calls of the network."""
        from app.labs.denoising.ddim_inversion import invert

        original, steps, rounds = chosen(self.service, picture), int(inversion_steps), int(refine)
        params = read_settings(self, inversion_prompt or "-", steps=steps)  # here no prompt is a prompt too
        prompt = params.prompt if inversion_prompt else ""
        return lambda pipe: invert(pipe, original, prompt, steps, rounds), steps * (2 + rounds)

    def on_result(self, lang: str, result: Inverted, **_: Any) -> Updates:
        """The picture, its noise and what comes back; how far the ways apart are, over t."""
        from app.labs.denoising.ddim_inversion import inversion_plot

        pictures = [(say(lang, f"inversion_{name}"), getattr(result, name)) for name in ("original", "noise", "back")]
        return {self.shown: figures(pictures), **self.card.show(inversion_plot(result, lang), lang)}


LAB = Lab("denoising", (GenerationPanel, StepViewer, Guidance, Etas, Fork, Inversion))
