from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler
from safetensors.torch import save_file
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from ldm_core.checkpoint import CheckpointError
from ldm_core.compvis import DDPM, LambdaLinear, LatentDiffusion
from ldm_core.config import AutoencoderConfig, UNetConfig
from ldm_core.diffusion.sample_loop import drive
from ldm_core.diffusion.samplers import ddpm
from ldm_core.diffusion.schedule import NoiseSchedule
from tests.compvis.stub import stirred
from tests.diffusion.oracles import eps_prediction

UNET = UNetConfig(3, 3, 32, (1,), 1, (1,), 2, 1, None)
SMALL: dict[str, Any] = {"timesteps": 20, "image_size": 8, "linear_start": 0.01, "linear_end": 0.2}


def model(unet: UNetConfig = UNET, **options: Any) -> DDPM:
    torch.manual_seed(0)
    return stirred(DDPM(unet, **{**SMALL, **options}))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int = 2, seed: int = 0) -> Tensor:
    return torch.rand(n, 3, 8, 8, generator=seeded(seed)) * 2 - 1


def test_register_schedule_names_every_buffer():
    m = model()
    expected = {*m.schedule.buffers(), "lvlb_weights"}
    assert len(expected) == 13
    for name in expected:
        assert getattr(m, name).shape == (20,)
    assert "lvlb_weights" not in m.state_dict()
    m.register_schedule(beta_schedule="cosine", timesteps=30, cosine_s=0.02)
    assert m.num_timesteps == 30
    peer = NoiseSchedule.from_config(m.config.schedule)
    assert m.config.schedule.cosine_s == 0.02
    assert torch.equal(m.betas, torch.from_numpy(peer.betas).float())
    assert m.lvlb_weights.shape == m.logvar.shape == (30,)
    m.register_schedule(given_betas=[0.1, 0.2])
    torch.testing.assert_close(m.alphas_cumprod, torch.tensor([0.9, 0.72]))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loss_type": "huber"}, "loss_type"),
        ({"parameterization": "mu"}, "parameterization"),
        ({"beta_schedule": "square"}, "beta_schedule"),
        ({"v_posterior": 2.0}, "v_posterior"),
        ({"ignore_keys": "model"}, "ignore_keys"),
        ({"log_every_t": 0}, "log_every_t"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], words: str):
    with pytest.raises(ValueError, match=words):
        model(**options)
    with pytest.raises(TypeError, match="colour"):
        model(colour="red")


def test_the_published_form_of_a_unet():
    params = {
        "image_size": 8,
        "in_channels": 3,
        "out_channels": 3,
        "model_channels": 32,
        "channel_mult": [1],
        "num_res_blocks": 1,
        "attention_resolutions": [1],
        "num_heads": 2,
        "use_spatial_transformer": True,
        "transformer_depth": 1,
        "context_dim": None,
        "use_checkpoint": True,
        "legacy": False,
    }
    target = "ldm.modules.diffusionmodules.openaimodel.UNetModel"
    assert DDPM({"target": target, "params": params}, **SMALL).config.unet == UNET
    with pytest.raises(ValueError, match=r"os\.system"):
        DDPM({"target": "os.system", "params": params}, **SMALL)
    bare = {name: params[name] for name in ("in_channels", "out_channels", "model_channels", "num_res_blocks")}
    bare = {"target": target, "params": {**bare, "attention_resolutions": [8], "num_head_channels": 32}}
    unet = DDPM(bare, **SMALL).config.unet
    assert unet.channel_mult == (1, 2, 4, 8), "CompVis' defaults and not SD's"
    assert (unet.use_spatial_transformer, unet.context_dim, unet.num_heads) == (False, None, -1)
    for wrong, words in (
        ({"n_embed": 8}, "n_embed"),
        ({"widht": 8}, "widht"),
        ({"num_head_channels": -1}, "num_heads"),
    ):
        with pytest.raises(ValueError, match=words):
            DDPM({"target": target, "params": {**bare["params"], **wrong}}, **SMALL)


