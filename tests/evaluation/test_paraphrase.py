"""Unknown words find known names in the embedded text encoder's space."""

from __future__ import annotations

from pathlib import Path

import ldm_core
from ldm_core.evaluation.paraphrase import EncoderNeighbours
from ldm_core.text.knowledge import Knowledge

WEIGHTS = Path(__file__).parents[2] / "weights" / "emoji-128.safetensors"


def test_words_of_no_caption_find_what_they_mean():
    knowledge = Knowledge.beside(WEIGHTS)
    assert knowledge is not None
    nearest = EncoderNeighbours(ldm_core.load(WEIGHTS, "cpu", "float32"), list(knowledge.concepts))
    reading = knowledge.read("a red sedan and a hound, noto style", nearest)
    assert [(u.text, u.nearest) for u in reading.unknown] == [("sedan", "automobile"), ("hound", "dog")]
    assert nearest([]) == []
