"""How much is measured, and from which seed."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from ldm_core.data.colours import BACKGROUNDS
from ldm_core.data.names import TONES
from ldm_core.sampling import SAMPLER_NAMES, ParameterError, SamplingParams

COUNTS = ("reconstructions", "heldout", "backgrounds", "tones", "prompts", "seeds", "names", "paraphrases", "compose")

# The seed of each part's first picture where the evaluation's is 0; composing is evaluated alone.
PART_SEEDS = {
    "heldout": 0,
    "composing": 0,
    "backgrounds": 10_000_000,
    "tones": 20_000_000,
    "diversity": 30_000_000,
    "paraphrases": 40_000_000,
    "names": 50_000_000,
}
SPACING = 1_000_000  # seeds between the pictures of one evaluation's seed and those of the next
MOST_SEED = 4000  # beyond it a part's seeds would not fit 32 bits


def part_seed(seed: int, part: str) -> int:
    """The seed of a part's first picture; no two parts of an evaluation share a picture's seed."""
    return PART_SEEDS[part] + SPACING * seed


@dataclass(frozen=True)
class EvaluationSettings:
    """Counts of an evaluation; with these a whole one makes about 950 pictures. 0 leaves a part out."""

    sampler: str = "ddim"
    steps: int = 25
    guidance_scale: float | None = None  # None: the model's own
    seed: int = 0
    batch: int = 16  # pictures at a time
    reconstructions: int = 96  # held-out drawings, once on white and once on a colour
    heldout: int = 320  # held-out captions: retrieval, composition, KID, copying
    backgrounds: int = 8  # pictures for each named colour but white
    tones: int = 15  # held-out (concept, style) pairs, each in five skin tones
    prompts: int = 12  # for diversity
    seeds: int = 6  # of each of those prompts
    names: int = 200  # bare names of things, the commonest first
    paraphrases: int = 100  # words, each also by its concept's own name
    compose: int = 0  # prompts of each of six types that put things together
    lpips_net: str = "alex"
    lpips_trunk: str = "random"  # or a file of torchvision's weights, or "off"

    def __post_init__(self) -> None:
        for name in COUNTS:
            if not (type(count := getattr(self, name)) is int and count >= 0):
                raise ValueError(f"{name} must be a whole number of at least 0, not {count}")
        named = {name: getattr(self, name) for name in ("sampler", "steps", "guidance_scale", "seed", "batch")}
        SamplingParams("", **named)  # raises ValueError for what no picture can be made with
        if self.seed > MOST_SEED:
            raise ValueError(f"seed must be at most {MOST_SEED}: {self.seed} leaves no seeds for the pictures")
        if self.sampler not in SAMPLER_NAMES:
            raise ParameterError("no_sampler", "sampler", name=repr(self.sampler), names=", ".join(SAMPLER_NAMES))
        if self.lpips_net not in ("alex", "vgg", "squeeze"):
            raise ValueError(f"lpips_net must be alex, vgg or squeeze, not {self.lpips_net!r}")

    def limited(self, n: int) -> EvaluationSettings:
        """No count above n, for a trial."""
        if n < 1:
            raise ValueError(f"a quick evaluation needs at least 1 of everything, not {n}")
        return replace(self, **{f.name: min(getattr(self, f.name), n) for f in fields(self) if f.name in COUNTS})

    def composing_only(self, n: int) -> EvaluationSettings:
        """n prompts of each type that puts things together, and nothing else."""
        none: dict[str, Any] = dict.fromkeys(COUNTS, 0)
        return replace(self, **none | {"compose": n})

    @property
    def judged(self) -> bool:
        """Whether any part asks the judge; the others read colours and pixels."""
        return any((self.heldout, self.prompts, self.names, self.paraphrases, self.compose))

    @property
    def pictures(self) -> int:
        """How many are sampled, where the corpus has as many prompts."""
        backgrounds, toned = (len(BACKGROUNDS) - 1) * self.backgrounds, len(TONES) * self.tones
        named = self.names + 2 * self.paraphrases + 6 * self.compose
        return self.heldout + backgrounds + toned + self.prompts * self.seeds + named
