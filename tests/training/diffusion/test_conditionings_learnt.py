"""Each conditioning key, trained for a minute, does what it is told. Figures go to docs/conditionings.md."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import Tensor

from ldm_core.diffusion.classifier_guidance import ClassifierGuidance
from ldm_core.evaluation.metrics import psnr
from ldm_core.models.classifier import NoisyClassifier
from tests.training.diffusion.drawings import (
    CLASSES,
    SIDE,
    Drawings,
    Judge,
    bicubic,
    draw,
    iou,
    low_resolution,
    one_blob,
    silhouette,
)
from tests.training.diffusion.styles import STYLES, draw_styles
from tests.training.diffusion.training import Trained, contexts, pick, sample, silenced, train, train_classifier

pytestmark = pytest.mark.slow


def say(text: str) -> None:
    sys.stdout.write(f"\n{text}\n")


def told(trained: Trained, asked: Drawings, n: int, guidance: float = 1.0) -> Tensor:
    """n pictures of what `asked` says, guided away from saying nothing."""
    nothing = trained.condition(silenced(asked, True)) if guidance != 1.0 else None
    options = {"unconditional_conditioning": nothing, "unconditional_guidance_scale": guidance}
    return sample(trained, trained.condition(asked), n, **options)


def guided(trained: Trained, judge: Judge, guide: NoisyClassifier, labels: Tensor) -> list[float]:
    """Share of samples that are what the guide was told, at scales 0, 1 and 8."""
    accuracies = []
    for scale in (0.0, 1.0, 8.0):
        corrector = ClassifierGuidance(guide, labels, trained.model.schedule, scale)
        images = sample(trained, {}, len(labels), score_corrector=corrector)
        accuracies.append(float((judge.classes(images) == labels).float().mean()))
    return accuracies


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge()


@pytest.fixture(scope="module")
def unconditional() -> Trained:
    return train(None, lambda _trained, _drawings: {})


def test_without_a_condition_samples_are_single_shapes(unconditional: Trained, judge: Judge):
    heldout = draw(256, seed=78)
    assert float((judge.classes(heldout.images) == heldout.classes).float().mean()) > 0.9
    images = sample(unconditional, {}, 64)
    whole, kinds = float(one_blob(images).mean()), len(judge.classes(images).unique())
    area = float(silhouette(images).float().mean() / silhouette(heldout.images).float().mean())
    say(f"unconditional: {whole:.0%} of the coloured pixels in one blob, {area:.2f} times the drawings' area")
    say(f"unconditional: {kinds} of {CLASSES} classes among 64 samples")
    assert whole > 0.8 and 0.5 < area < 1.5 and kinds >= 10


def test_concat_fills_the_silhouette():
    trained = train("concat", lambda _trained, d: {"c_concat": [d.silhouettes]}, extra_channels=1)
    asked = draw(48, seed=79)
    shuffled = Drawings(asked.images, asked.silhouettes.roll(1, 0), asked.classes, asked.captions)
    truth = asked.silhouettes[:, 0] > 0
    right, wrong = (float(iou(silhouette(told(trained, d, 48)), truth).mean()) for d in (asked, shuffled))
    say(f"concat: silhouette IoU {right:.2f}, with shuffled silhouettes {wrong:.2f}")
    assert right >= 0.6 and wrong <= 0.3


def test_adm_draws_the_class(judge: Judge):
    trained = train("adm", lambda _trained, d: {"c_crossattn": [d.classes]})
    asked = draw(64, seed=80, labels=torch.arange(64) % CLASSES)
    accuracy = float((judge.classes(told(trained, asked, 64, guidance=2.0)) == asked.classes).float().mean())
    say(f"adm: class right {accuracy:.0%}, chance {1 / CLASSES:.1%}")
    assert accuracy >= 3 / CLASSES


def test_crossattn_draws_the_caption(judge: Judge):
    trained = train("crossattn", lambda t, d: {"c_crossattn": [contexts(t, d)]})
    asked = draw(64, seed=81, labels=torch.arange(64) % CLASSES)
    other = (asked.classes + torch.randint(1, CLASSES, (64,), generator=torch.Generator().manual_seed(4))) % CLASSES
    scores = judge.scores(told(trained, asked, 64, guidance=2.0))
    right = scores.gather(1, asked.classes[:, None]) > scores.gather(1, other[:, None])
    say(f"crossattn: right of two captions {float(right.float().mean()):.0%}")
    assert float(right.float().mean()) >= 0.75


def test_hybrid_sharpens_what_the_caption_names():
    def both(trained: Trained, d: Drawings) -> dict[str, list[Tensor]]:
        return {"c_concat": [bicubic(low_resolution(d.images))], "c_crossattn": [contexts(trained, d)]}

    trained, asked = train("hybrid", both, extra_channels=3), draw(48, seed=82)
    ours = float(psnr(told(trained, asked, 48), asked.images).mean())
    peer = float(psnr(bicubic(low_resolution(asked.images)), asked.images).mean())
    order = list(reversed(range(48)))
    misled = Drawings(asked.images, asked.silhouettes, asked.classes, [asked.captions[i] for i in order])
    wrong = float(psnr(told(trained, misled, 48), asked.images).mean())
    say(f"hybrid: super-resolution 3 → {SIDE} px {ours:.2f} dB, bicubic {peer:.2f}, with wrong captions {wrong:.2f}")
    assert ours > peer


def test_classifier_guidance_raises_its_class(unconditional: Trained, judge: Judge):
    accuracies = guided(unconditional, judge, train_classifier(draw(2048, seed=10)), torch.arange(64) % CLASSES)
    say(f"classifier guidance at scales 0, 1, 8: class right {', '.join(f'{a:.0%}' for a in accuracies)}")
    assert accuracies[0] < accuracies[1] < accuracies[2]


def test_classifier_guidance_raises_its_style():
    judge, heldout = Judge(draw_styles(4096, seed=500)), draw_styles(256, seed=78)
    right = float((judge.classes(heldout.images) == heldout.classes).float().mean())
    data = draw_styles(2048, seed=2)
    drawn, guide = train(None, lambda _trained, _drawings: {}, data=data), train_classifier(data)
    accuracies = guided(drawn, judge, guide, torch.arange(64) % len(STYLES))
    say(f"the judge knows {right:.0%} of fresh drawings' styles")
    say(f"classifier guidance at scales 0, 1, 8: style right {', '.join(f'{a:.0%}' for a in accuracies)}")
    assert right > 0.9
    assert accuracies[0] < accuracies[1] < accuracies[2] and accuracies[2] > 0.6


def test_the_drawings_are_what_they_say():
    d = draw(64, seed=5)
    assert d.images.shape == (64, 3, SIDE, SIDE) and float(d.images.abs().max()) <= 1
    assert float(iou(silhouette(d.images), d.silhouettes[:, 0] > 0).mean()) > 0.9
    assert pick(d, torch.tensor([3])).captions == [d.captions[3]]
