from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from ldm_core.compvis.autoencoder import AutoencoderKL
from ldm_core.compvis.registry import ALIASES, TARGETS, instantiate_from_config
from ldm_core.models.vq import VQModelInterface


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_every_target_exists(name: str):
    module, _, attribute = name.rpartition(".")
    assert isinstance(getattr(importlib.import_module(module), attribute), type)


def test_aliases_mean_targets():
    assert set(ALIASES.values()) <= set(TARGETS)


def test_published_autoencoder_config():
    dd = {
        "double_z": True,
        "z_channels": 4,
        "resolution": 32,
        "in_channels": 3,
        "out_ch": 3,
        "ch": 32,
        "ch_mult": [1, 2],
        "num_res_blocks": 1,
        "attn_resolutions": [],
        "dropout": 0.0,
    }
    loss = {
        "target": "ldm.modules.losses.LPIPSWithDiscriminator",
        "params": {"disc_start": 50001, "kl_weight": 1e-6, "disc_weight": 0.5, "perceptual_weight": 0.0},
    }
    door = instantiate_from_config(
        {
            "base_learning_rate": 4.5e-6,
            "target": "ldm.models.autoencoder.AutoencoderKL",
            "params": {"monitor": "val/rec_loss", "embed_dim": 4, "ddconfig": dd, "lossconfig": loss},
        }
    )
    assert isinstance(door, AutoencoderKL) and door.monitor == "val/rec_loss"
    assert (door.loss.config.disc_start, door.loss.config.kl_weight, door.loss.config.disc_weight) == (50001, 1e-6, 0.5)


def test_network_from_its_config_fields():
    params = {"kind": "vq", "double_z": False, "n_embed": 8, "ch": 32, "ch_mult": [1], "num_res_blocks": 1}
    assert isinstance(
        instantiate_from_config({"target": "ldm_core.models.vq.VQModelInterface", "params": params}), VQModelInterface
    )


@pytest.mark.parametrize("name", ["os.system", "antigravity", "ldm_core.models.unet.nn", "", None, "builtins.eval"])
def test_other_names_are_refused_and_not_imported(name: str | None):
    with pytest.raises(ValueError, match="not among those"):
        instantiate_from_config({"target": name, "params": {"command": "true"}})
    assert "antigravity" not in sys.modules


def test_nothing_of_a_strangers_module_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "stranger.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Model: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match="stranger"):
        instantiate_from_config({"target": "stranger.Model"})
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"target": "ldm_core.models.unet.UNetModel", "params": {"widht": 3}}, "widht"),
        (
            {
                "target": "ldm.models.autoencoder.AutoencoderKL",
                "params": {"ddconfig": {}, "lossconfig": {}, "shape": 3},
            },
            "shape",
        ),
        ({"target": "torch.nn.Identity", "parms": {}}, "parms"),
    ],
)
def test_wrong_params_are_one_clear_error(config: dict[str, object], said: str):
    with pytest.raises(ValueError, match=said):
        instantiate_from_config(config)
