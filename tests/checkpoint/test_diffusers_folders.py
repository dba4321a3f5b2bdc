"""Folders there and back, and diffusers itself as the judge of what we write."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ldm_core.checkpoint import CheckpointError, convert, load_model
from ldm_core.config import ModelConfig
from ldm_core.models.latent_diffusion import LatentDiffusion
from ldm_core.presets import EMOJI_128, TINY
from tests.models.peers import relative
from tests.tiny import tiny_checkpoint

GEOMETRIES = [
    TINY,
    EMOJI_128,
    replace(TINY, name="x0", parameterization="x0", first_stage=replace(TINY.first_stage, attn_resolutions=(16,))),
    replace(TINY, name="deep", unet=replace(TINY.unet, transformer_depth=2, num_res_blocks=2)),
    replace(
        TINY,
        name="grouped",
        first_stage=replace(TINY.first_stage, norm_groups=4),
        unet=replace(TINY.unet, norm_groups=8, attention_resolutions=(2,)),
    ),
]


def fake_tokenizer(folder: Path, vocab: int) -> None:
    """CLIP's file format with as many entries as asked for, and no merges."""
    folder.mkdir()
    names = ["<|startoftext|>", "<|endoftext|>"]
    entries = [*(f"t{i}" for i in range(vocab - 2)), *names]
    (folder / "vocab.json").write_text(json.dumps({entry: i for i, entry in enumerate(entries)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A TINY single file and the folder made of it; read only."""
    path = tiny_checkpoint(tmp_path_factory.mktemp("weights"))
    return path, convert(path, path.parent / "folder", "diffusers")


@pytest.fixture
def folder(written: tuple[Path, Path], tmp_path: Path) -> Path:
    """A TINY folder to spoil."""
    return shutil.copytree(written[1], tmp_path / "folder")


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    options = json.loads(path.read_text())
    change(options)
    path.write_text(json.dumps(options))


def same_weights(a: Path, b: Path) -> bool:
    one, two = (load_model(path).model.state_dict() for path in (a, b))
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@torch.no_grad()
def compare_with_folder(model: LatentDiffusion, folder: Path) -> None:
    """diffusers must read every option of the geometry out of the folder, not names and shapes alone."""
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet")
    vae = AutoencoderKL.from_pretrained(folder, subfolder="vae")
    assert model.config.text is not None
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 4, 16, 16, generator=generator)
    context = torch.randn(1, model.config.text.text_len, model.config.text.width, generator=generator)
    image, t = torch.randn(1, 3, 32, 32, generator=generator), torch.tensor([481])
    assert relative(model.apply_model(x, t, context), unet(x, t, context).sample) < 2e-4
    assert relative(model.first_stage_model.decode(x), vae.decode(x).sample) < 2e-4
    assert relative(model.encode_first_stage(image).mean, vae.encode(image).latent_dist.mean) < 2e-4


@pytest.mark.parametrize("config", GEOMETRIES, ids=lambda c: c.name)
def test_there_and_back_is_exact(config: ModelConfig, tmp_path: Path) -> None:
    if config.text and config.text.vocab != 49408:
        fake_tokenizer(tmp_path / "tokenizer", config.text.vocab)
    path = tiny_checkpoint(tmp_path, config)
    there = convert(path, tmp_path / config.name, "diffusers")
    (tmp_path / "back").mkdir()
    back = convert(there, tmp_path / "back" / "weights.safetensors")
    assert back.read_bytes() == path.read_bytes()
    loaded = load_model(there)
    assert loaded.config == config
    compare_with_folder(loaded.model, there)
    assert loaded.tokenizer_dir == there / "tokenizer"
    own = config.text is not None and config.text.vocab != 49408
    assert (back.parent / "tokenizer" / "vocab.json").is_file() == own


@pytest.mark.parametrize("way", ["folder", "single file"])
def test_diffusers_computes_the_same(way: str, written: tuple[Path, Path]) -> None:
    path, there = written
    if way == "folder":
        pipe = StableDiffusionPipeline.from_pretrained(there)
    else:
        pipe = StableDiffusionPipeline.from_single_file(str(path), config=str(there))
    model, generator = load_model(path).model, torch.Generator().manual_seed(0)
    x, context = torch.randn(1, 4, 16, 16, generator=generator), torch.randn(1, 77, 32, generator=generator)
    t, ids = torch.tensor([481]), torch.randint(0, 49408, (1, 77), generator=generator)
    with torch.no_grad():
        assert relative(model.apply_model(x, t, context), pipe.unet(x, t, context).sample) < 2e-4
        assert relative(model.decode_first_stage(x), pipe.vae.decode(x / pipe.vae.config.scaling_factor).sample) < 2e-4
        assert relative(model.cond_stage_model(ids), pipe.text_encoder(ids).last_hidden_state) < 2e-4
    assert pipe.scheduler.config.prediction_type == "epsilon"
    assert (pipe.tokenizer.model_max_length, len(pipe.tokenizer)) == (77, 49408)


def test_diffusers_tokenizes_as_we_do(written: tuple[Path, Path]) -> None:
    from ldm_core.text.tokenizer import Tokenizer

    ours = Tokenizer.load(load_model(written[1]).tokenizer_dir, 77)
    theirs = StableDiffusionPipeline.from_pretrained(written[1]).tokenizer
    for text in ("a red apple, noto style", "", "größer, 林檎 🍎", "x" * 400 + " y" * 100):
        ids = theirs(text, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
        assert torch.equal(ours.encode([text]), ids)


def test_what_diffusers_itself_saved_loads(written: tuple[Path, Path], tmp_path: Path) -> None:
    """Its own files, with every default spelled out, also in half precision and as .bin."""
    pipe = StableDiffusionPipeline.from_pretrained(written[1])
    pipe.save_pretrained(tmp_path / "saved")
    assert same_weights(tmp_path / "saved", written[0])
    assert load_model(tmp_path / "saved").config.unet == TINY.unet
    pipe.to(torch.float16).save_pretrained(tmp_path / "half", variant="fp16", safe_serialization=False)
    loaded = load_model(tmp_path / "half")
    assert {p.dtype for p in loaded.model.parameters()} == {torch.float16}


def test_old_dialects_of_folders(written: tuple[Path, Path], folder: Path) -> None:
    """The published SD v1.5 folder: the VAE's attention in other words, the text tower wrapped, positions stored."""
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    words = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    renamed = {}
    for name, tensor in load_file(file).items():
        for new, old in words.items():
            name = name.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
        renamed[name] = tensor.clone()
    assert any("proj_attn" in name for name in renamed)
    save_file(renamed, file)
    file = folder / "text_encoder" / "model.safetensors"
    wrapped = {f"text_model.{name}": tensor.clone() for name, tensor in load_file(file).items()}
    save_file(wrapped | {"text_model.embeddings.position_ids": torch.arange(77)[None]}, file)
    assert same_weights(folder, written[0])
    assert load_model(folder).report == ()


def test_linear_projections_are_one_by_one_convolutions(written: tuple[Path, Path], folder: Path) -> None:
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    flat = {n: t.flatten(1).clone() if "proj_in.w" in n or "proj_out.w" in n else t for n, t in tensors.items()}
    save_file(flat, file)
    edit(folder / "unet" / "config.json", lambda options: options.update(use_linear_projection=True))
    assert same_weights(folder, written[0])


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("unet", {"norm_eps": 1e-6}, "norm_eps is 1e-06; only 1e-05"),
        ("unet", {"act_fn": "gelu"}, "act_fn"),
        ("unet", {"attention_head_dim": [5, 10]}, r"attention_head_dim is \[5, 10\]"),
        ("unet", {"class_embed_type": "timestep"}, "class_embed_type"),
        ("unet", {"addition_embed_type": "text_time"}, "addition_embed_type"),
        ("unet", {"only_cross_attention": [True, False]}, "only_cross_attention"),
        ("unet", {"block_out_channels": [32, 80]}, "not multiples"),
        ("unet", {"down_block_types": ["SimpleCrossAttnDownBlock2D", "DownBlock2D"]}, "down_block_types"),
        ("unet", {"up_block_types": ["UpBlock2D", "UpBlock2D"]}, "do not mirror"),
        ("unet", {"in_channels": 9}, "an inpainting model"),
        ("unet", {"in_channels": 8}, "an InstructPix2Pix model"),
        ("unet", {"in_channels": 7}, "an upscaler"),
        ("unet", {"in_channels": 6}, "takes 6 channels"),
        ("unet", {"out_channels": 8}, "answers 8 channels"),
        ("unet", {"cross_attention_dim": 48}, "context is 48 wide"),
        ("vae", {"shift_factor": 0.1}, "shift_factor"),
        ("vae", {"use_quant_conv": False}, "use_quant_conv"),
        ("vae", {"scaling_factor": -1}, "scale_factor must be above 0"),
        ("text_encoder", {"layer_norm_eps": 1e-6}, "layer_norm_eps"),
        ("text_encoder", {"num_hidden_layers": 3}, "missing"),
        ("scheduler", {"rescale_betas_zero_snr": True}, "rescale_betas_zero_snr"),
        ("scheduler", {"prediction_type": "flow"}, "prediction_type"),
        ("scheduler", {"beta_schedule": "exp"}, "beta_schedule"),
        ("scheduler", {"_class_name": "FlowMatchEulerDiscreteScheduler"}, "not of a discrete noise schedule"),
    ],
)
def test_what_our_modules_do_not_compute_is_refused(
    part: str, change: dict[str, Any], message: str, folder: Path
) -> None:
    name = "scheduler_config.json" if part == "scheduler" else "config.json"
    edit(folder / part / name, lambda options: options.update(change))
    with pytest.raises(CheckpointError, match=message) as error:
        load_model(folder)
    assert "\n" not in str(error.value)


def test_incomplete_folders(folder: Path) -> None:
    (folder / "vae" / "diffusion_pytorch_model.safetensors").rename(folder / "elsewhere")
    with pytest.raises(CheckpointError, match="no weights in vae/"):
        load_model(folder)
    (folder / "unet" / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"no readable unet/config\.json"):
        load_model(folder)


def test_a_stranger_among_the_weights(folder: Path) -> None:
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    save_file(load_file(file) | {"extra.weight": torch.zeros(1)}, file)
    with pytest.raises(CheckpointError, match=r"1 unexpected \(model\.diffusion_model\.extra\.weight\)"):
        load_model(folder)


def test_convert_overwrites_nothing_and_leaves_no_rest(tmp_path: Path) -> None:
    path = tiny_checkpoint(tmp_path)
    for format in ("compvis", "diffusers"):
        with pytest.raises(CheckpointError, match="exists already"):
            convert(path, path, format)
    with pytest.raises(CheckpointError, match="there is no folder"):
        convert(path, tmp_path / "a" / "b")
    with pytest.raises(ValueError, match="format must be one of"):
        convert(path, tmp_path / "out", "onnx")  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="no folder 'tokenizer' with 6144"):
        convert(tiny_checkpoint(tmp_path, EMOJI_128, name="e.safetensors"), tmp_path / "out", "diffusers")

    free = replace(TINY, name="free", conditioning_key=None, unet=replace(TINY.unet, context_dim=None), text=None)
    with pytest.raises(CheckpointError, match="text conditioning"):
        convert(tiny_checkpoint(tmp_path, free, name="f.safetensors"), tmp_path / "out", "diffusers")

    def disk_is_full(_done: int, _total: int) -> None:
        raise OSError(28, "No space left on device")

    for format in ("compvis", "diffusers"):
        with pytest.raises(CheckpointError, match="No space left"):
            convert(path, tmp_path / "out", format, progress=disk_is_full)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e.safetensors", "f.safetensors", "tiny.safetensors"]


