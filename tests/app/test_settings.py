"""Options, environment, and what is refused."""

from pathlib import Path

import pytest

from app.settings import Settings


def test_command_line_wins_over_environment() -> None:
    environ = {"LATENT_LAB_PORT": "8000", "LATENT_LAB_DEVICE": "cpu", "OTHER": "x"}
    settings = Settings.from_args(["--port", "9000", "--weights", "w.safetensors"], environ)
    assert (settings.port, settings.device, settings.weights) == (9000, "cpu", Path("w.safetensors"))


@pytest.mark.parametrize(
    "argv", [["--port", "99999"], ["--port", "x"], ["--lang", "fr"], ["--nonsense", "1"], ["--max-batch", "0"]]
)
def test_bad_options_exit_with_a_message(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        Settings.from_args(argv, {})
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
