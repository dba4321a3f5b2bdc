"""A whole evaluation: parts in order, metrics, details, pictures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ldm_core.data.corpus import Corpus
from ldm_core.evaluation.attributes import backgrounds, tones
from ldm_core.evaluation.bare_names import bare_names
from ldm_core.evaluation.composing import composing
from ldm_core.evaluation.diversity import diversity
from ldm_core.evaluation.heldout import heldout
from ldm_core.evaluation.judge import JudgeModel
from ldm_core.evaluation.paraphrase import paraphrase
from ldm_core.evaluation.pictures import PictureMaker, Progress
from ldm_core.evaluation.reconstruction import reconstruction
from ldm_core.evaluation.report import Metric, Part
from ldm_core.evaluation.settings import EvaluationSettings
from ldm_core.pipeline import Pipeline


@dataclass(frozen=True)
class Evaluation:
    """What was found, and of what."""

    weights: dict[str, Any]
    judge: str | None  # sha256; None where no part asked it
    settings: EvaluationSettings
    parts: dict[str, Part]
    seconds: dict[str, float]

    @property
    def metrics(self) -> list[Metric]:
        """Of all parts, in order."""
        return [metric for part in self.parts.values() for metric in part.metrics]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without the pictures."""
        return {
            "weights": self.weights,
            "judge_sha256": self.judge,
            "settings": asdict(self.settings),
            "figures": [metric.to_dict() for metric in self.metrics],
            "details": {name: part.details for name, part in self.parts.items()},
            "seconds": {name: round(value, 1) for name, value in self.seconds.items()},
        }

    def write(self, directory: Path) -> list[Path]:
        """evaluation.json and one PNG a sheet; returns their paths."""
        directory.mkdir(parents=True, exist_ok=True)
        written = [directory / "evaluation.json"]
        written[0].write_text(json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        for part in self.parts.values():
            for name, picture in part.sheets.items():
                written.append(directory / f"{name}.png")
                Image.fromarray(picture).save(written[-1])
        return written


def evaluate(
    pipe: Pipeline, judge: JudgeModel | None, corpus: Corpus, settings: EvaluationSettings, progress: Progress
) -> Evaluation:
    """Every part whose count is above 0. ValueError where the weights have no text encoder, nothing is held out, or
    a part asks for a judge and there is none.
    """
    if settings.judged and judge is None:
        asking = "held-out captions, diversity, names, paraphrases and composing"
        raise ValueError(f"{asking} need a judge: give one, or ask for none of them")
    if pipe.tokenizer is None:
        raise ValueError(f"{pipe.weights_name} has no text encoder: there is nothing to evaluate")
    if not len(corpus.heldout):
        raise ValueError(f"{corpus.path} holds out no drawings: there is nothing to evaluate on")
    parts, seconds = dict[str, Part](), dict[str, float]()
    for name, part in _parts(pipe, judge, corpus, settings, progress):
        started = time.monotonic()
        parts[name] = part()
        seconds[name] = time.monotonic() - started
    weights = {"name": pipe.weights_name, "sha256": pipe.weights_sha256, "geometry": pipe.config.name}
    return Evaluation(weights, judge.sha256 if judge else None, settings, parts, seconds)


def _parts(
    pipe: Pipeline, judge: JudgeModel | None, corpus: Corpus, s: EvaluationSettings, progress: Progress
) -> Iterator[tuple[str, Callable[[], Part]]]:
    maker = PictureMaker(pipe, s, progress)
    if s.reconstructions:
        yield "autoencoder", lambda: reconstruction(pipe, corpus, s, progress)
    if judge and s.heldout:
        yield "heldout", lambda: heldout(judge, corpus, maker, s, progress)
    if s.backgrounds:
        yield "backgrounds", lambda: backgrounds(corpus, maker, s)
    if s.tones:
        yield "tones", lambda: tones(corpus, maker, s)
    if judge and s.prompts:
        yield "diversity", lambda: diversity(judge, corpus, maker, s)
    if judge and s.names:
        yield "names", lambda: bare_names(judge, corpus, maker, s)
    if judge and s.paraphrases:
        yield "paraphrases", lambda: paraphrase(judge, corpus, maker, s)
    if judge and s.compose:
        yield "composing", lambda: composing(judge, corpus, maker, s)
