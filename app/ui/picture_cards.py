"""Finished pictures on the page: what is known of one, and the HTML of frame, strip and gallery."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from app.i18n import duration, say
from app.metadata import read_png
from app.schemas import GeneratedImage, GenerateResult, RequestError
from app.widgets.status import file_uri, safe
from ldm_core.images import own_picture, sheet_columns
from ldm_core.sampling import SamplingParams


@dataclass(frozen=True)
class Picture:
    """One finished picture and what is said of it."""

    path: str
    prompt: str
    settings: str  # JSON of the request that makes this picture alone
    facts: dict[str, Any]
    favourite: bool | None = None  # None where no history keeps it
    made: float | None = None  # seconds since 1970, of a picture of the history

    @classmethod
    def all_of(cls, result: GenerateResult) -> list[Picture]:
        """A job's pictures, each with a request of its own."""
        return [cls._of(image, result.request.image(k), result) for k, image in enumerate(result.images)]

    @classmethod
    def _of(cls, image: GeneratedImage, alone: SamplingParams, result: GenerateResult) -> Picture:
        facts: dict[str, Any] = {
            "seed": image.seed,
            "width": image.width,
            "height": image.height,
            "steps": result.steps_done,
        }
        facts |= {"took": result.seconds, "start": result.start, "model": result.model}
        settings = json.dumps(alone.to_dict(), ensure_ascii=False)
        return cls(str(image.path), alone.prompt, settings, facts, False if result.kept else None)

    @classmethod
    def of_file(
        cls, path: Path, facts: dict[str, Any], favourite: bool | None, made: float | None = None
    ) -> Picture | None:
        """One that was made before, by what its file says; None where that is damaged or gone."""
        try:
            settings, told = read_png(path)
            with own_picture(path) as image:
                width, height = image.size
        except (OSError, RequestError):
            return None
        own: dict[str, Any] = {"seed": settings.seed, "width": width, "height": height, "steps": settings.steps}
        own |= {"start": told.get("start", "noise")}
        text = json.dumps(settings.to_dict(), ensure_ascii=False)
        return cls(str(path), settings.prompt, text, own | facts, favourite, made)

    @property
    def travels(self) -> str:
        """Attributes that say what a link to it carries beside its settings: its model, what it began from."""
        start, model = self.facts.get("start", "noise"), self.facts.get("model")
        began = "" if start == "noise" else f' data-start="{safe(start)}"'
        return began + (f' data-model="{safe(model)}"' if model else "")

    def says(self, lang: str) -> str:
        """Seed, size, steps and time, or the model, in one line."""
        if "took" not in self.facts:
            return say(lang, "history_facts", **self.facts)
        return say(lang, "facts", **self.facts, seconds=duration(lang, self.facts["took"]))


def empty_html(lang: str) -> str:
    """The frame before there is anything to show."""
    return (
        f'<div class="frame empty"><p data-word="empty">{safe(say(lang, "empty"))}</p>'
        f'<p class="small" data-word="empty_hint">{safe(say(lang, "empty_hint"))}</p></div>'
    )


def frame_html(pictures: Sequence[Picture], lang: str) -> str:
    """The frame with finished pictures, each a button that opens it large; data URIs, so that nothing flashes."""
    cells = "".join(cell_html(picture, file_uri(Path(picture.path)), lang) for picture in pictures)
    return f'<div class="frame of-{sheet_columns(len(pictures))}">{cells}</div>'


def cell_html(picture: Picture, source: str, lang: str) -> str:
    """One picture to click on, with everything the large view says of it."""
    alt = safe(say(lang, "seeded_picture_alt", prompt=picture.prompt, seed=picture.facts["seed"]))
    kept = "" if picture.favourite is None else f' data-favourite="{str(picture.favourite).lower()}"'
    made = "" if picture.made is None else f' data-made="{picture.made:.0f}"'
    took = picture.facts.get("took")
    kept += picture.travels + ("" if took is None else f' data-took="{took:.3f}"')
    return (
        f'<button type="button" class="cell" data-settings="{safe(picture.settings)}" '
        f'data-facts="{safe(picture.says(lang))}" data-file="{safe(Path(picture.path).name)}"{kept}{made}>'
        f'<img src="{safe(source)}" alt="{alt}" decoding="sync" loading="lazy"></button>'
    )


def history_html(pictures: Sequence[Picture], lang: str) -> str:
    """The session's pictures, newest first, fetched as files so that an update stays small."""
    if not pictures:
        return f'<p class="note" data-word="history_empty">{safe(say(lang, "history_empty"))}</p>'
    return thumbs_html(pictures, lang)


def thumbs_html(pictures: Sequence[Picture], lang: str) -> str:
    """Small pictures to click on."""
    cells = "".join(cell_html(picture, f"gradio_api/file={quote(picture.path)}", lang) for picture in pictures)
    return f'<div class="thumbs">{cells}</div>'


def facts_html(picture: Picture, lang: str) -> str:
    """Seed, size and time under a picture, and ♡ where a history keeps it; settings ride along for the copy button."""
    about = f'data-settings="{safe(picture.settings)}" data-file="{safe(Path(picture.path).name)}"{picture.travels}'
    heart = ""
    if picture.favourite is not None:
        pressed, name = str(picture.favourite).lower(), safe(say(lang, "favourite"))
        heart = f' <button type="button" class="heart" aria-pressed="{pressed}" aria-label="{name}"></button>'
    return f'<span class="facts" {about}>{safe(picture.says(lang))}</span>{heart}'
