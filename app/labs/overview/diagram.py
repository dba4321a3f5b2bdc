"""The pipeline as one diagram in HTML: every stage with what it did in one generation, for the page to play."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.i18n import say
from app.labs.common.panels.links import lab_link
from app.widgets.status import pixels_uri, safe

if TYPE_CHECKING:
    from app.labs.overview.story import Story
    from ldm_core.images import Pixels

BEFORE = 3  # stages before the first step: prompt, tokens, text encoder


def diagram(story: Story, lang: str) -> str:
    """Five stages in a row, each a link into its lab, under them the player; stage and step shown are set by script.

    A frame is a moment of the play: prompt, tokens, text encoder, each step of the loop, decoder.
    """
    n = len(story.t)
    frames = n + BEFORE + 1
    label = safe(say(lang, "overview_label", prompt=story.prompt))
    said = "".join(f'<p data-frame="{k}">{safe(text)}</p>' for k, text in enumerate(_sentences(story, lang)))
    names = {does: safe(say(lang, f"play_{does}")) for does in ("back", "play", "pause", "next")}
    playing = f' data-play="{names["play"]}" data-pause="{names["pause"]}"'  # it is the one and the other
    buttons = "".join(
        f'<button type="button" data-do="{do}" aria-label="{names[do]}"{more}>{sign}</button>'
        for do, sign, more in (("back", "‹", ""), ("play", "▶", playing), ("next", "›", ""))
    )
    return (
        f'<latent-overview class="overview" data-frames="{frames}" data-before="{BEFORE}" role="group" '
        f'aria-label="{label}"><ol class="stages">{"".join(_stages(story, lang))}</ol>'
        f'<div class="player">{buttons}<input type="range" min="0" max="{frames - 1}" value="{frames - 1}" '
        f'aria-label="{safe(say(lang, "play_where"))}"></div>'
        f'<div class="said" aria-live="polite">{said}</div></latent-overview>'
    )


def _stages(story: Story, lang: str) -> list[str]:
    rows, width = story.context_shape
    chips = "".join(
        f'<span class="piece"><b>{safe(text or say(lang, "token_start" if k == 0 else "token_end"))}</b>{number}</span>'
        for k, (text, number) in enumerate(story.tokens)
    )
    latents = _stack([*story.latents, story.final], say(lang, "overview_latent"))
    estimates = _stack([*story.estimates, story.estimates[-1]], say(lang, "overview_estimate"))
    loop = (
        f'<div class="pair"><figure>{latents}<figcaption>x_t</figcaption></figure>'
        f"<figure>{estimates}<figcaption>x̂₀</figcaption></figure></div>"
        f"<nav>{_link('schedules', {}, 'overview_to_schedules', lang)} "
        f"{_link('architecture', {}, 'overview_to_unet', lang)}</nav>"
    )
    context = f'<img class="context" src="{pixels_uri(story.context)}" alt="{safe(say(lang, "overview_context"))}">'
    picture = f'<img src="{pixels_uri(story.picture)}" alt="{safe(say(lang, "picture_alt", prompt=story.prompt))}">'
    shape = "×".join(map(str, story.latent_shape))
    side, count = story.picture.shape, say(lang, "overview_count", count=len(story.tokens))
    return [
        _stage(0, "prompt", _link("attention", {}, "overview_prompt", lang), f"<q>{safe(story.prompt)}</q>", ""),
        _stage(
            1,
            "tokens",
            _link("attention", {}, "overview_tokens", lang),
            chips,
            count,
        ),
        _stage(
            2, "encoder", _link("architecture", {"part": "text"}, "overview_encoder", lang), context, f"{rows}×{width}"
        ),
        _stage(3, "loop", _link("denoising", {}, "overview_loop", lang), loop, shape),
        _stage(4, "decoder", _link("autoencoder", {}, "overview_decoder", lang), picture, f"{side[0]}×{side[1]}×3"),
    ]


def _stage(k: int, name: str, head: str, body: str, shape: str) -> str:
    return (
        f'<li data-stage="{k}" class="stage at-{name}"><h4>{head}</h4><div class="inside">{body}</div>'
        f'<p class="shape">{safe(shape)}</p></li>'
    )


def _stack(pictures: list[Pixels], alt: str) -> str:
    """All steps' pictures in one place; the script shows one."""
    return (
        '<span class="stack">'
        + "".join(
            f'<img data-step="{k}" src="{pixels_uri(pixels)}" alt="{safe(alt)}">' for k, pixels in enumerate(pictures)
        )
        + "</span>"
    )


def _link(lab: str, state: dict[str, str], word: str, lang: str) -> str:
    return f'<a href="{safe(lab_link(lab, state, lang))}" data-lab-link>{safe(say(lang, word))}</a>'


def _sentences(story: Story, lang: str) -> list[str]:
    """What is said at each frame."""
    n = len(story.t)
    rows, width = story.context_shape
    steps = [say(lang, "overview_says_step", i=i + 1, n=n, t=f"{t:.0f}") for i, t in enumerate(story.t)]
    return [
        say(lang, "overview_says_prompt"),
        say(lang, "overview_says_tokens", count=len(story.tokens)),
        say(lang, "overview_says_encoder", rows=rows, width=width),
        *steps,
        say(lang, "overview_says_decoder", shape="×".join(map(str, story.latent_shape))),
    ]
