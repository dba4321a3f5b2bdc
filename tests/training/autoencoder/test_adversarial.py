"""Both players through the real loops with every option of the published loss: who learns what, and when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ldm_core.compvis.autoencoder import AutoencoderKL
from ldm_core.losses.autoencoder import AutoencoderLossConfig
from ldm_core.models.discriminator import ActNorm
from ldm_core.training.autoencoder.task import AutoencoderTask, AutoencoderTraining
from ldm_core.training.common.loop import Loop, make_accelerator
from ldm_core.training.common.metric_log import read_metrics
from ldm_core.training.common.settings import LoopSettings

pytestmark = pytest.mark.slow
TERMS = "total_loss logvar kl_loss nll_loss rec_loss d_weight disc_factor g_loss disc_loss logits_real logits_fake"
PUBLISHED = {"aeloss", "discloss", *(f"{split}/{term}" for split in ("train", "val") for term in TERMS.split())}
STEPS, DISC_START = 90, 40


def make_task(disc_loss: str) -> AutoencoderTask:
    """Striped squares on clear ground; LPIPS, ActNorm, a learned logvar, a late discriminator that sees the alpha."""
    rng = np.random.default_rng(0)
    drawings = np.zeros((12, 16, 16, 4), np.uint8)
    for picture in drawings:
        y, x = rng.integers(0, 7, 2)
        picture[y : y + 9, x : x + 9] = [*rng.integers(0, 256, 3), 255]
        picture[y : y + 9 : 2, x : x + 9, :3] //= 2
    loss = AutoencoderLossConfig(
        disc_start=DISC_START,
        perceptual_weight=0.1,
        disc_conditional=True,
        disc_in_channels=4,
        use_actnorm=True,
        disc_loss=disc_loss,
        disc_num_layers=2,
        disc_ndf=16,
        disc_weight=0.2,
        learn_logvar=True,
    )
    schedule = LoopSettings(batch=4, lr=2e-3, schedule="constant", max_steps=STEPS, warmup=2, log_every=1)
    settings = AutoencoderTraining(preset="TINY", loop=schedule, loss=loss, crop=16, initialise=True, validation=2)
    draw = lambda rng, n: rng.integers(10, size=n)  # noqa: E731
    palette = np.array([[250, 250, 250], [200, 220, 255]], np.uint8)
    return AutoencoderTask(settings, drawings, draw, np.array([10, 11]), palette, make_accelerator("no"))


@pytest.mark.parametrize("disc_loss", ["hinge", "vanilla"])
def test_two_players_on_drawings(tmp_path: Path, disc_loss: str):
    task = make_task(disc_loss)
    discriminator = task.loss.discriminator
    start = {name: value.clone() for name, value in discriminator.state_dict().items()}

    def run(until: int | None) -> None:
        Loop(task, task.settings.loop, tmp_path, task.accelerator, tensorboard=False).run(until=until)

    run(DISC_START)
    assert all(torch.equal(value, start[name]) for name, value in discriminator.state_dict().items())
    run(None)
    curves: dict[str, list[float]] = {}
    for _, name, value, _ in read_metrics(tmp_path / "metrics.csv"):
        curves.setdefault(name, []).append(float(value))
    assert set(curves) >= {*PUBLISHED, "val/lpips_random"}  # the trunk is named where its figure stands
    early, late = slice(0, DISC_START), slice(DISC_START, None)
    assert set(curves["train/disc_factor"][early]) == {0.0} == set(curves["train/d_weight"][early])
    assert set(curves["train/disc_factor"][late]) == {1.0}
    assert all(w > 0 for w in curves["train/d_weight"][late]) and curves["val/d_weight"][-1] == 0
    assert np.mean(curves["train/rec_loss"][-5:]) < 0.6 * curves["train/rec_loss"][0]
    assert np.mean(curves["train/logits_real"][late]) > np.mean(curves["train/logits_fake"][late])
    assert np.median(curves["train/disc_loss"][late]) < curves["train/disc_loss"][DISC_START]
    assert abs(curves["train/logvar"][-1]) > 10 * abs(curves["train/logvar"][0]) > 0
    norms = [m for m in discriminator.modules() if isinstance(m, ActNorm)]
    assert len(norms) == 2 and all(int(norm.initialized) for norm in norms)
    assert list((tmp_path / "samples").glob("*.png"))


def test_a_segmentation_against_a_discriminator_that_sees_the_picture():
    g = torch.Generator().manual_seed(0)
    labels = torch.zeros(8, 16, 16, dtype=torch.long)
    for i, label in enumerate(labels):  # one object of its own class on the ground
        y, x = (int(v) for v in torch.randint(0, 9, (2,), generator=g))
        label[y : y + 8, x : x + 8] = 1 + i % 4
    batch = {
        "segmentation": 2.0 * F.one_hot(labels, 5) - 1.0,
        "image": torch.rand(5, 3, generator=g)[labels] * 2 - 1,
    }
    dd = {
        "double_z": True,
        "z_channels": 4,
        "resolution": 16,
        "in_channels": 5,
        "out_ch": 5,
        "ch": 32,
        "ch_mult": [1, 1],
        "num_res_blocks": 1,
        "attn_resolutions": [],
        "dropout": 0.0,
        "norm_groups": 8,
    }
    loss = {
        "perceptual_trunk": "",
        "disc_conditional": True,
        "disc_in_channels": 5 + 3,
        "use_actnorm": True,
        "disc_ndf": 8,
        "disc_num_layers": 1,
        "disc_start": 60,
        "disc_weight": 0.1,
        "kl_weight": 1e-6,
        "mse_weight": 2.0,
    }
    torch.manual_seed(0)
    config = {"target": "ldm.modules.losses.LPIPSWithDiscriminator", "params": loss}
    options = {"image_key": "segmentation", "cond_key": "image", "colorize_nlabels": 5, "learning_rate": 3e-3}
    door = AutoencoderKL(dd, config, 4, generator=torch.Generator().manual_seed(1), **options)
    optimizers, _ = door.configure_optimizers()
    logs = [door.train_batch(batch, optimizers) for _ in range(110)]
    assert float(logs[-1]["train/disc_factor"]) == 1
    apart = [float(log["train/logits_real"] - log["train/logits_fake"]) for log in logs[60:]]
    assert np.mean(apart) > 0.1  # of all steps with a discriminator: in a single one either player may be ahead
    reconstruction, _ = door(door.get_input(batch, "segmentation"), sample_posterior=False)
    assert float((reconstruction.argmax(1) == labels).float().mean()) > 0.95
    assert float((labels == 0).float().mean()) < 0.8  # the ground alone is not enough
    pictures = door.log_images(batch)
    assert {name: p.shape[1] for name, p in pictures.items()} == {"inputs": 3, "reconstructions": 3, "samples": 3}

    door.cond_key = None
    with pytest.raises(ValueError, match="disc_conditional"):
        door.training_step(batch, 0, 1)


def test_a_late_discriminator_begins_with_a_step_of_one_learning_rate():
    """CompVis' Adam has counted zero gradients before: its first step is 0.5/√0.1 times as long (docs/training.md)."""
    lengths = []
    for idle in (0, 500):
        weight = torch.nn.Parameter(torch.zeros(1))
        adam = torch.optim.Adam([weight], lr=0.01, betas=(0.5, 0.9))
        for gradient in [0.0] * idle + [3.0]:
            weight.grad = torch.tensor([gradient])
            adam.step()
        lengths.append(float(weight.detach().abs()) / 0.01)
    assert lengths == pytest.approx([1.0, 0.5 / 0.1**0.5], rel=1e-4)
