"""Linear heads read what is there, and nothing of noise."""

from __future__ import annotations

import torch

from ldm_core.evaluation.probes import fit_linear, ridge_probe


def test_logistic_regression_reads_what_is_linear():
    g = torch.Generator().manual_seed(0)
    labels = torch.randint(5, (2000,), generator=g)
    noise = torch.randn(2000, 16, generator=g)
    for features, low, high in ((noise + 8 * torch.nn.functional.one_hot(labels, 16), 0.99, 1.0), (noise, 0.0, 0.35)):
        with torch.no_grad():  # as a validation calls it
            head = fit_linear(features[:1500], labels[:1500], 5, steps=300, batch=1024, lr=0.05, seed=0)
        assert low <= float((head(features[1500:]).argmax(1) == labels[1500:]).float().mean()) <= high


def test_a_ridge_probe_reads_what_is_there_and_not_what_is_not():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(200, 8, generator=g)
    labels = ["plus" if v > 0 else "minus" for v in x[:, 3].tolist()]
    noise = ["plus" if v > 0 else "minus" for v in torch.randn(200, generator=g).tolist()]
    assert ridge_probe(x[:100], labels[:100], x[100:], labels[100:]) > 0.8
    assert 0.3 < ridge_probe(x[:100], noise[:100], x[100:], noise[100:]) < 0.7
