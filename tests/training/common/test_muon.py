from __future__ import annotations

import pytest
import torch
from torch import nn

from ldm_core.training.common.muon import QUINTIC, ROUNDS, Muon, orthogonal


@pytest.mark.parametrize("shape", [(24, 60), (60, 24), (32, 32)])
def test_orthogonal_keeps_directions_and_evens_their_lengths(shape: tuple[int, int]):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    U, _, Vh = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonal(torch.stack([matrix, -2 * matrix]))
    torch.testing.assert_close(found[1], -found[0], atol=1e-5, rtol=0)
    found = found[0]
    inner = U.T @ found @ Vh.T  # diagonal where the singular vectors are the same
    assert float(inner.diagonal().min()) > 0.5 and float(inner.diagonal().max()) < 1.3
    assert float((inner - inner.diagonal().diag()).abs().max()) < 1e-3


@pytest.mark.parametrize("shape", [(24, 200), (200, 24), (32, 32)])
def test_small_products_are_the_iteration_on_the_whole_matrix(shape: tuple[int, int]):
    """In fp64, with singular values over four powers of ten."""
    u, _, vh = torch.linalg.svd(torch.randn(shape, generator=torch.Generator().manual_seed(1)), full_matrices=False)
    matrix = u * torch.logspace(0, -4, u.shape[1]) @ vh
    x = matrix.double() / matrix.double().norm()
    x = x.mT if shape[0] > shape[1] else x
    a, b, c = QUINTIC
    for _ in range(ROUNDS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    expected = x.mT if shape[0] > shape[1] else x
    assert float((orthogonal(matrix[None])[0] - expected).norm() / expected.norm()) < 1e-3


def test_three_steps_are_those_of_torchs_own():
    torch.manual_seed(0)
    start, grads = torch.randn(40, 72), torch.randn(3, 40, 72)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    mine = Muon([ours], lr=0.02, momentum=0.9, weight_decay=0.1)
    peer = torch.optim.Muon(
        [theirs], lr=0.02, momentum=0.9, weight_decay=0.1, adjust_lr_fn="match_rms_adamw", nesterov=True
    )
    for grad in grads:
        ours.grad, theirs.grad = grad.clone(), grad.clone()
        mine.step()
        peer.step()
    apart, moved = (ours - theirs).detach().norm(), (theirs - start).detach().norm()
    assert float(apart / moved) < 0.02  # theirs iterates in bf16


def test_a_convolution_is_the_matrix_of_its_filters():
    weight, grad = torch.randn(2, 8, 6, 3, 3, generator=torch.Generator().manual_seed(0))
    conv, matrix = nn.Parameter(weight.clone()), nn.Parameter(weight.flatten(1).clone())
    conv.grad, matrix.grad = grad.clone(), grad.flatten(1).clone()
    for parameter in (conv, matrix):
        Muon([parameter], lr=0.1).step()
    assert torch.equal(conv.flatten(1), matrix)


def test_matrices_of_one_shape_move_together_as_they_would_alone():
    weights, grads = torch.randn(2, 3, 12, 20, generator=torch.Generator().manual_seed(1))
    together = [nn.Parameter(w.clone()) for w in weights]
    alone = [nn.Parameter(w.clone()) for w in weights]
    for p, q, grad in zip(together, alone, grads, strict=True):
        p.grad, q.grad = grad.clone(), grad.clone()
        Muon([q], lr=0.1, weight_decay=0.1).step()
    together.append(nn.Parameter(torch.ones(12, 20)))  # without a gradient: it stays
    Muon(together, lr=0.1, weight_decay=0.1).step()
    for p, q in zip(together, alone, strict=False):
        torch.testing.assert_close(p, q, atol=1e-5, rtol=1e-4)
    assert (together[-1] == 1).all()


def test_a_vector_is_refused():
    with pytest.raises(ValueError, match=r"matrices, not a parameter of shape \(4,\)"):
        Muon([nn.Parameter(torch.zeros(4))], lr=0.1)
