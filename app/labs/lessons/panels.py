"""Lessons: for each lab predict, move, see, explain, with links that set its controls; folded beside the lab."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.i18n import say
from app.labs.common.panels.links import lab_link
from app.labs.lessons.lessons import LESSONS, REFERENCE, Move
from app.service import Service
from app.widgets.events import QUIET, language
from app.widgets.status import safe
from app.widgets.translation import Translation

LESSON_OF = {"overview": "reference"}  # lab → its lesson, where that is not called like the lab


class LessonCard:
    """One lesson, drawn when it is unfolded; it can be presented step by step, and printed."""

    def __init__(self, lesson: str, service: Service, translation: Translation) -> None:
        self.lesson, self.service = lesson, service
        title = {"label": "lesson_reference" if lesson == "reference" else "lesson_title"}
        with translation.make(gr.Accordion, title, open=False, elem_classes="lesson-card") as self.card:
            self.shown = gr.HTML(elem_id=f"lesson-{lesson}")

    def wire(self, language_switched: Any) -> None:
        """Draw on unfolding, and again in another language."""
        self.card.expand(self.draw, None, self.shown, **QUIET)
        language_switched.then(self.redraw, self.shown, self.shown, **QUIET)

    def draw(self, request: gr.Request) -> str:
        """The lesson with the loaded model's numbers."""
        from app.labs.lessons.numbers import numbers
        from ldm_core.presets import EMOJI_128

        lang, pipe = language(request, self.service.settings.lang), self.service.pipe
        return lesson_html(self.lesson, numbers(self.lesson, EMOJI_128 if pipe is None else pipe.config), lang)

    def redraw(self, shown: str | None, request: gr.Request) -> Any:
        """Only what has been drawn before."""
        return self.draw(request) if shown else gr.skip()


def lesson_html(lesson: str, numbers: dict[str, str], lang: str) -> str:
    """A lesson's four beats; what is seen and why is folded, so that the guess comes first."""

    def words(beat: str) -> str:
        return safe(say(lang, f"lesson_{lesson}_{beat}", **numbers))

    moves = "".join(f"<li>{_link(move, words(move.name), lang)}</li>" for move in LESSONS[lesson].moves)
    parts = [f"<section><h4>{_beat('predict', lang)}</h4><p>{words('predict')}</p></section>"]
    if moves:
        parts.append(f"<section><h4>{_beat('move', lang)}</h4><p>{words('move')}</p><ul>{moves}</ul></section>")
    for beat in ("see", "explain"):
        table = _reference(numbers, lang) if (lesson, beat) == ("reference", "see") else ""
        parts.append(
            f'<section data-beat="{beat}"><details><summary>{_beat(beat, lang)}</summary>'
            f"<p>{words(beat)}</p>{table}</details></section>"
        )
    buttons = "".join(
        f'<button type="button" data-{does}="{lesson}">{safe(say(lang, f"lesson_{does}"))}</button>'
        for does in ("present", "print")
    )
    about = f'data-lesson="{lesson}" data-panel="{LESSONS[lesson].panel}"'
    return f'<div class="lesson" {about}>{"".join(parts)}</div><div class="actions">{buttons}</div>'


def _beat(name: str, lang: str) -> str:
    return safe(say(lang, f"beat_{name}"))


def _link(move: Move, text: str, lang: str) -> str:
    """Sets the lab's controls in place; opened in another window it opens the lab there."""
    return f'<a href="{safe(lab_link(move.lab, move.state, lang))}" data-lab-link>{text}</a>'


def _reference(numbers: dict[str, str], lang: str) -> str:
    """Every item: what is said, what is right, where to see it."""
    head = "".join(
        f'<th scope="col">{safe(say(lang, key))}</th>'
        for key in ("column_what", "column_says", "column_right", "column_lab")
    )
    rows = ""
    for item, move in REFERENCE.items():
        name, says, right = (safe(say(lang, f"reference_{item}{part}", **numbers)) for part in ("", "_says", "_right"))
        seen = "" if move is None else _link(move, safe(say(lang, f"{move.lab}_tab")), lang)
        rows += f'<tr><th scope="row">{name}</th><td>{says}</td><td>{right}</td><td>{seen}</td></tr>'
    return (
        f'<div class="table" tabindex="0" role="region" aria-label="{safe(say(lang, "lesson_reference"))}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
