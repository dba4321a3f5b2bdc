"""What is not a whole SD v1 model is named in one sentence; names and shapes are those that other programs write."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file

from ldm_core.checkpoint import CheckpointError, inspect_file, load_model
from tests.models.peers import SD_V1_UNET, SD_V1_VAE

UNET = "model.diffusion_model."
FILES: dict[str, tuple[dict[str, tuple[int, ...]], str]] = {
    "kohya": ({"lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": (4, 320)}, "a LoRA"),
    "peft": ({"base_model.model.down_blocks.0.attentions.0.to_q.lora_A.weight": (4, 320)}, "a LoRA"),
    "diffusers lora": ({"unet.down_blocks.0.attentions.0.processor.to_q_lora.down.weight": (4, 320)}, "a LoRA"),
    "diffusers text lora": ({"text_encoder.layers.0.self_attn.k_proj.lora_linear_layer.up.weight": (768, 4)}, "a LoRA"),
    "dora": ({"lora_te_text_model_encoder_layers_0_mlp_fc1.dora_scale": (1, 768)}, "a LoRA"),
    "loha": ({"lora_unet_mid_block_attentions_0_proj_in.hada_w1_a": (4, 4)}, "a LyCORIS"),
    "lokr": ({"lycoris_mid_block_attentions_0_proj_in.lokr_w1": (4, 4)}, "a LyCORIS"),
    "embedding": ({"emb_params": (4, 768)}, "a textual inversion embedding"),
    "diffusers embedding": ({"<cat-toy>": (768,)}, "a textual inversion embedding"),
    "bare embedding": ({"cattoy": (3, 768)}, "a textual inversion embedding"),
    "sdxl embedding": ({"clip_l": (2, 768), "clip_g": (2, 1280)}, "a textual inversion embedding"),
    "vae": ({"encoder.conv_in.weight": (128, 3, 3, 3), "decoder.conv_in.weight": (512, 4, 3, 3)}, "a VAE alone"),
    "prefixed vae": ({"first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3)}, "a VAE alone"),
    "unet": ({f"{UNET}input_blocks.0.0.weight": (320, 4, 3, 3)}, "a UNet alone"),
    "bare unet": ({"diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3)}, "a UNet alone"),
    "text": ({"cond_stage_model.transformer.text_model.final_layer_norm.bias": (768,)}, "a text encoder alone"),
    "sdxl": ({"conditioner.embedders.0.transformer.x": (1,), f"{UNET}out.2.bias": (4,)}, "an SDXL file"),
    "sdxl unet": ({f"{UNET}label_emb.0.0.weight": (1280, 2816), f"{UNET}out.2.bias": (4,)}, "an SDXL file"),
    "sd2": ({"cond_stage_model.model.ln_final.bias": (1024,), f"{UNET}out.2.bias": (4,)}, "an SD v2 file"),
    "sd2 unet": (
        {f"{UNET}middle_block.1.transformer_blocks.0.attn2.to_k.weight": (1280, 1024), f"{UNET}out.2.bias": (4,)},
        "an SD v2 file",
    ),
    "sd3": ({f"{UNET}joint_blocks.0.x_block.attn.qkv.weight": (4, 4)}, "an SD v3 file"),
    "flux": ({f"{UNET}double_blocks.0.img_attn.qkv.weight": (4, 4)}, "a Flux file"),
    "inpainting": ({f"{UNET}input_blocks.0.0.weight": (320, 9, 3, 3)}, "an inpainting model"),
    "pix2pix": ({f"{UNET}input_blocks.0.0.weight": (320, 8, 3, 3)}, "an InstructPix2Pix model"),
    "depth": ({f"{UNET}input_blocks.0.0.weight": (320, 5, 3, 3)}, "a depth-to-image model"),
    "x4": ({f"{UNET}input_blocks.0.0.weight": (256, 7, 3, 3), "low_scale_model.betas": (1,)}, "an upscaler"),
    "esrgan": ({"conv_first.weight": (64, 3, 3, 3), "body.0.rdb1.conv1.weight": (32, 64, 3, 3)}, "an upscaler"),
    "old esrgan": (
        {"model.0.weight": (64, 3, 3, 3), "model.1.sub.0.RDB1.conv1.0.weight": (32, 64, 3, 3)},
        "an upscaler",
    ),
    "swinir": ({"layers.0.residual_group.blocks.0.norm1.weight": (180,)}, "an upscaler"),
    "controlnet": ({"control_model.input_blocks.0.0.weight": (320, 4, 3, 3)}, "a ControlNet"),
    "diffusers controlnet": ({"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3)}, "a ControlNet"),
}


@pytest.mark.parametrize("kind", FILES)
def test_what_a_file_is(kind: str, tmp_path: Path) -> None:
    shapes, what = FILES[kind]
    path = tmp_path / "file.safetensors"
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, path)
    with pytest.raises(CheckpointError, match=f"^file.safetensors is {what}") as error:
        load_model(path)
    assert "\n" not in str(error.value)
    found = inspect_file(path)
    assert not found.loads
    assert list(found.lines())[-1].startswith(f"fit         {what}")


@pytest.mark.parametrize(
    ("cls", "options", "what"),
    [(AutoencoderKL, SD_V1_VAE, "a VAE"), (UNet2DConditionModel, SD_V1_UNET, "a diffusers UNet")],
)
def test_single_parts_as_diffusers_writes_them(
    cls: type, options: dict[str, object], what: str, tmp_path: Path
) -> None:
    small = options | {"block_out_channels": [32] * 4} | ({"attention_head_dim": 4} if what != "a VAE" else {})
    cls(**small).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=f"is {what}"):
        load_model(tmp_path / "diffusion_pytorch_model.safetensors")
    with pytest.raises(CheckpointError, match="one part of a diffusers model"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ({"string_to_token": {"*": 265}, "string_to_param": {"*": torch.zeros(2, 768)}, "name": "cat"}, "a textual"),
        (
            {"string_to_param": torch.nn.ParameterDict({"*": torch.nn.Parameter(torch.zeros(2, 768))})},
            "a textual",
        ),
        ({768: (torch.zeros(1),), 320: (torch.zeros(1),), "step": 3}, "a hypernetwork"),
        ({"params_ema": {"conv_first.weight": torch.zeros(1)}}, "an upscaler"),
        ({"epoch": 3, "model_state": "nothing"}, "holds no tensors"),
    ],
    ids=["embedding", "old embedding", "hypernetwork", "upscaler", "nothing"],
)
def test_pickles_of_other_things(content: dict[object, object], what: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "file.pt")
    with pytest.raises(CheckpointError, match=f"^file.pt (is )?{what}"):
        load_model(tmp_path / "file.pt")


@pytest.mark.parametrize(
    ("name", "what"),
    [("StableDiffusionXLPipeline", "an SDXL folder"), ("StableDiffusionUpscalePipeline", "an upscaler's folder")],
)
def test_folders_of_other_pipelines(name: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(f'{{"_class_name": "{name}"}}')
    with pytest.raises(CheckpointError, match=f"is {what}"):
        load_model(tmp_path)


def test_a_folder_of_a_peft_adapter(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="a PEFT adapter"):
        load_model(tmp_path)
