"""GenEval's six types of prompt (Ghosh et al. 2023) on combinations that training never saw.

A picture is read as in GenEval, by parts: things apart on their plain background, a name for each, colours in CIELAB.
Real scenes of the same structure, through the autoencoder, are the ceiling of that reading.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np

from ldm_core.data.colours import BACKGROUNDS
from ldm_core.data.corpus import Corpus
from ldm_core.data.scenes.captions import Caption, caption
from ldm_core.data.scenes.draw import Drawings, draw
from ldm_core.data.scenes.layout import relation_of
from ldm_core.data.scenes.sampling import SceneSampler
from ldm_core.data.scenes.structure import Scene, SceneKind
from ldm_core.evaluation.components import background_colour, colour_of, cut_out, separate
from ldm_core.evaluation.judge import JudgeModel
from ldm_core.evaluation.pictures import PictureMaker, contact_sheet
from ldm_core.evaluation.pointing import pointing_game
from ldm_core.evaluation.reconstruction import reconstruct
from ldm_core.evaluation.report import Metric, Part
from ldm_core.evaluation.settings import EvaluationSettings, part_seed
from ldm_core.evaluation.things import ThingReader
from ldm_core.images import Pixels

SEED = 50_000_000  # of the generators that draw scenes and captions
TYPES: Mapping[str, SceneKind] = {
    "single": "colour",  # its colour is taken away again
    "two": "two",
    "counting": "count",
    "colours": "colour",
    "position": "position",
    "attribution": "attribution",
}
TARGETS = {"single": 0.95, "two": 0.85, "counting": 0.85, "colours": 1.0, "position": 0.80, "attribution": 0.65}
SHEET = 36  # pictures on a contact sheet, the first ones


@dataclass(frozen=True)
class Seen:
    """One thing as it was read off a picture: name, colour ("" where none has most of it), place in pixels."""

    name: str
    colour: str
    centre: tuple[float, float]


@dataclass(frozen=True)
class RealScenes:
    """Scenes of one of TYPES: captions, pictures uint8 [N,H,W,3], which thing has each pixel [N,H,W]."""

    scenes: list[Scene]
    captions: list[Caption]
    images: Pixels
    owners: Pixels


@dataclass(frozen=True)
class TypeScores:
    """How often one type's prompts are shown: as read by name, and by number, colours and places alone; details of each
    prompt for the JSON, a contact sheet.
    """

    shown: Metric
    laid_out: Metric
    details: list[dict[str, Any]]
    sheet: Pixels


def real_scenes(drawings: Drawings, kind_of_prompt: str, n: int, seed: int) -> RealScenes:
    """n scenes of one of TYPES, all but single things with a held-out combination; the i-th depends on i only."""
    kind, single = TYPES[kind_of_prompt], kind_of_prompt == "single"
    sampler = SceneSampler(drawings.corpus, drawings, {kind: 1.0}, trained=single)
    found = [sampler(np.random.default_rng((SEED, seed, i))) for i in range(n)]
    found = [_uncoloured(scene) for scene in found] if single else found
    said = [caption(scene, np.random.default_rng((SEED, seed, i, 1))) for i, scene in enumerate(found)]
    images, owners = (np.stack(both) for both in zip(*(draw(scene, drawings) for scene in found), strict=True))
    return RealScenes(found, said, images, owners)


def _uncoloured(scene: Scene) -> Scene:
    return replace(scene, things=tuple(replace(t, colour="", recoloured=False) for t in scene.things))


def read(name_of: ThingReader, images: Pixels, backgrounds: Sequence[str]) -> list[list[Seen]]:
    """Pictures uint8 [N,H,W,3] on named backgrounds → what is seen in each, the largest first."""
    found = []
    for image, named in zip(images, backgrounds, strict=True):
        background = background_colour(image, BACKGROUNDS[named])
        components = separate(image, background)
        crops = [cut_out(image, component, background, name_of.judge.network.config.side) for component in components]
        names = name_of(np.stack(crops)) if crops else []
        found.append([Seen(n, colour_of(image, c), c.centre) for n, c in zip(names, components, strict=True)])
    return found


def shows(scene: Scene, seen: Sequence[Seen]) -> bool:
    """Whether all that a scene's caption says is seen: things, a number, colours, places. More things do not matter,
    but of what is counted.
    """
    if len(scene.things) == 1 and scene.things[0].number > 1:
        thing = scene.things[0]
        alike = [s for s in seen if s.name == thing.name]
        return len(alike) == thing.number and all(thing.colour in ("", s.colour) for s in alike)
    for chosen in permutations(seen, len(scene.things)):
        right = all(s.name == t.name and t.colour in ("", s.colour) for s, t in zip(chosen, scene.things, strict=True))
        if right and (not scene.relation or relation_of(chosen[0].centre, chosen[1].centre) == scene.relation):
            return True
    return False


def shows_layout(scene: Scene, seen: Sequence[Seen]) -> bool:
    """The same whatever the things are: as many, in these colours, at these places."""
    nameless = replace(scene, things=tuple(replace(thing, name="") for thing in scene.things))
    return shows(nameless, [replace(s, name="") for s in seen])


def score_type(name: str, real: RealScenes, name_of: ThingReader, maker: PictureMaker, seed: int) -> TypeScores:
    """Pictures of the scenes' captions, beside the scenes themselves through the autoencoder and as they are drawn."""
    made, backgrounds = maker.generate(name, [c.text for c in real.captions], seed), [s.background for s in real.scenes]
    pictures = made, reconstruct(maker.pipe, real.images), real.images
    seen = [read(name_of, images, backgrounds) for images in pictures]

    def right(check: Callable[[Scene, Sequence[Seen]], bool], found: Sequence[Sequence[Seen]]) -> list[bool]:
        return [check(scene, things) for scene, things in zip(real.scenes, found, strict=True)]

    hits, n = right(shows, seen[0]), len(real.scenes)
    value, ceiling, drawn = (float(np.mean(right(shows, found))) for found in seen)
    note = f"real scenes without the autoencoder: {drawn:.3f}"
    shown = Metric(f"compose: {name}", value, n, ceiling, TARGETS[name], True, note=note)
    value, ceiling = (float(np.mean(right(shows_layout, found))) for found in seen[:2])
    laid_out = Metric(f"compose: {name}, any things", value, n, ceiling, note="number, colours, places")
    details = [
        {"prompt": c.text, "right": hit, "seen": [[s.name, s.colour] for s in things]}
        for c, hit, things in zip(real.captions, hits, seen[0], strict=True)
    ]
    return TypeScores(shown, laid_out, details, contact_sheet([made[:SHEET]], 6, 128, SHEET))


def composing(judge: JudgeModel, corpus: Corpus, maker: PictureMaker, settings: EvaluationSettings) -> Part:
    """GenEval accuracy per prompt type, mean share of the real scenes' ceiling, the pointing game, contact sheets."""
    drawings = Drawings(corpus)
    name_of = ThingReader(judge, drawings, settings.seed)
    part, further = Part(), list[Metric]()
    for name in TYPES:
        real = real_scenes(drawings, name, settings.compose, settings.seed)
        scores = score_type(name, real, name_of, maker, part_seed(settings.seed, "composing"))
        part.metrics.append(scores.shown)
        further.append(scores.laid_out)
        part.details[name], part.sheets[f"compose-{name}"] = scores.details, scores.sheet
        if name == "two":
            further.append(pointing_game(maker.pipe, real.images, real.owners, real.captions, settings.seed))
    mean = float(np.mean([metric.share or 0.0 for metric in part.metrics]))
    part.metrics.extend([Metric("compose: mean share", mean, len(TYPES) * settings.compose, target=0.85), *further])
    return part
