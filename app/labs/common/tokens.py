"""A prompt as the loaded model's tokenizer cuts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from app.i18n import say
from app.schemas import RequestError
from ldm_core.text.prompt_syntax import parse, plain

if TYPE_CHECKING:
    from ldm_core.pipeline import Pipeline


@dataclass(frozen=True)
class Token:
    """The places first…last of the context that one name stands for; text is '' but for pieces of the prompt."""

    kind: Literal["start", "piece", "end", "padding"]
    text: str
    first: int
    last: int

    def says(self, lang: str) -> str:
        """Its name on the page."""
        return self.text if self.kind == "piece" else say(lang, f"token_{self.kind}")


def tokens_of(pipe: Pipeline, prompt: str) -> tuple[Token, ...]:
    """The start, the prompt's pieces as far as they fit, the end, and the padding as one. RequestError without text."""
    tokenizer = pipe.tokenizer
    if tokenizer is None:
        raise RequestError("fault_no_text")
    text = tokenizer.clean(plain(parse(prompt)))
    spans = tokenizer.spans(text)[: tokenizer.length - 2]
    n = len(spans)
    pieces = [Token("piece", text[a:b], i + 1, i + 1) for i, (a, b) in enumerate(spans)]
    tokens = [Token("start", "", 0, 0), *pieces, Token("end", "", n + 1, n + 1)]
    if n + 2 < tokenizer.length:
        tokens.append(Token("padding", "", n + 2, tokenizer.length - 1))
    return tuple(tokens)
