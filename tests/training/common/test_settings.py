"""Settings of a run: wrong types and values are one sentence that names the setting."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ldm_core.training.common.inputs import Inputs
from ldm_core.training.common.settings import LoopSettings, check_run_name, load_settings
from ldm_core.training.common.state import read_state
from ldm_core.training.diffusion.settings import DiffusionTraining


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ('loop.batch="8"', "loop.batch must be a whole number, not '8'"),
        ("loop.batch=8.5", "loop.batch must be a whole number"),
        ("loop.batch=true", "loop.batch must be a whole number"),
        ("loop.lr=nan", "loop.lr must be a finite number"),
        ("loop.lr=inf", "loop.lr must be a finite number"),
        ("loop.minutes=-1", "minutes must be above 0, not -1"),
        ("loop.minutes=soon", "loop.minutes must be a finite number, not 'soon'"),
        ("loop.max_steps=0", "max_steps must be above 0"),
        ("betas=0.9", "betas must be a list of 2, each item a finite number, not 0.9"),
        ("betas=[0.9]", "betas must be a list of 2"),
        ("betas=[0.9, true]", "betas must be a list of 2"),
        ("prompts=cat", "prompts must be a list, each item a text, not 'cat'"),
        ("loop=3", "loop is a section, not 3"),
        ("preset=3", "preset must be a text"),
        ("preset.deep=3", "preset must be a text"),
        ("loop.bach=8", "bach"),
        ("loop.clip=-1", "clip"),
        ("loop.cooldown=1.5", r"cooldown must lie in \[0, 1\], not 1.5"),
        ("loop.ema_decay=1", r"ema_decay must lie in \[0, 1\), not 1"),
    ],
)
def test_wrong_settings_are_named(override: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        load_settings(DiffusionTraining, None, [override])
    assert "\n" not in str(error.value)


def test_a_runs_latents_have_its_whole_name(tmp_path: Path) -> None:
    (tmp_path / "ae.2.safetensors").touch()
    assert Inputs(autoencoder="ae-1.5").latents_dir.name == "ae-1.5"
    assert Inputs(autoencoder=str(tmp_path / "ae.2.safetensors")).latents_dir.name == "ae.2"


def test_whole_numbers_pass_for_others() -> None:
    assert load_settings(LoopSettings, None, ["lr=1", "minutes=2"]).minutes == 2


def test_a_toml_of_any_encoding(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "run.toml").write_bytes("# größer\nlr = 0.5\n".encode(encoding))
        assert load_settings(LoopSettings, tmp_path / "run.toml").lr == 0.5
    (tmp_path / "run.toml").write_text("lr = [")
    with pytest.raises(ValueError, match="is no TOML"):
        load_settings(LoopSettings, tmp_path / "run.toml")


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "..", "/tmp/x", "a\nb", "~", " a"])
def test_a_runs_name_is_no_path(name: str) -> None:
    with pytest.raises(ValueError, match="is no path"):
        check_run_name(name)


def test_ordinary_names() -> None:
    for name in ("judge-1", "d2", "Größe 3", "a.b_c+d"):
        check_run_name(name)


def test_a_damaged_state_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    torch.save({"step": 3, "networks": {"a": torch.zeros(1000)}}, path)
    whole = path.read_bytes()
    for content, said in (
        (whole[:500], "damaged"),
        (b"", "damaged"),
        (b"hello", "damaged"),
        (whole, "no state of a run"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=said) as error:
            read_state(path)
        assert "\n" not in str(error.value)
