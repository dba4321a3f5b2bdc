from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ldm_core.checkpoint import load_model, save_model
from ldm_core.config import AutoencoderConfig, ModelConfig
from ldm_core.models.autoencoder import AutoencoderKL
from ldm_core.models.latent_diffusion import LatentDiffusion
from ldm_core.models.vq import VQModel, VQModelInterface
from ldm_core.presets import IDENTITY, TINY
from tests.tiny import tiny_model

VQ = AutoencoderConfig(
    kind="vq",
    ch=32,
    ch_mult=(1, 2),
    num_res_blocks=1,
    resolution=16,
    z_channels=4,
    embed_dim=4,
    double_z=False,
    n_embed=32,
    norm_groups=8,
)
WITH_VQ = replace(TINY, name="tiny-vq", first_stage=VQ, text=None, scale_factor=0.5)


def images(n: int = 2, side: int = 16) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


def model(cls: type[VQModel] = VQModel) -> VQModel:
    torch.manual_seed(0)
    net = cls(VQ)
    net.quantize.embedding.weight.data.normal_()
    return net.eval()


def test_published_key_names():
    names = VQModel(VQ).state_dict()
    parts = {name.partition(".")[0] for name in names}
    assert parts == {"encoder", "decoder", "quantize", "quant_conv", "post_quant_conv"}
    assert {n: tuple(v.shape) for n, v in names.items() if "quant" in n} == {
        "quantize.embedding.weight": (32, 4),
        "quant_conv.weight": (4, 4, 1, 1),
        "quant_conv.bias": (4,),
        "post_quant_conv.weight": (4, 4, 1, 1),
        "post_quant_conv.bias": (4,),
    }


@torch.no_grad()
def test_encode_decode_forward_and_codes():
    net, x = model(), images()
    quant, loss, info = net.encode(x)
    assert quant.shape == (2, 4, 8, 8) and loss.ndim == 0 and info.indices.shape == (2, 8, 8)
    image, quantized = net(x)
    torch.testing.assert_close(image, net.decode(quant))
    torch.testing.assert_close(image, net.decode_code(info.indices))
    torch.testing.assert_close(quantized.loss, loss)
    torch.testing.assert_close(quant, net.quantize(net.encode_to_prequant(x)).quant)


@torch.no_grad()
def test_as_first_stage_the_codebook_moves_into_decode():
    plain, stage, x = model(), model(VQModelInterface), images()
    posterior = stage.encode(x)
    torch.testing.assert_close(posterior.sample(), plain.encode_to_prequant(x))
    torch.testing.assert_close(posterior.mode(), posterior.sample())
    torch.testing.assert_close(stage.decode(posterior.mode()), plain(x)[0])
    loose = stage.decode(posterior.mode(), force_not_quantize=True)
    torch.testing.assert_close(loose, plain.decode(posterior.mode()))
    assert not torch.allclose(loose, plain(x)[0])
    torch.testing.assert_close(stage(x)[0], plain(x)[0])


@torch.no_grad()
def test_latent_diffusion_on_a_vq_stage():
    ldm = tiny_model(WITH_VQ)
    stage, x = ldm.first_stage_model, images()
    assert isinstance(stage, VQModelInterface)
    z = ldm.get_first_stage_encoding(ldm.encode_first_stage(x))
    torch.testing.assert_close(z, 0.5 * stage.encode_to_prequant(x))
    torch.testing.assert_close(z, ldm.get_first_stage_encoding(stage.encode_to_prequant(x)))
    torch.testing.assert_close(ldm.decode_first_stage(z), stage.forward(x)[0], atol=1e-4, rtol=1e-4)
    assert ldm.apply_model(z, torch.tensor([5, 9]), torch.zeros(2, 3, 32)).shape == z.shape


@torch.no_grad()
def test_quantize_denoised_lands_on_scaled_codes():
    ldm = tiny_model(WITH_VQ)
    z = torch.randn(4, 6, 6, generator=torch.Generator().manual_seed(3))
    snapped = ldm.quantize_denoised(z)
    codes = 0.5 * ldm.first_stage_model.quantize.embedding.weight
    distance = (snapped.flatten(1).T[:, None] - codes).abs().amax(-1).amin(1)
    assert float(distance.max()) < 1e-4
    torch.testing.assert_close(ldm.quantize_denoised(snapped), snapped)
    torch.testing.assert_close(ldm.quantize_denoised(z[None])[0], snapped)
    with pytest.raises(ValueError, match="'kl'"):
        tiny_model().quantize_denoised(z)


def test_files_with_a_vq_stage(tmp_path: Path):
    ldm = tiny_model(WITH_VQ)
    save_model(ldm, WITH_VQ, tmp_path / "vq.safetensors", "float32")
    loaded = load_model(tmp_path / "vq.safetensors")
    assert loaded.config == WITH_VQ
    name = "first_stage_model.quantize.embedding.weight"
    assert torch.equal(loaded.model.state_dict()[name], ldm.state_dict()[name])


def test_identity_stage_is_diffusion_on_pixels():
    unet = replace(TINY.unet, in_channels=3, out_channels=3)
    config = replace(TINY, name="pixels", first_stage=IDENTITY, unet=unet, text=None, scale_factor=1.0)
    ldm, x = LatentDiffusion(config), images(side=32)
    assert torch.equal(ldm.get_first_stage_encoding(ldm.encode_first_stage(x)), x)
    assert torch.equal(ldm.decode_first_stage(x), x)
    assert config.latent_shape() == (3, 32, 32)
    assert ModelConfig.from_dict(config.to_dict()) == config


def test_wrong_kinds_are_refused():
    with pytest.raises(ValueError, match="'kl'"):
        VQModel(TINY.first_stage)
    with pytest.raises(ValueError, match="'vq'"):
        AutoencoderKL(VQ)
    with pytest.raises(ValueError, match="double_z"):
        replace(VQ, double_z=True)
    with pytest.raises(ValueError, match="n_embed"):
        replace(VQ, n_embed=1)
    with pytest.raises(ValueError, match="IDENTITY"):
        AutoencoderConfig(kind="identity")
