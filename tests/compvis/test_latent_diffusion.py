from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ldm_core.compvis import DDIMSampler, LatentDiffusion
from ldm_core.config import AutoencoderConfig, TextConfig, UNetConfig
from ldm_core.models.text import FrozenCLIPEmbedder
from tests.compvis.stub import stirred

STAGE = AutoencoderConfig(ch=32, ch_mult=(1, 2), num_res_blocks=1, resolution=16)
UNET = UNetConfig(4, 4, 32, (1,), 1, (1,), 2, 1, None)
OPTIONS: dict[str, Any] = {"timesteps": 20, "image_size": 8, "channels": 4}
CONTEXT = replace(UNET, context_dim=32)


def model(cond: Any = "__is_unconditional__", unet: UNetConfig = UNET, **options: Any) -> LatentDiffusion:
    torch.manual_seed(0)
    return stirred(LatentDiffusion(STAGE, cond, unet, **{**OPTIONS, **options}))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(**more: Any) -> dict[str, Any]:
    return {"image": torch.rand(2, 16, 16, 3, generator=seeded()) * 2 - 1, **more}


CONDITIONS: dict[str, tuple[dict[str, Any], Any]] = {
    "crossattn": ({"unet": CONTEXT}, torch.randn(2, 5, 32)),
    "concat": ({"unet": replace(UNET, in_channels=6)}, torch.randn(2, 2, 8, 8)),
    "hybrid": (
        {"unet": replace(CONTEXT, in_channels=6)},
        {"c_concat": [torch.randn(2, 2, 8, 8)], "c_crossattn": [torch.randn(2, 3, 32), torch.randn(2, 2, 32)]},
    ),
    "adm": ({"unet": replace(UNET, num_classes=7)}, torch.tensor([6, 0])),
}


@pytest.mark.parametrize("key", [None, *CONDITIONS])
def test_every_conditioning_key_reaches_the_network(key: str | None):
    options, c = ({}, None) if key is None else CONDITIONS[key]
    m = model("__is_unconditional__" if key is None else None, conditioning_key=key, **options)
    x, t = torch.randn(2, 4, 8, 8, generator=seeded()), torch.tensor([1, 19])
    out = m.apply_model(x, t, c)
    assert out.shape == x.shape
    if key is None:
        return
    turned = {k: [p.flip(0) for p in ps] for k, ps in c.items()} if isinstance(c, dict) else c.flip(0)
    assert not torch.equal(out, m.apply_model(x, t, turned))
    if not isinstance(c, dict):
        assert torch.equal(out, m.apply_model(x, t, [c]))
        name = "c_concat" if key == "concat" else "c_crossattn"
        assert torch.equal(out, m.apply_model(x, t, {name: [c]}))
    loss, log = m(x, c, generator=seeded())
    assert loss.isfinite()
    assert "val/loss_simple" in log
    final, _ = DDIMSampler(m).sample(2, 2, (4, 8, 8), c, generator=seeded())
    assert final.shape == x.shape


def test_a_class_model_insists_on_a_class():
    m = model(None, conditioning_key="adm", unet=replace(UNET, num_classes=7))
    assert m.model.diffusion_model.label_emb.weight.shape == (7, 128)
    with pytest.raises((ValueError, IndexError)):
        m.apply_model(torch.zeros(1, 4, 8, 8), torch.tensor([1]))
    with pytest.raises(ValueError, match="num_classes"):
        m.model.diffusion_model(torch.zeros(1, 4, 8, 8), torch.tensor([1]))


def test_first_stage_and_scale():
    m = model(scale_factor=0.5)
    image = batch()["image"].permute(0, 3, 1, 2)
    posterior = m.encode_first_stage(image)
    z = m.get_first_stage_encoding(posterior, seeded(3))
    torch.testing.assert_close(z, 0.5 * posterior.sample(seeded(3)))
    torch.testing.assert_close(m.get_first_stage_encoding(posterior.mode()), 0.5 * posterior.mean)
    assert z.shape == (2, 4, 8, 8)
    torch.testing.assert_close(m.decode_first_stage(z), m.first_stage_model.decode(2.0 * z))
    assert not any(p.requires_grad for p in m.first_stage_model.parameters())


