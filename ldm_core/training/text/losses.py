"""What a text encoder is trained by: distances, and choices among texts or drawings."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from ldm_core.evaluation.metrics import cosines

TEMPERATURE = 0.05  # of the teacher's and the student's choice among texts


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Mean of 1 - cosine between rows of [B,D]."""
    return 1.0 - F.cosine_similarity(a, b).mean()


def relation_loss(hidden: Tensor, target: Tensor) -> Tensor:
    """How differently student [B,D] and teacher [B,E] rank the batch: mean square of the difference of their cosine
    similarities, both about the batch's mean (relational distillation, Park et al. 2019).
    """

    def similarity(x: Tensor) -> Tensor:
        x = F.normalize(x - x.mean(0))
        return x @ x.T

    return F.mse_loss(similarity(hidden), similarity(target))


def choice_loss(guess: Tensor, target: Tensor, table: Tensor, places: Tensor | None = None) -> Tensor:
    """Which row of a table [V,E] is meant? Cross-entropy of the student's choice against the teacher's, less the
    teacher's own entropy, so that 0 is perfect.

    The teacher chooses by its vectors target [B,E]. The student chooses by guess [B,D] among `places` [V,D], where it
    has the same rows; without places it speaks the teacher's language, D is E, and it chooses among the table.
    """
    wanted = likeness(target, table).softmax(1)
    given = likeness(guess, table if places is None else places).log_softmax(1)
    return F.kl_div(given, wanted, reduction="batchmean")


def likeness(x: Tensor, table: Tensor) -> Tensor:
    """Logits [B,V] of a choice: cosines by the temperature."""
    return cosines(x, table) / TEMPERATURE


def contrastive_loss(text: Tensor, image: Tensor, scale: Tensor, positive: Tensor) -> Tensor:
    """Symmetric InfoNCE on [B,D]; positive [B,B] is 1 where caption and drawing say the same, several in a row too."""
    logits = scale.exp() * F.normalize(text) @ F.normalize(image).T
    target = positive / positive.sum(1, keepdim=True)
    return 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))
