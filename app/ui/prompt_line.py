"""What stands around the prompt: which of its words the model knows, chips for style, colour, ground, a surprise."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from app.i18n import say
from app.widgets.status import safe
from ldm_core.data.colours import BACKGROUNDS, THING_COLOURS
from ldm_core.data.english import with_article
from ldm_core.text.knowledge import Knowledge, Reading

if TYPE_CHECKING:
    from ldm_core.text.tokenizer import TokenCount

SHOWN = 12  # unknown words that are listed
OFFERS = 3  # of them with a known name instead


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
        if reading.unknown:
            parts.append(f'<span class="strange">{_strange(reading, lang)}</span>')
    return f'<div class="reading"><div>{" ".join(parts)}</div>{_tokens(count, lang)}</div>'


def _strange(reading: Reading, lang: str) -> str:
    """The unknown words, the first few with their nearest known name to press."""
    words, offers = [], 0
    for word in reading.unknown[:SHOWN]:
        words.append(safe(word.text))
        if word.nearest is not None and offers < OFFERS:
            words[-1] += _offer(word.text, word.nearest, lang)
            offers += 1
    more = " …" if len(reading.unknown) > SHOWN else ""
    return safe(say(lang, "unknown_words")) + " " + " · ".join(words) + more


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
    """Style, colour and ground in one row, each a menu of buttons that chips.js writes into the prompt; "" for an open
    vocabulary.
    """
    if knowledge is None:
        return ""
    styles = {style: safe(style.removesuffix(" style")) for style in knowledge.styles}
    swatches = {name: _swatch(name, lang) for name in knowledge.colours if name in BACKGROUNDS}
    colours = {name: label for name, label in swatches.items() if name in THING_COLOURS}
    menus = (
        _menu("style", say(lang, "style_chips"), styles, lang),
        _menu("colour", say(lang, "colour_chips"), colours, lang),
        _menu("ground", say(lang, "ground_chips"), swatches, lang),
    )
    return f'<div class="chips">{"".join(menus)}</div>'


def _menu(kind: str, title: str, labels: Mapping[str, str], lang: str) -> str:
    """A button for each name of `labels`, and one for none of them; what is folded over it says which is chosen."""
    no_matter = safe(say(lang, "any_chip"))
    buttons = "".join(
        f'<button type="button" data-{kind}="{safe(name)}">{label}</button>'
        for name, label in ({"": no_matter} | dict(labels)).items()
    )
    return (
        f'<details name="chips"><summary>{safe(title)} <b data-chosen="{kind}">{no_matter}</b></summary>'
        f'<div role="group" aria-label="{safe(title)}">{buttons}</div></details>'
    )


def _swatch(colour: str, lang: str) -> str:
    return f'<i style="background:rgb{BACKGROUNDS[colour]}"></i>{safe(say(lang, f"colour_{colour}"))}'


def surprise(knowledge: Knowledge | None, examples: Sequence[str], lang: str, rng: random.Random) -> str:
    """A prompt of known words that put things together; one of the examples for an open vocabulary."""
    if knowledge is None:
        return rng.choice(examples)
    chinese = {english: zh for zh, (_, english) in reversed([*knowledge.chinese.items()])}  # the first of several names
    named = [chinese[thing] for thing in knowledge.things if thing in chinese] if lang == "zh" else []
    one, other = rng.sample(named if len(named) > 1 else list(knowledge.things), 2)
    colour, another = rng.sample([c for c in knowledge.colours if c not in ("white", "grey")], 2)
    if one in named:
        colour, another = (say("zh", f"colour_{name}") for name in (colour, another))
        return rng.choice(
            (
                f"{colour}的{one}",
                f"{colour}的{one}和{another}的{other}",
                f"{one}在{other}{rng.choice(('左边', '上面', '旁边'))}",
                f"{one}，{colour}背景",
            )
        )
    return rng.choice(
        (
            with_article(f"{colour} {one}"),
            f"{with_article(f'{colour} {one}')} and {with_article(f'{another} {other}')}",
            f"{with_article(one)} {rng.choice(('left of', 'above', 'next to'))} {with_article(other)}",
            f"{with_article(one)} on {with_article(f'{colour} background')}",
        )
    )


def live_html(lang: str) -> str:
    """The switch of Live and what it says; live.js works it, and shows it where the server offers it."""
    return (
        '<div class="live-row"><button type="button" role="switch" aria-checked="false" id="live-switch"><i></i>'
        f'<span data-word="live">{safe(say(lang, "live"))}</span></button>'
        f'<span id="live-says" role="status" data-word="live_info">{safe(say(lang, "live_info"))}</span></div>'
    )