def test_scale_by_the_first_batch():
    m = model(scale_by_std=True)
    m.training_step(batch(), seeded())
    first = m.scale_factor
    posterior = m.encode_first_stage(batch()["image"].permute(0, 3, 1, 2))
    assert first == pytest.approx(1 / float(posterior.sample(seeded()).std()), rel=1e-5)
    assert float(m.get_first_stage_encoding(posterior, seeded()).std()) == pytest.approx(1.0, rel=1e-5)
    m.training_step({"image": 0.1 * batch()["image"]}, seeded(1))
    assert m.scale_factor == first
    with pytest.raises(ValueError, match="scale_by_std"):
        model(scale_by_std=True, scale_factor=0.5).training_step(batch())


def test_a_checkpoint_brings_scale_and_logvar():
    donor = model()
    state = {k: v for k, v in donor.state_dict().items() if k != "loss.logvar"}
    m = model(scale_by_std=True, learn_logvar=True)
    m.load_state_dict({**state, "scale_factor": torch.tensor(0.25), "logvar": torch.full((20,), 0.5)})
    assert m.scale_factor == 0.25
    assert m.logvar.tolist() == [0.5] * 20
    m.training_step(batch(), seeded())
    assert m.scale_factor == 0.25


def test_ckpt_path_fills_a_condition_stage_given_as_a_module_and_the_averages(tmp_path: Path):
    donor = model(Doubler(), CONTEXT, conditioning_key="crossattn", learn_logvar=True, logvar_init=0.25)
    with torch.no_grad():
        donor.cond_stage_model.gain.fill_(7.0)
    state = {name: value.contiguous().clone() for name, value in donor.state_dict().items()}
    flat = {n: "model_ema." + n.removeprefix("model.").replace(".", "") for n in state if n.startswith("model.")}
    averages = {flat[n]: state[n] + 1 for n in flat} | {"model_ema.num_updates": torch.tensor(40)}
    save_file(state | averages | {"model_ema.decay": torch.tensor(0.99)}, tmp_path / "last.safetensors")
    path = tmp_path / "last.safetensors"
    m = LatentDiffusion(
        STAGE, Doubler(), CONTEXT, conditioning_key="crossattn", learn_logvar=True, ckpt_path=path, **OPTIONS
    )
    assert float(m.cond_stage_model.gain) == 7.0
    assert m.logvar.tolist() == [0.25] * 20
    assert (m.load_report.missing, m.load_report.unexpected) == ((), ())
    assert m.model_ema.num_updates == 40
    for name, shadow in m.model_ema.shadow.items():
        assert torch.equal(shadow, state[f"model.{name}"] + 1)
    bare = {name: value for name, value in state.items() if not name.startswith("model_ema")}
    save_file(bare, tmp_path / "bare.safetensors")
    m.init_from_ckpt(tmp_path / "bare.safetensors")
    assert all(torch.equal(shadow, state[f"model.{name}"]) for name, shadow in m.model_ema.shadow.items())


