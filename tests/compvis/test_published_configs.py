"""CompVis' published configurations build, each as the network it was published as."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from ldm_core.compvis.configs import UNET_OPTIONS, condition_from, first_stage_from, unet_from
from ldm_core.compvis.registry import instantiate_from_config, model_from_yaml
from ldm_core.models.unet import UNetModel
from tests.compvis.published import CONFIGS, KL_LOSS, LACKING

# "DiffusionWrapper has … M params": what CompVis' own scripts print when they load these models
MILLIONS = {
    "celebahq-ldm-vq-4": 274.06,
    "ffhq-ldm-vq-4": 274.06,
    "lsun_churches-ldm-kl-8": 294.96,
    "cin256-v2": 400.92,
    "bsr_sr": 113.62,
    "inpainting_big": 387.25,
    "txt2img-1p4B-eval": 872.30,
    "stable-diffusion-v1": 859.52,
}


@pytest.mark.parametrize("name", MILLIONS)
def test_each_unet_is_the_published_one(name: str) -> None:
    with torch.device("meta"):
        network = UNetModel(unet_from(CONFIGS[name]["params"]["unet_config"]))
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(MILLIONS[name], abs=0.01)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_builds_or_names_what_it_lacks(name: str) -> None:
    with torch.device("meta"):
        if name not in LACKING:
            instantiate_from_config(copy.deepcopy(CONFIGS[name]))
            return
        with pytest.raises(ValueError, match=LACKING[name]):
            instantiate_from_config(copy.deepcopy(CONFIGS[name]))


def test_few_lack_something() -> None:
    assert len(CONFIGS) == 20
    assert len(LACKING) <= 3


@pytest.mark.skipif("COMPVIS_CONFIGS" not in os.environ, reason="COMPVIS_CONFIGS names a folder of CompVis' YAML files")
def test_the_files_themselves() -> None:
    """For a tester who has them: every file with a model in it builds, at most three name what they lack."""
    lacking = {}
    for path in sorted(Path(os.environ["COMPVIS_CONFIGS"]).rglob("*.yaml")):
        try:
            with torch.device("meta"):
                model_from_yaml(path)
        except ValueError as error:
            lacking[path.name] = str(error)
    assert len(lacking) <= 3, lacking


def test_a_file_on_disk(tmp_path: Path) -> None:
    """Numbers like 1e-6, which YAML 1.1 takes for text, and sections that are none of the model's."""
    path = tmp_path / "config.yaml"
    loss = {"target": KL_LOSS, "params": {"disc_start": 1, "kl_weight": 1e-6, "perceptual_weight": 0.0}}
    model = copy.deepcopy(CONFIGS["autoencoder_kl_64x64x3"])
    model["params"]["lossconfig"] = loss
    model["params"]["ddconfig"] |= {"ch": 32, "ch_mult": [1, 2]}
    text = yaml.safe_dump({"model": {"base_learning_rate": 4.5e-6, **model}, "data": {"target": "main.Data"}})
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("1.0e-06", "1e-6").encode())
    assert "1e-6" in path.read_text(encoding="utf-8-sig")
    built = model_from_yaml(path)
    assert built.loss.config.kl_weight == 1e-6
    assert built.loss.config.disc_weight == 1.0, "the class's own default, not that of a published file"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: [", "no YAML"),
        ("data: {}", "no section 'model'"),
        ("model: {target: os.system, params: {}}", "os.system"),
        ("a: &a [1]\nmodel: *a", "anchors"),
        ("[" * 5_000, r"no YAML|too deeply"),
        ("!!python/object/apply:os.system [true]", "no YAML"),
    ],
)
def test_other_files_are_one_sentence(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match=said) as error:
        model_from_yaml(tmp_path / "config.yaml")
    assert "\n" not in str(error.value)


def test_a_config_that_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    for name in ("fifo", "zero"):
        with pytest.raises(ValueError, match="not a regular file"):
            model_from_yaml(tmp_path / f"{name}.yaml")


def test_absent_options_are_compvis_defaults_and_not_sds() -> None:
    stage = {**CONFIGS["autoencoder_kl_64x64x3"]["params"]}
    ddconfig = {k: v for k, v in stage["ddconfig"].items() if k not in ("ch_mult", "dropout")}
    config = first_stage_from(
        {"target": "ldm.models.autoencoder.AutoencoderKL", "params": {**stage, "ddconfig": ddconfig}}
    )
    assert config.ch_mult == (1, 2, 4, 8)
    for missing in UNET_OPTIONS.required:
        params = {k: v for k, v in CONFIGS["ffhq-ldm-vq-4"]["params"]["unet_config"]["params"].items() if k != missing}
        with pytest.raises(ValueError, match=f"needs {missing}"):
            unet_from({"target": "ldm.modules.diffusionmodules.openaimodel.UNetModel", "params": params})


ENCODERS: dict[str, tuple[dict[str, Any], torch.Tensor, tuple[int, ...]]] = {
    "ClassEmbedder": ({"embed_dim": 8, "n_classes": 5}, torch.tensor([4, 0]), (2, 1, 8)),
    "SpatialRescaler": ({"n_stages": 2, "in_channels": 6, "out_channels": 3}, torch.randn(2, 6, 16, 8), (2, 3, 4, 2)),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_of_other_conditions(name: str) -> None:
    params, c, shape = ENCODERS[name]
    stage = condition_from({"target": f"ldm.modules.encoders.modules.{name}", "params": params})
    assert stage(c).shape == shape
    if name == "ClassEmbedder":
        assert torch.equal(stage({"class": c}), stage(c))
    else:
        halves = torch.nn.functional.avg_pool2d(c, 2)  # bilinear halving of an even size is the mean of four
        torch.testing.assert_close(stage(c), stage.channel_mapper(torch.nn.functional.avg_pool2d(halves, 2)))
