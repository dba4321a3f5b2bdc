"""Denoising: one generation kept, scrubbed, its guidance taken apart, forked; etas side by side; inversion."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from app.i18n import say
from app.labs.common.panels.job_panel import (
    STEPS,
    FiguresJobPanel,
    GenerationPanel,
    StepPanel,
    TrajectoryJobPanel,
    recipe,
)
from app.labs.common.panels.panel import Lab, Updates
from app.labs.common.panels.pictures import chosen, figures
from app.labs.common.shared_results import Work


class Scrub(StepPanel):
    """Any step: x, x̂₀, ε and what changed."""

    key = "scrub"

    def draw_walk(self, lang: str, walk: Any, i: int, **values: Any) -> Updates:
        from app.labs.common.maps import heat
        from app.labs.denoising.plots import change_plot, latents, seen, tiles

        made = self.ask(walk, i, lambda pipe: seen(pipe, walk, i))
        change = say(lang, "scrub_change", most=f"{made.change.max():.2f}")
        decoded = [(say(lang, f"scrub_{name}"), getattr(made, name)) for name in ("x", "x0", "eps")]
        channels = [(say(lang, f"channels_{name}"), tiles(value)) for name, value in latents(walk, i).items()]
        return {
            self.shown: figures([*decoded, (change, heat(made.change, 0.0))]) + figures(channels),
            **self.card.show(change_plot(walk, i, lang), lang),
        }


class Guidance(StepPanel):
    """The two terms of a step, their mix and their difference."""

    key = "anatomy"

    def draw_walk(self, lang: str, walk: Any, i: int, **values: Any) -> Updates:
        from app.labs.common.maps import heat
        from app.labs.denoising.plots import anatomy, anatomy_plot

        made = self.ask(walk, i, lambda pipe: anatomy(pipe, walk, i))
        norm = say(lang, "anatomy_norm", most=f"{made.norm.max():.2f}")
        decoded = [(say(lang, f"term_{name}"), getattr(made, name)) for name in ("uncond", "cond", "mixed")]
        return {
            self.shown: figures([*decoded, (norm, heat(made.norm, 0.0))]),
            **self.card.show(anatomy_plot(walk, i, lang), lang),
        }


class Etas(TrajectoryJobPanel):
    """The kept recipe at five etas over the same noise."""

    key = "etas"

    def lay_controls(self) -> None:
        self.run_button()

    def make_job(self, lang: str, **values: Any) -> tuple[Work, int]:
        from app.labs.denoising.trajectory import at_etas

        made = self.walk(values["kept"]).recipe
        return lambda pipe: at_etas(pipe, made), made.steps

    def on_result(self, lang: str, result: Any, **values: Any) -> Updates:
        from app.labs.denoising.plots import apart_plot

        walks, pictures = result
        named = [(f"η = {walk.recipe.eta:g}", pixels) for walk, pixels in zip(walks, pictures, strict=True)]
        return {self.shown: figures(named), **self.card.show(apart_plot(walks, lang), lang)}


class Fork(TrajectoryJobPanel):
    """Another prompt, guidance or eta from step k on."""

    key = "fork"

    def lay_controls(self) -> None:
        self.slider("fork_step", 1, GenerationPanel.max_steps, 4, 1)
        self.textbox(
            "fork_prompt",
            {"label": "fork_prompt_label", "info": "fork_prompt_info"},
            "a pink heart on a yellow background",
        )
        self.dial("fork_guidance", {"label": "guidance_scale", "info": "guidance_info"}, 1, 15, 5, 0.5)
        self.dial("fork_eta", {"label": "eta", "info": "eta_info"}, 0, 1, 0, 0.05)
        self.run_button()

    def make_job(self, lang: str, **values: Any) -> tuple[Work, int]:
        from app.labs.denoising.plots import fork

        trunk, k = self.walk(values["kept"]), int(values["fork_step"])
        prompt = (values["fork_prompt"] or "").strip() or trunk.recipe.prompt
        steps, seed = trunk.recipe.steps, trunk.recipe.seed
        branch = recipe(self, prompt, steps, values["fork_guidance"], values["fork_eta"], seed)
        return lambda pipe: fork(pipe, trunk, k, branch), steps

    def on_result(self, lang: str, result: Any, **values: Any) -> Updates:
        from app.labs.common.maps import heat
        from app.labs.denoising.plots import difference, fork_plot

        a, b = result.pictures
        apart = difference(a, b)
        rows = [
            (say(lang, "fork_trunk"), a),
            (say(lang, "fork_branch"), b),
            (say(lang, "fork_difference", most=f"{apart.max():.2f}"), heat(apart, 0.0)),
        ]
        return {self.shown: figures(rows), **self.card.show(fork_plot(result, lang), lang)}


class Inversion(FiguresJobPanel):
    """A picture back to its noise, and forward again."""

    key = "inversion"

    def lay_controls(self) -> None:
        self.upload("picture")
        self.textbox("inversion_prompt", {"label": "prompt", "info": "inversion_prompt_info"})
        words = {"label": "steps", "info": "inversion_steps_info"}
        self.dial("inversion_steps", words, 2, GenerationPanel.max_steps, STEPS, 1)
        self.slider("refine", 0, 3, 0, 1)
        self.run_button()

    def make_job(self, lang: str, **values: Any) -> tuple[Work, int]:
        from app.labs.denoising.ddim_inversion import inverted

        picture = chosen(self.service, values["picture"])
        steps, refine = int(values["inversion_steps"]), int(values["refine"])
        made = recipe(self, values["inversion_prompt"] or "-", steps, 1.0, 0.0, 0)
        made = replace(made, prompt=values["inversion_prompt"] or "")  # here no prompt is a prompt too
        return lambda pipe: inverted(pipe, picture, made.prompt, steps, refine), steps * (2 + refine)

    def on_result(self, lang: str, result: Any, **values: Any) -> Updates:
        from app.labs.denoising.ddim_inversion import inversion_plot

        pictures = [(say(lang, f"inversion_{name}"), getattr(result, name)) for name in ("original", "noise", "back")]
        return {self.shown: figures(pictures), **self.card.show(inversion_plot(result, lang), lang)}


LAB = Lab("denoising", (GenerationPanel, Scrub, Guidance, Etas, Fork, Inversion))
