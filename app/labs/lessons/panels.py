"""Lessons: for each lab predict, move, see, explain, with links that open it at the right values."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.i18n import say
from app.labs.common.panels.panel import Lab, Panel, Updates, link
from app.labs.lessons.lessons import LESSONS, REFERENCE, Move
from app.ui.status import safe

CHOICES = {key: "lesson_reference" if key == "reference" else f"{key}_tab" for key in LESSONS}


class Guided(Panel):
    """One lesson at a time."""

    key = "guided"

    def lay_controls(self) -> None:
        self.controls["lesson"] = self.translation.make(
            gr.Radio, {"label": "lesson_label", "choices": CHOICES}, value="schedules", elem_id="guided-lesson"
        )

    def lay_view(self) -> None:
        self.shown = gr.HTML(elem_id="guided-shown")
        self.outputs = [self.shown]

    def draw(self, lang: str, **values: Any) -> Updates:
        from app.labs.lessons.numbers import numbers
        from ldm_core.config import EMOJI_128

        lesson, pipe = values["lesson"] or "schedules", self.service.pipe
        return {self.shown: lesson_html(lesson, numbers(lesson, EMOJI_128 if pipe is None else pipe.config), lang)}


def lesson_html(lesson: str, numbers: dict[str, str], lang: str) -> str:
    """A lesson's four beats; what is seen and why is folded, so that the guess comes first."""

    def words(beat: str) -> str:
        return safe(say(lang, f"lesson_{lesson}_{beat}", **numbers))

    moves = "".join(f"<li>{_link(move, words(move.name), lang)}</li>" for move in LESSONS[lesson])
    parts = [f"<h4>{_beat('predict', lang)}</h4><p>{words('predict')}</p>"]
    if moves:
        parts.append(f"<h4>{_beat('move', lang)}</h4><p>{words('move')}</p><ul>{moves}</ul>")
    for beat in ("see", "explain"):
        table = _reference(numbers, lang) if (lesson, beat) == ("reference", "see") else ""
        parts.append(f"<details><summary>{_beat(beat, lang)}</summary><p>{words(beat)}</p>{table}</details>")
    return f'<div class="lesson" data-lesson="{lesson}">{"".join(parts)}</div>'


def _beat(name: str, lang: str) -> str:
    return safe(say(lang, f"beat_{name}"))


def _link(move: Move, text: str, lang: str) -> str:
    """Opens beside the lesson, in the page's language."""
    address = f"{link(move.lab, move.state)}&lang={lang}"
    return f'<a href="{safe(address)}" target="_blank" rel="noopener">{text}</a>'


def _reference(numbers: dict[str, str], lang: str) -> str:
    """Every item: what is said, what is right, where to see it."""
    head = "".join(
        f'<th scope="col">{safe(say(lang, key))}</th>'
        for key in ("column_what", "column_says", "column_right", "column_lab")
    )
    rows = ""
    for item, move in REFERENCE.items():
        name, says, right = (
            safe(say(lang, f"reference_{item}{part}", **numbers)) for part in ("", "_says", "_right")
        )  # fmt: skip
        seen = "" if move is None else _link(move, safe(say(lang, f"{move.lab}_tab")), lang)
        rows += f'<tr><th scope="row">{name}</th><td>{says}</td><td>{right}</td><td>{seen}</td></tr>'
    return (
        f'<div class="table" tabindex="0" role="region" aria-label="{safe(say(lang, "lesson_reference"))}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


LAB = Lab("lessons", (Guided,))
