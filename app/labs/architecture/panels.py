"""Architecture: the loaded model as tables of its blocks, and the path of one prompt through it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import gradio as gr

from app.i18n import say
from app.labs.architecture.drawing import drawing
from app.labs.common.panels.panel import Lab, Panel
from app.schemas import RequestError, read_params
from app.widgets.events import Updates
from ldm_core.text.prompt_syntax import parse, plain

if TYPE_CHECKING:
    from ldm_core.pipeline import Pipeline

PARTS = {part: f"part_{part}" for part in ("text", "unet", "encoder", "decoder")}


def table(header: list[str], rows: list[list[str]]) -> str:
    """An HTML table; the first column names the row."""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in header)
    body = "".join(
        f'<tr><th scope="row"><code>{escape(first)}</code></th>'
        + "".join(f"<td>{escape(text)}</td>" for text in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return f'<div class="table" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


class LoadedModelPanel(Panel):
    """A panel about the loaded model."""

    def pipe(self) -> Pipeline:
        """The model, or RequestError while there is none."""
        if self.service.pipe is None:
            raise RequestError("still_loading")
        return self.service.pipe


class Blocks(LoadedModelPanel):
    """Blocks of one part with shapes, parameters and FLOPs."""

    key = "blocks"

    def lay_controls(self) -> None:
        """The part, and a picture's width and height in pixels."""
        self.control("part", gr.Radio, {"label": "part_label", "choices": PARTS}, value="unet")
        limits = self.service.limits
        multiple = limits.size_multiple
        for name in ("width", "height"):
            self.control(
                f"blocks_{name}",
                gr.Slider,
                {"label": name},
                minimum=multiple,
                maximum=limits.max_side,
                value=limits.image_size,
                step=multiple,
                buttons=[],
                elem_id=f"blocks-{name}",
            )

    def lay_view(self) -> None:
        """Cost by block as a plot, the part as a drawing, a table."""
        self.card = self.plot_card(height=260, drawn=False)
        self.drawing = gr.HTML(elem_id="blocks-drawing")
        self.table = gr.HTML(elem_id="blocks-table")
        self.outputs += [self.drawing, self.table]

    def draw(self, lang: str, *, part: str, blocks_width: float, blocks_height: float) -> Updates:
        """Shape, parameters and FLOPs of each block at that size. RequestError where the model lacks the part."""
        from app.labs.architecture.blocks import blocks, cost_plot

        config = self.pipe().config
        rows = blocks(config, part, int(blocks_height), int(blocks_width))
        if not rows:
            raise RequestError("no_such_part")
        columns = ("column_block", "column_kind", "column_shape", "column_parameters", "column_flops")
        cells = [
            [r.name, r.kind, "×".join(map(str, r.shape)), f"{r.parameters:,}", f"{r.flops / 1e6:,.1f} M"] for r in rows
        ]
        label = say(lang, "drawing_label", part=say(lang, PARTS[part]))
        return {
            self.drawing: drawing(rows, label, config.unet.context_dim is not None),
            self.table: table([say(lang, c) for c in columns], cells),
            **self.card.show(cost_plot(rows, lang), lang),
        }


class ConditioningWeights(LoadedModelPanel):
    """The five conditioning keys and the weights each lets its condition in by."""

    key = "doors"

    def lay_controls(self) -> None:
        """None but a note: what there is to see depends on the model alone."""
        self.translation.make(gr.Markdown, {"value": "doors_note"}, elem_classes="small")

    def lay_view(self) -> None:
        """A table, a row a conditioning key."""
        self.table = gr.HTML(elem_id="doors-table")
        self.outputs.append(self.table)

    def draw(self, lang: str) -> Updates:
        """How many weights let each key's condition in, and which; the loaded model's key is marked."""
        from app.labs.architecture.blocks import conditioning_weights

        config = self.pipe().config
        rows = []
        for key, weights in conditioning_weights(config).items():
            loaded = key == str(config.conditioning_key)
            name = say(lang, "door_loaded", name=key) if loaded else key
            where = "—" if not weights else weights[0] if len(weights) == 1 else f"{weights[0]} … {weights[-1]}"
            rows.append([name, say(lang, f"door_{key.lower()}"), f"{len(weights)}", where])
        columns = ("column_key", "column_what", "column_count", "column_where")
        return {self.table: table([say(lang, column) for column in columns], rows)}


class Path(LoadedModelPanel):
    """One prompt's way to a PNG, with the loaded model's own shapes."""

    key = "path"

    def lay_controls(self) -> None:
        """The prompt."""
        prompt = {"value": "a red apple, noto style", "max_length": 200}
        self.control("path_prompt", gr.Textbox, {"label": "prompt"}, **prompt, elem_id="path-prompt")

    def lay_view(self) -> None:
        """A table, a row a stage."""
        self.table = gr.HTML(elem_id="path-table")
        self.outputs.append(self.table)

    def draw(self, lang: str, *, path_prompt: str | None) -> Updates:
        """Where each stage stands in the code, what it makes of the prompt, and of what shape."""
        pipe = self.pipe()
        c, tokenizer = pipe.config, pipe.tokenizer
        if tokenizer is None or c.text is None:
            raise RequestError("no_such_part")
        params = self.service.in_english(read_params({"prompt": path_prompt}))
        ids = tokenizer.encode([plain(parse(params.prompt))])[0].tolist()
        latent = "×".join(map(str, c.latent_shape()))
        size = f"{c.image_size}×{c.image_size}"
        steps = [
            ["ldm_core.text.tokenizer", say(lang, "path_ids", ids=" ".join(map(str, ids[:12]))), f"int64 [{len(ids)}]"],
            ["ldm_core.models.text", say(lang, "path_context"), f"[{c.text.text_len}×{c.text.width}]"],
            ["ldm_core.pipeline", say(lang, "path_noise"), f"[{latent}]"],
            ["ldm_core.diffusion.samplers", say(lang, "path_steps"), f"[{latent}]"],
            ["ldm_core.models.unet", say(lang, "path_unet", word=c.parameterization), f"[{latent}]"],
            ["ldm_core.models.autoencoder", say(lang, "path_decode"), f"[3×{size}]"],
            ["ldm_core.metadata", say(lang, "path_png"), f"{size} PNG"],
        ]
        header = [say(lang, "column_where"), say(lang, "column_what"), say(lang, "column_shape")]
        return {self.table: table(header, steps)}


LAB = Lab("architecture", (Blocks, ConditioningWeights, Path))
