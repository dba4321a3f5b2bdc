"""Attention: which words each position of a kept generation looks at, per token, layer, head and step."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import gradio as gr

from app.engine import Work
from app.i18n import say
from app.labs.common.panels.job_panel import GenerationPanel, StepPanel, TrajectoryJobPanel
from app.labs.common.panels.panel import Lab
from app.labs.common.panels.pictures import colour_bar, figures
from app.schemas import RequestError
from app.widgets.events import Updates
from app.widgets.translation import offered

if TYPE_CHECKING:
    from app.labs.attention.maps import AttentionMaps, Floats
    from app.labs.common.tokens import Token
    from app.labs.common.trajectory import Trajectory


class AttentionGeneration(GenerationPanel):
    """The generation that is listened to."""

    key = "read"
    prompt = "a red apple and a yellow banana"  # two things, looked at from different places


class HeatMaps(StepPanel):
    """One step asked again: the chosen token's map, all tokens' maps, their shares.

    Layers, heads and tokens are known only once there is a generation: the choices come with the first drawing.
    """

    key = "heat"
    late_choices = ("token", "layer", "head")

    def lay_controls(self) -> None:
        """Step, token, layer and head; the last three are filled by the first drawing."""
        super().lay_controls()
        for name, kind in (("token", gr.Radio), ("layer", gr.Dropdown), ("head", gr.Dropdown)):
            words = {"label": f"{name}_label", "info": f"{name}_info"}
            more = {} if kind is gr.Radio else {"filterable": False}
            self.control(name, kind, words, choices=[], value=None, **more)

    def lay_view(self) -> None:
        """Maps and a plot; the choices are outputs too."""
        super().lay_view()
        self.outputs += [self.controls[name] for name in self.late_choices]

    def draw_step(self, lang: str, trajectory: Trajectory, i: int, **asked: str | None) -> Updates:
        """Maps as multiples of an even share; a token that is gone gives way to the likeliest thing."""
        from app.labs.attention.maps import attention_maps, lift, of_token, over_picture, shares_plot
        from app.labs.common.maps import signed

        made = self.ask(trajectory, i, lambda pipe: attention_maps(pipe, trajectory, i))
        choices = self._choices(lang, made)
        token, layer, head = (_chosen(choices[name], asked[name]) for name in self.late_choices)
        if asked["token"] != token:
            token = _thing(made)
        one = of_token(made.maps, made.tokens[int(token)], layer, int(head))
        name = made.tokens[int(token)].says(lang)
        large = [
            (say(lang, "heat_over", token=name), over_picture(one, made.picture)),
            (say(lang, "heat_alone", mean=f"{one.mean():.1%}", most=f"{one.max():.1%}"), signed(lift(one), 1.0)),
        ]
        maps = ((t, of_token(made.maps, t, layer, int(head))) for t in made.tokens)
        small = [(f"{t.says(lang)} {m.mean():.0%}", signed(lift(m), 1.0)) for t, m in maps]
        picked = {"token": token, "layer": layer, "head": head}
        return {
            self.shown: figures(large) + colour_bar(("½×", "1×", "2×"), say(lang, "heat_scale")) + figures(small),
            **self.card.show(shares_plot(made, int(token), layer, int(head), lang), lang),
            **{self.controls[n]: offered(choices[n], asked[n], picked[n]) for n in choices},
        }

    def _choices(self, lang: str, made: AttentionMaps) -> dict[str, list[tuple[str, str]]]:
        from app.labs.attention.maps import ALL, MEAN, layer_name

        heads = min(m.shape[0] for m in made.maps.values())
        return {
            "token": [(token.says(lang), str(k)) for k, token in enumerate(made.tokens)],
            "layer": [(say(lang, "all_layers"), ALL), *((layer_name(name, made.maps), name) for name in made.maps)],
            "head": [(say(lang, "all_heads"), str(MEAN)), *((str(k), str(k)) for k in range(1, heads + 1))],
        }


class AttentionOverSteps(TrajectoryJobPanel[tuple["Floats", tuple["Token", ...]]]):
    """Every token's share at every step."""

    key = "listening"

    def lay_controls(self) -> None:
        """The button alone: layer and head are the maps' choice."""
        self.reuse("layer", "head")
        self.run_button()

    def make_job(self, *, kept: Trajectory | None, layer: str | None, head: str | None) -> tuple[Work[Any], int]:
        """The whole generation again, its attention recorded: as many steps as it had."""
        from app.labs.attention.maps import shares_over_steps
        from app.labs.common.tokens import tokens_of

        trajectory = self.context.generation.trajectory(kept)
        if not re.fullmatch(r"\d{1,3}", head or "0"):  # a link may name any
            raise RequestError("not_offered")

        def work(pipe: Any) -> Any:
            shares = yield from shares_over_steps(pipe, trajectory, layer or "", int(head or "0"))
            return shares, tokens_of(pipe, trajectory.params.prompt)

        return work, len(trajectory.steps)

    def on_result(self, lang: str, result: tuple[Floats, tuple[Token, ...]], **_: Any) -> Updates:
        """Each token's share of the attention over the steps, as a plot."""
        from app.labs.attention.maps import over_steps_plot

        shares, tokens = result
        return {self.shown: "", **self.card.show(over_steps_plot(shares, tokens, lang), lang)}


def _chosen(choices: list[tuple[str, str]], value: str | None) -> str:
    """The value if it is still to be had, else the first."""
    known = [v for _, v in choices]
    return value if value in known else known[0]


def _thing(made: AttentionMaps) -> str:
    """The piece whose map differs most over the positions: the likeliest to name a thing of the picture."""
    from app.labs.attention.maps import ALL, MEAN, lift, of_token

    pieces = [k for k, token in enumerate(made.tokens) if token.kind == "piece" and len(token.text) > 2] or [0]
    return str(max(pieces, key=lambda k: float(lift(of_token(made.maps, made.tokens[k], ALL, MEAN)).std())))


LAB = Lab("attention", (AttentionGeneration, HeatMaps, AttentionOverSteps))
