"""One safetensors file: what goes in comes out, strictly, and never half."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ldm_core.checkpoint import CheckpointError, load_model, save_model
from ldm_core.config import ModelConfig
from ldm_core.presets import EMOJI_128, TINY
from tests.tiny import tiny_checkpoint, tiny_model


@pytest.mark.parametrize("config", [TINY, EMOJI_128], ids=lambda c: c.name)
def test_round_trip_is_exact(config: ModelConfig, tmp_path: Path) -> None:
    loaded = load_model(tiny_checkpoint(tmp_path, config))
    before, after = tiny_model(config).state_dict(), loaded.model.state_dict()
    assert loaded.config == config
    assert loaded.report == ()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_nothing_is_left_without_memory(tmp_path: Path) -> None:
    model = load_model(tiny_checkpoint(tmp_path)).model
    assert not model.training
    assert not any(t.is_meta for t in (*model.parameters(), *model.buffers()))


def test_the_library_reads_what_we_write(tmp_path: Path) -> None:
    path = tiny_checkpoint(tmp_path, dtype="bfloat16")
    stored = load_file(path)
    weights = dict(tiny_model().named_parameters())
    assert stored.keys() == weights.keys(), "weights only: schedule buffers are computed"
    assert all(torch.equal(stored[name], weights[name].bfloat16()) for name in weights)
    with safe_open(path, "pt") as file:
        assert ModelConfig.from_dict(json.loads(file.metadata()["config"])) == TINY


def test_equal_weights_are_equal_bytes(tmp_path: Path) -> None:
    model = tiny_model()
    for name in ("a", "b"):
        save_model(model, TINY, tmp_path / name, metadata={"licence": "MIT", "trained": "no", "steps": "0"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_dtype_is_what_was_asked_for_and_the_schedule_stays_fp32(tmp_path: Path) -> None:
    path = tiny_checkpoint(tmp_path, dtype="float16")
    for asked, expected in ((None, torch.float16), (torch.float32, torch.float32), (torch.bfloat16, torch.bfloat16)):
        model = load_model(path, dtype=asked).model
        assert {p.dtype for p in model.parameters()} == {expected}
        assert model.alphas_cumprod.dtype == torch.float32


def test_a_file_of_mixed_dtypes_loads_as_the_widest(tmp_path: Path) -> None:
    path = tiny_checkpoint(tmp_path, dtype="float16")
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    name = next(iter(tensors))
    save_file(tensors | {name: tensors[name].float()}, tmp_path / "mixed", metadata)
    assert {p.dtype for p in load_model(tmp_path / "mixed").model.parameters()} == {torch.float32}


def test_eight_bit_weights_are_refused(tmp_path: Path) -> None:
    path = tiny_checkpoint(tmp_path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file({n: t.to(torch.float8_e4m3fn) for n, t in load_file(path).items()}, tmp_path / "small", metadata)
    with pytest.raises(CheckpointError, match="float8"):
        load_model(tmp_path / "small")


def test_content_decides_and_not_the_suffix(tmp_path: Path) -> None:
    path = tiny_checkpoint(tmp_path).rename(tmp_path / "weights.ckpt")
    assert load_model(path).config == TINY


def test_a_stored_file_survives_the_model_being_changed(tmp_path: Path) -> None:
    """Weights are mapped privately: training in place does not write through to disk."""
    path = tiny_checkpoint(tmp_path)
    before = path.read_bytes()
    with torch.no_grad():
        for parameter in load_model(path).model.parameters():
            parameter.add_(1.0)
    assert path.read_bytes() == before


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny_checkpoint(tmp_path)
    before = path.read_bytes()

    def disk_is_full(_done: int, _total: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(CheckpointError, match="No space left"):
        save_model(tiny_model(seed=1), TINY, path, progress=disk_is_full)
    assert path.read_bytes() == before
    assert [*tmp_path.iterdir()] == [path]


def test_what_half_precision_cannot_hold_is_not_written(tmp_path: Path) -> None:
    state = dict(tiny_model().state_dict())
    name = "first_stage_model.quant_conv.bias"
    for value, message in ((1e6, "too large for float16"), (float("nan"), "not finite")):
        with pytest.raises(CheckpointError, match=f"{name}.*{message}"):
            save_model(state | {name: torch.full_like(state[name], value)}, TINY, tmp_path / "out")
    assert not any(tmp_path.iterdir())


def test_differences_are_grouped(tmp_path: Path) -> None:
    path = tiny_checkpoint(tmp_path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    del tensors["model.diffusion_model.out.2.bias"]
    tensors["first_stage_model.surprise"] = torch.zeros(1)
    tensors["model.diffusion_model.out.0.bias"] = torch.zeros(7)
    save_file(tensors, tmp_path / "odd", metadata)
    with pytest.raises(CheckpointError) as error:
        load_model(tmp_path / "odd")
    assert str(error.value) == (
        "odd does not fit the geometry tiny: 1 missing (model.diffusion_model.out.2.bias); "
        "1 unexpected (first_stage_model.surprise); "
        "1 of wrong shape (model.diffusion_model.out.0.bias 7 instead of 32)"
    )


def test_a_model_that_is_not_the_configs_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not fit the geometry tiny"):
        save_model(tiny_model(EMOJI_128), TINY, tmp_path / "out")
    with pytest.raises(ValueError, match="int8"):
        save_model(tiny_model(), TINY, tmp_path / "out", dtype="int8")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"config": "{}", "latent_lab_format": "1"}, "damaged config"),
        ({"config": "[1]", "latent_lab_format": "1"}, "damaged config"),
        ({"config": "{not json", "latent_lab_format": "1"}, "damaged config"),
        ({"latent_lab_format": "1"}, "damaged config"),
        ({"config": json.dumps(TINY.to_dict() | {"scale_factor": -1})}, "scale_factor must be above 0"),
        ({"config": json.dumps(TINY.to_dict() | {"surprise": 1})}, "surprise"),
        ({"config": json.dumps(TINY.to_dict()), "latent_lab_format": "2"}, "format version 2"),
    ],
)
def test_a_damaged_header_is_one_sentence(metadata: dict[str, str], message: str, tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "weights", metadata)
    with pytest.raises(CheckpointError, match=message):
        load_model(tmp_path / "weights")


PLACES = [(name,) for name in TINY.to_dict()] + [
    (part, name) for part in ("first_stage", "unet", "text", "schedule") for name in TINY.to_dict()[part]
]
NONSENSE = st.sampled_from([None, -1, 0, 10**9, 0.5, float("nan"), True, "x", [], [1, "a"], {}, {"a": 1}])


@settings(max_examples=12)
@given(st.sampled_from(PLACES), NONSENSE)
@example(("unet", "num_res_blocks"), [])
@example(("unet", "transformer_depth"), [1, "a"])
def test_nonsense_in_the_header_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[str, ...], value: object
) -> None:
    config = TINY.to_dict()
    (config if len(place) == 1 else config[place[0]])[place[-1]] = value
    path = tmp_path_factory.getbasetemp() / "nonsense.safetensors"
    save_file({"x": torch.zeros(1)}, path, {"config": json.dumps(config)})
    with pytest.raises(CheckpointError) as error:
        load_model(path)
    assert "\n" not in str(error.value)


def test_a_header_that_asks_for_a_billion_layers_is_refused_at_once(tmp_path: Path) -> None:
    for part, name in (("unet", "num_res_blocks"), ("text", "layers"), ("schedule", "timesteps")):
        config = TINY.to_dict()
        config[part][name] = 10**9
        save_file({"x": torch.zeros(1)}, tmp_path / "huge", {"config": json.dumps(config)})
        with pytest.raises(CheckpointError, match=f"{name} = 1000000000, beyond"):
            load_model(tmp_path / "huge")


def test_tokenizer_is_the_files_own_if_its_size_fits(tmp_path: Path) -> None:
    path = tiny_checkpoint(tmp_path, EMOJI_128)
    with pytest.raises(CheckpointError, match="6144"):
        _ = load_model(path).tokenizer_dir
    own = tmp_path / "tokenizer"
    own.mkdir()
    (own / "vocab.json").write_text(json.dumps({str(i): i for i in range(6144)}))
    assert load_model(path).tokenizer_dir == own
    clip = load_model(tiny_checkpoint(tmp_path, TINY, name="clip.safetensors"))
    assert clip.tokenizer_dir.name == "clip-tokenizer", "6144 entries do not fit, so the packaged one"


def test_without_a_text_encoder_there_is_no_text(tmp_path: Path) -> None:
    config = replace(TINY, text=None)
    assert load_model(tiny_checkpoint(tmp_path, config)).config.text is None
