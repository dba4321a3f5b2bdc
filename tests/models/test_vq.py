from __future__ import annotations

import math

import pytest
import torch

from ldm_core.models.vq import VectorQuantizer, codebook_info


def quantizer(n: int = 16, dim: int = 3, **options: object) -> VectorQuantizer:
    torch.manual_seed(0)
    book = VectorQuantizer(n, dim, **options)  # type: ignore[arg-type]
    book.embedding.weight.data.normal_()
    return book


def latents() -> torch.Tensor:
    return torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(1))


def test_nearest_is_the_brute_force_nearest():
    book, z = quantizer(), latents()
    quant, _, info = book(z)
    for b in range(2):
        for y in range(5):
            for x in range(4):
                distances = [float(torch.dist(z[b, :, y, x], e)) for e in book.embedding.weight.detach()]
                best = distances.index(min(distances))
                assert int(info.indices[b, y, x]) == best
                torch.testing.assert_close(quant[b, :, y, x], book.embedding.weight[best])
    torch.testing.assert_close(book.lookup(info.indices), quant)


def test_gradient_is_straight_through():
    book, z = quantizer(), latents().requires_grad_()
    weights = torch.randn(z.shape, generator=torch.Generator().manual_seed(2))
    (weights * book(z).quant).sum().backward()
    torch.testing.assert_close(z.grad, weights)  # as if the codebook were not there
    assert book.embedding.weight.grad is None


@pytest.mark.parametrize(("legacy", "book_share", "commit_share"), [(False, 1.0, 0.4), (True, 0.4, 1.0)])
def test_loss_and_whom_its_terms_move(legacy: bool, book_share: float, commit_share: float):
    book, z = quantizer(beta=0.4, legacy=legacy), latents().requires_grad_()
    quant, loss, info = book(z)
    error = (quant - z).detach()
    torch.testing.assert_close(loss.detach(), (book_share + commit_share) * error.square().mean())
    loss.backward()
    torch.testing.assert_close(z.grad, -2 * commit_share * error / z.numel())
    pulled = torch.zeros_like(book.embedding.weight)
    pulled.index_add_(0, info.indices.flatten(), 2 * book_share * error.permute(0, 2, 3, 1).reshape(-1, 3) / z.numel())
    torch.testing.assert_close(book.embedding.weight.grad, pulled)


@pytest.mark.parametrize(
    ("indices", "perplexity", "used"),
    [
        ([0, 1, 2, 3], 4.0, 4),
        ([5, 5, 5, 5], 1.0, 1),
        ([0, 0, 1, 1], 2.0, 2),
        ([0, 0, 0, 1], math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25)), 2),
    ],
)
def test_perplexity_and_usage(indices: list[int], perplexity: float, used: int):
    info = codebook_info(torch.tensor(indices).view(1, 2, 2), 8)
    assert float(info.perplexity) == pytest.approx(perplexity, rel=1e-6)
    assert int(info.cluster_usage) == used


def test_published_start():
    weight = VectorQuantizer(64, 4).embedding.weight
    assert float(weight.abs().max()) <= 1 / 64
    assert float(weight.std()) == pytest.approx(1 / 64 / math.sqrt(3), rel=0.2)


def test_bad_codebooks_are_refused():
    with pytest.raises(ValueError, match="n_embed"):
        VectorQuantizer(1, 4)
    with pytest.raises(ValueError, match="-1"):
        VectorQuantizer(4, 4, beta=-1.0)