@pytest.mark.parametrize("loss_type", ["l1", "l2"])
@pytest.mark.parametrize("kind", ["eps", "x0", "v"])
def test_losses_and_their_names(kind: str, loss_type: str):
    m = model(parameterization=kind, loss_type=loss_type, l_simple_weight=0.7, original_elbo_weight=0.3)
    x, t, noise = images(), torch.tensor([3, 17]), images(seed=1)
    loss, log = m.p_losses(x, t, noise)
    peer = DDPMScheduler(20, trained_betas=m.betas.numpy())
    noisy = peer.add_noise(x, noise, t)
    target = {"eps": noise, "x0": x, "v": peer.get_velocity(x, noise, t)}[kind]
    error = (m.apply_model(noisy, t) - target).abs() ** (1 if loss_type == "l1" else 2)
    each = error.mean(dim=(1, 2, 3))
    assert log.keys() == {"val/loss_simple", "val/loss_vlb", "val/loss"}
    torch.testing.assert_close(log["val/loss_simple"], each.mean().detach(), rtol=1e-5, atol=1e-6)
    vlb = (m.lvlb_weights[t] * each).mean()
    torch.testing.assert_close(log["val/loss_vlb"], vlb.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(loss, 0.7 * each.mean() + 0.3 * vlb, rtol=1e-5, atol=1e-6)
    m.train()
    assert all(name.startswith("train/") for name in m.p_losses(x, t, noise)[1])
    assert m.get_loss(x, noise, mean=False).shape == x.shape
    torch.testing.assert_close(m.get_loss(x, noise), m.get_loss(x, noise, mean=False).mean())


def test_the_base_class_keeps_a_logvar_and_never_reads_it():
    """As in CompVis' code, where only LatentDiffusion weighs its loss by it."""
    m, x, t = model(learn_logvar=True, logvar_init=0.5), images(1), torch.tensor([4])
    assert m.logvar.requires_grad
    assert m.logvar.tolist() == [0.5] * 20
    assert any(p is m.logvar for p in m.trained_parameters())
    assert torch.equal(m.p_losses(x, t, images(1, seed=1))[0], model().p_losses(x, t, images(1, seed=1))[0])
    assert "logvar" in m.state_dict()
    assert "loss.logvar" not in m.state_dict()
    assert not [name for name in model().state_dict() if "logvar" in name and "posterior" not in name]
    m.load_state_dict(m.state_dict())
    model().load_state_dict(model().state_dict())


def test_learned_logvar_has_its_minimum_at_the_log_of_the_loss():
    stage = AutoencoderConfig(kind="identity", ch_mult=(1,), embed_dim=3)
    torch.manual_seed(0)
    options = {**SMALL, "learn_logvar": True, "logvar_init": 0.5}
    m = stirred(LatentDiffusion(stage, "__is_unconditional__", UNET, **options))
    assert m.logvar.requires_grad
    assert any(p is m.logvar for p in m.trained_parameters())
    x, t, noise = images(1), torch.tensor([4]), images(1, seed=1)
    loss, log = m.p_losses(x, t, noise)
    simple = log["val/loss_simple"]
    torch.testing.assert_close(loss.detach(), simple / torch.tensor(0.5).exp() + 0.5)
    with torch.no_grad():
        m.logvar[4] = simple.log()
    m.p_losses(x, t, noise)[0].backward()
    assert float(m.logvar.grad[4]) == pytest.approx(0.0, abs=1e-5)
    assert not model().logvar.requires_grad


def test_forward_draws_timesteps_over_the_whole_range():
    m, seen = model(), []
    m.p_losses = lambda x, t, **k: (seen.append(t), (t, {}))[1]  # type: ignore[method-assign, assignment, return-value, func-returns-value]
    for k in range(30):
        m(images(8), generator=seeded(k))
    drawn = torch.cat(seen)
    assert (int(drawn.min()), int(drawn.max())) == (0, 19)


def test_batches_steps_and_average():
    m = model()
    batch = {"image": images(2).permute(0, 2, 3, 1).numpy()}
    assert torch.equal(m.get_input(batch, "image"), images(2))
    assert m.get_input(batch, "image").is_contiguous()
    assert m.get_input({"grey": torch.zeros(2, 8, 8)}, "grey").shape == (2, 1, 8, 8)
    loss, log = m.training_step(batch, seeded())
    assert "train/loss" in log
    loss.backward()
    optimizer, schedule = m.configure_optimizers(1e-2)
    assert isinstance(optimizer, torch.optim.AdamW)
    assert schedule is None
    optimizer.step()
    m.on_train_batch_end()
    log = m.validation_step(batch, seeded(3))
    assert log.keys() == {f"val/{n}{e}" for n in ("loss_simple", "loss_vlb", "loss") for e in ("", "_ema")}
    assert log["val/loss"] != log["val/loss_ema"]
    before = {k: v.clone() for k, v in m.state_dict().items()}
    with m.ema_scope():
        assert any(not torch.equal(v, before[k]) for k, v in m.state_dict().items())
    assert all(torch.equal(v, before[k]) for k, v in m.state_dict().items())
    assert model(use_ema=False).validation_step(batch, seeded()).keys() == {
        "val/loss_simple",
        "val/loss_vlb",
        "val/loss",
    }


@pytest.mark.parametrize("v", [0.0, 1.0])
@pytest.mark.parametrize("clip", [True, False])
def test_p_mean_variance_is_the_peers(v: float, clip: bool):
    m = model(v_posterior=v)
    x, t = 2 * images(1), torch.tensor([12])
    mean, variance, log_variance = m.p_mean_variance(x, t, clip)
    peer = DDPMScheduler(
        20, trained_betas=m.betas.numpy(), clip_sample=clip, variance_type="fixed_large" if v else "fixed_small"
    )
    peer.set_timesteps(20)
    torch.manual_seed(1)
    step = peer.step(m.apply_model(x, t), 12, x).prev_sample
    torch.manual_seed(1)
    noise = torch.randn(x.shape)
    torch.testing.assert_close(mean + variance.sqrt() * noise, step, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(log_variance.exp(), variance, rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(m.q_posterior(x, x, t)[1], variance)
    torch.testing.assert_close(m.q_mean_variance(x, t)[1].view(1), 1 - m.alphas_cumprod[t])


def test_p_sample_noise():
    m, x = model(), images(2)
    zero = torch.zeros(2, dtype=torch.int64)
    torch.testing.assert_close(m.p_sample(x, zero, generator=seeded(0)), m.p_sample(x, zero, generator=seeded(1)))
    mixed = torch.tensor([0, 9])
    a, b = (m.p_sample(x, mixed, generator=seeded(s)) for s in (0, 1))
    assert torch.equal(a[0], b[0])
    assert not torch.equal(a[1], b[1])
    t = torch.full((2,), 9)
    mean, variance, _ = m.p_mean_variance(x, t, True)
    noise = (m.p_sample(x, t, repeat_noise=True, generator=seeded()) - mean) / variance.sqrt()
    torch.testing.assert_close(noise[0], noise[1], rtol=1e-4, atol=1e-4)


def test_the_loop_is_the_coroutine_and_keeps_intermediates():
    m = model(log_every_t=6, clip_denoised=False)
    final, kept = m.sample(1, return_intermediates=True, generator=seeded(2))
    assert final.shape == (1, 3, 8, 8)
    # the noise, i = 19 (the first), then 18, 12, 6, 0
    assert len(kept) == 6
    assert torch.equal(kept[-1], final)
    assert torch.equal(m.sample(1, generator=seeded(2)), final)
    generator = seeded(2)

    def noise() -> Tensor:
        return torch.randn(1, 3, 8, 8, generator=generator)

    def oracle(model_input: Any) -> Any:
        with torch.no_grad():
            eps = m.apply_model(model_input.x, model_input.t.reshape(1))
        return eps_prediction(model_input.x, eps, m.schedule.alpha_bar_at(model_input.t))

    walked = drive(ddpm(noise(), m.schedule.grid("uniform", 20), noise=noise), oracle)
    torch.testing.assert_close(final, walked, rtol=1e-3, atol=1e-3)
    clipped = model().p_sample_loop((2, 3, 8, 8), generator=seeded())
    assert float(clipped.abs().max()) <= 1.0


def test_weights_from_a_file_and_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    donor = model()
    with torch.no_grad():
        for p in donor.parameters():
            p.add_(1.0)
    weights = {k: v.contiguous() for k, v in donor.state_dict().items()}
    weights["stranger"] = torch.zeros(1)
    path = tmp_path / "ddpm.safetensors"
    save_file(weights, path)
    m = DDPM(UNET, **SMALL, ckpt_path=path, ignore_keys=["model.diffusion_model.time_embed", "betas"])
    report = m.load_report
    assert report is not None
    assert report.unexpected == ("stranger",)
    assert set(report.ignored) == {"betas", *(k for k in weights if "time_embed" in k)}
    assert set(report.ignored) == set(report.missing)
    loaded = {k for k, v in m.state_dict().items() if k in weights and torch.equal(v, weights[k])}
    assert loaded >= set(weights) - set(report.ignored) - {"stranger"}
    assert "model.diffusion_model.time_embed.0.weight" not in loaded

    only = DDPM(UNET, **SMALL, ckpt_path=path, load_only_unet=True)
    assert only.load_report is not None
    assert not only.load_report.missing
    assert "stranger" in only.load_report.unexpected
    assert torch.equal(
        only.state_dict()["model.diffusion_model.out.2.bias"], weights["model.diffusion_model.out.2.bias"]
    )
    torch.save({"state_dict": weights}, tmp_path / "ddpm.ckpt")
    monkeypatch.setenv("HOME", str(tmp_path))  # a configuration file is read by no shell
    assert DDPM(UNET, **SMALL, ckpt_path="~/ddpm.ckpt").load_report.unexpected == ("stranger",)  # type: ignore[union-attr]
    save_file({"betas": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="betas"):
        DDPM(UNET, **SMALL, ckpt_path=path)


def test_positional_encodings_are_two_more_channels():
    m = model(UNetConfig(5, 3, 32, (1,), 1, (1,), 2, 1, None), use_positional_encodings=True)
    seen = []
    m.model.register_forward_hook(lambda _m, args, _o: seen.append(args[0]))
    m.apply_model(images(), torch.tensor([1, 2]))
    right, down = seen[0][0, 3], seen[0][0, 4]
    assert right[0].tolist() == pytest.approx(torch.linspace(-1, 1, 8).tolist())
    assert torch.equal(right[0], right[5])
    assert torch.equal(right, down.T)


def test_learning_rate_cycles():
    config = {
        "warm_up_steps": [10, 5],
        "cycle_lengths": [100, 50],
        "f_start": [0.0, 0.2],
        "f_max": [1.0, 0.5],
        "f_min": [0.1, 0.0],
    }
    rate = LambdaLinear(**config)
    assert [rate(n) for n in (0, 5, 10, 100)] == pytest.approx([0.0, 0.5, 1.0 - 0.9 * 0.1, 0.1])
    assert [rate(100 + n) for n in (1, 5, 50, 500)] == pytest.approx([0.26, 0.45, 0.0, 0.0])
    _, schedule = model(
        scheduler_config={"target": "ldm.lr_scheduler.LambdaLinearScheduler", "params": config}
    ).configure_optimizers(0.01)
    assert isinstance(schedule, LambdaLR)
    assert schedule.get_last_lr() == [0.0]
    with pytest.raises(ValueError, match="every cycle"):
        LambdaLinear(warm_up_steps=[1, 2])
    cosine = {"target": "ldm.lr_scheduler.LambdaWarmUpCosineScheduler2", "params": config}
    with pytest.raises(ValueError, match=r"can only be a ldm.lr_scheduler.LambdaLinearScheduler here, not .*Cosine"):
        model(scheduler_config=cosine).configure_optimizers(0.01)