class Doubler(nn.Module):
    """A condition's encoder of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(2.0))

    def forward(self, c: Tensor) -> Tensor:
        return self.gain * c


def test_get_input_with_a_condition():
    context = torch.randn(2, 5, 32, generator=seeded())
    m = model(Doubler(), CONTEXT, conditioning_key="crossattn", cond_stage_key="words", scale_factor=2.0)
    data = batch(words=context, other=context + 1)
    z, c, x, again, raw = m.get_input(
        data, "image", return_first_stage_outputs=True, return_original_cond=True, generator=seeded()
    )
    torch.testing.assert_close(c, 2 * context)
    assert raw is not None
    assert torch.equal(raw, context)
    torch.testing.assert_close(x, data["image"].permute(0, 3, 1, 2))
    assert again.shape == x.shape
    torch.testing.assert_close(z, 2 * m.encode_first_stage(x).sample(seeded()))
    z, c = m.get_input(data, "image", bs=1, cond_key="other", generator=seeded())
    assert len(z) == len(c) == 1
    torch.testing.assert_close(c, 2 * (context + 1)[:1])
    z, c = model().get_input(batch(), "image")
    assert c is None


def test_a_trainable_condition_gets_gradients():
    m = model(Doubler(), CONTEXT, conditioning_key="crossattn", cond_stage_key="words", cond_stage_trainable=True)
    data = batch(words=torch.randn(2, 5, 32, generator=seeded()))
    assert torch.equal(m.get_input(data, "image")[1], data["words"])
    assert torch.equal(m.get_input(data, "image", force_c_encode=True)[1], 2 * data["words"])
    loss, _ = m.training_step(data, seeded())
    loss.backward()
    assert m.cond_stage_model.gain.grad is not None
    assert any(p is m.cond_stage_model.gain for p in m.trained_parameters())
    frozen = model(Doubler(), CONTEXT, conditioning_key="crossattn")
    assert not frozen.cond_stage_model.gain.requires_grad


def test_what_is_frozen_stays_in_evaluation():
    """As published: training must not switch on the dropout of a stage that it does not train."""
    words = nn.Sequential(Doubler(), nn.Dropout(0.5))
    options = {"conditioning_key": "crossattn", "cond_stage_key": "words"}
    data = batch(words=torch.ones(2, 5, 32))
    for trainable in (False, True):
        m = model(words, CONTEXT, cond_stage_trainable=trainable, **options).train()
        assert m.model.training and not m.first_stage_model.training
        assert m.cond_stage_model.training is trainable
        seen = m.get_learned_conditioning(data["words"])
        assert bool((seen == 0).any()) is trainable
    assert not m.eval().cond_stage_model.training


def test_concat_by_the_first_stage_and_by_a_mask():
    m = model("__is_first_stage__", replace(UNET, in_channels=8), cond_stage_key="sketch")
    assert m.config.conditioning_key == "concat"
    sketch = torch.rand(2, 16, 16, 3)
    _, c = m.get_input(batch(sketch=sketch), "image")
    torch.testing.assert_close(c, m.encode_first_stage(sketch.permute(0, 3, 1, 2)).mode())
    assert m.training_step(batch(sketch=sketch), seeded())[0].isfinite()
    m = model(None, replace(UNET, in_channels=5), cond_stage_key="mask")
    _, c = m.get_input(batch(mask=torch.ones(2, 8, 8)), "image")
    assert c.shape == (2, 1, 8, 8)
    assert model(None, CONTEXT, concat_mode=False).config.conditioning_key == "crossattn"


def test_words_to_pictures_from_published_configs():
    ddconfig = {
        "double_z": True,
        "z_channels": 4,
        "resolution": 16,
        "in_channels": 3,
        "out_ch": 3,
        "ch": 32,
        "ch_mult": [1, 2],
        "num_res_blocks": 1,
        "attn_resolutions": [],
        "dropout": 0.0,
    }
    stage = {
        "target": "ldm.models.autoencoder.AutoencoderKL",
        "params": {
            "embed_dim": 4,
            "monitor": "val/rec_loss",
            "ddconfig": ddconfig,
            "lossconfig": {"target": "Identity"},
        },
    }
    text = TextConfig(vocab=300, text_len=8, width=32, layers=1, heads=2, intermediate=32)
    m = LatentDiffusion(stage, text, CONTEXT, conditioning_key="crossattn", cond_stage_key="caption", **OPTIONS)
    assert m.config.first_stage == STAGE
    assert isinstance(m.cond_stage_model, FrozenCLIPEmbedder)
    ids = torch.randint(0, 300, (2, 8))
    z, c = m.get_input(batch(caption=ids), "image")
    assert c.shape == (2, 8, 32)
    z = m.eval().sample(c, 2, generator=seeded())
    assert z.shape == (2, 4, 8, 8)
    with pytest.raises(ValueError, match="target"):
        LatentDiffusion({"target": "subprocess.Popen"}, None, UNET)
    with pytest.raises(ValueError, match="cond_stage_config"):
        LatentDiffusion(STAGE, "__is_something__", UNET)
