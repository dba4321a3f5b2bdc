"""What stands around the prompt: which of its words the model knows, chips for style and ground, a surprise."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from app.i18n import say
from app.ui.status import safe
from ldm_core.data.colours import BACKGROUNDS
from ldm_core.text.knowledge import Knowledge, Reading

if TYPE_CHECKING:
    from ldm_core.text.tokenizer import TokenCount

SHOWN = 12  # unknown words that are listed


def reading_html(prompt: str, reading: Reading | None, count: TokenCount | None, lang: str) -> str:
    """The line under the prompt: the English that is drawn, known words, the others' nearest, 9/30 tokens.

    `reading` is None for a model with an open vocabulary: then it is the count alone.
    """
    parts = []
    if reading is not None and prompt.strip():
        if reading.english.strip() != prompt.strip():
            parts.append(f'<span class="draws">{safe(say(lang, "will_draw", english=reading.english))}</span>')
        if reading.known:
            words = " · ".join(dict.fromkeys(word.text for word in reading.known))
            parts.append(f'<span class="knows">{safe(say(lang, "knows", words=words))}</span>')
        for word in reading.unknown[:SHOWN]:
            offer = "" if word.nearest is None else _offer(word.text, word.nearest, lang)
            parts.append(f'<span class="strange">{safe(say(lang, "unknown_word", word=word.text))}{offer}</span>')
    return f'<div class="reading"><div>{" ".join(parts)}</div>{_tokens(count, lang)}</div>'


def _offer(word: str, nearest: str, lang: str) -> str:
    """A button that puts the nearest known name where the word stands."""
    label = safe(say(lang, "use_nearest", name=nearest))
    return f' <button type="button" data-replace="{safe(word)}" data-by="{safe(nearest)}">{label}</button>'


def _tokens(count: TokenCount | None, lang: str) -> str:
    if count is None:
        return f'<span class="tokens">{safe(say(lang, "tokens_loading"))}</span>'
    text = safe(say(lang, "tokens", tokens=count.tokens, limit=count.limit))
    if not count.truncated:
        return f'<span class="tokens">{text}</span>'
    dropped = count.truncated if len(count.truncated) <= 120 else f"{count.truncated[:120]}…"
    return (
        f'<span class="tokens over" role="alert">{text} · {safe(say(lang, "tokens_dropped", dropped=dropped))}</span>'
    )


def chips_html(knowledge: Knowledge | None, lang: str) -> str:
    """Style and ground as rows of buttons, which page.js writes into the prompt; "" for an open vocabulary."""
    if knowledge is None:
        return ""
    styles = "".join(
        f'<button type="button" data-style="{safe(style)}">{safe(style.removesuffix(" style"))}</button>'
        for style in knowledge.styles
    )
    grounds = "".join(
        f'<button type="button" class="swatch" data-ground="{name}" title="{name}" aria-label="{name}" '
        f'style="background:rgb{BACKGROUNDS[name]}"></button>'
        for name in knowledge.colours
        if name in BACKGROUNDS
    )
    return _row("style_chips", styles, lang) + _row("ground_chips", grounds, lang)


def _row(key: str, buttons: str, lang: str) -> str:
    label = safe(say(lang, key))
    return f'<div class="chips" role="group" aria-label="{label}"><span data-word="{key}">{label}</span>{buttons}</div>'


def surprise(knowledge: Knowledge | None, examples: tuple[str, ...], rng: random.Random) -> str:
    """A prompt of known words that put things together; one of the examples for an open vocabulary."""
    if knowledge is None:
        return rng.choice(examples)
    one, other = rng.sample(list(knowledge.things), 2)
    colour, another = rng.sample([c for c in knowledge.colours if c not in ("white", "grey")], 2)
    return rng.choice(
        (
            _article(f"{colour} {one}"),
            f"{_article(f'{colour} {one}')} and {_article(f'{another} {other}')}",
            f"{_article(one)} {rng.choice(('left of', 'above', 'next to'))} {_article(other)}",
            f"{_article(one)} on {_article(f'{colour} background')}",
        )
    )


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def live_html(lang: str) -> str:
    """The switch of Live and what it says; live.js works it, and shows it where the server offers it."""
    return (
        '<div class="live-row"><button type="button" role="switch" aria-checked="false" id="live-switch"><i></i>'
        f'<span data-word="live">{safe(say(lang, "live"))}</span></button>'
        f'<span id="live-says" role="status" data-word="live_info">{safe(say(lang, "live_info"))}</span></div>'
    )
