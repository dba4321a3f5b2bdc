"""What a text encoder is trained by: distances, and choices among texts or drawings."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from ldm_core.models.ops import cosines

TEMPERATURE = 0.05  # of the teacher's and the student's softmax over texts


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


def soft_target_loss(guess: Tensor, target: Tensor, table: Tensor, student_table: Tensor | None = None) -> Tensor:
    """KL between the teacher's and the student's softmax over the rows of a table [V,E] (Hinton et al. 2015); scalar.

    target: the teacher's vectors [B,E]; guess: the student's [B,D]; student_table: its own vectors [V,D] of the same
    rows, without which D is E and both look at the one table.
    """
    wanted = cosine_logits(target, table).softmax(1)
    given = cosine_logits(guess, table if student_table is None else student_table).log_softmax(1)
    return F.kl_div(given, wanted, reduction="batchmean")


def cosine_logits(x: Tensor, table: Tensor) -> Tensor:
    """x [B,D] and a table [V,D] → logits [B,V]: cosines divided by the temperature."""
    return cosines(x, table) / TEMPERATURE


def contrastive_loss(text: Tensor, image: Tensor, scale: Tensor, positive: Tensor) -> Tensor:
    """Symmetric InfoNCE on [B,D]; positive [B,B] is 1 where caption and drawing say the same, several in a row too."""
    logits = scale.exp() * F.normalize(text) @ F.normalize(image).T
    target = positive / positive.sum(1, keepdim=True)
    return 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))