def test_float64_is_written_as_float32(tmp_path: Path) -> None:
    path = tiny_checkpoint(tmp_path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file({name: value.double() for name, value in load_file(path).items()}, tmp_path / "double", metadata)
    out = convert(tmp_path / "double", tmp_path / "single")
    assert {value.dtype for value in load_file(out).values()} == {torch.float32}


def test_weights_are_not_written_beside_another_models_tokenizer(tmp_path: Path) -> None:
    """Of the same length it would be taken for theirs; of another they would have none."""
    path = tiny_checkpoint(tmp_path, EMOJI_128)
    fake_tokenizer(tmp_path / "tokenizer", 6144)
    for name, vocab in (("as long", 6144), ("longer", 6145)):
        (tmp_path / name).mkdir()
        other = tmp_path / name / "tokenizer"
        fake_tokenizer(other, vocab)
        (other / "merges.txt").write_text("#version: 0.2\nt 1\n")
        with pytest.raises(CheckpointError, match="another model's tokenizer; write into a folder of its own"):
            convert(path, tmp_path / name / "out.safetensors")
        assert not (tmp_path / name / "out.safetensors").exists()
    assert convert(path, tmp_path / "beside.safetensors").exists(), "its own"
    clip = tiny_checkpoint(tmp_path, TINY, name="clip.safetensors")
    assert convert(clip, tmp_path / "longer" / "clip.safetensors").exists(), "the packaged one is found all the same"


def test_progress_goes_from_nothing_to_everything(written: tuple[Path, Path], tmp_path: Path) -> None:
    for format in ("compvis", "diffusers"):
        heard: list[tuple[int, int]] = []
        convert(
            written[0],
            tmp_path / format,
            format,
            dtype=torch.float16,
            progress=lambda done, total, heard=heard: heard.append((done, total)),
        )
        assert heard == sorted(heard)
        assert len({total for _, total in heard}) == 1
        assert heard[-1][0] == heard[-1][1] == 2 * sum(t.numel() for t in load_file(written[0]).values())
