"""Options, environment, and what is refused."""

from dataclasses import fields
from pathlib import Path

import pytest

from app.settings import Settings

ROOT = Path(__file__).parents[2]


def test_command_line_wins_over_environment() -> None:
    environ = {"LATENT_LAB_PORT": "8000", "LATENT_LAB_DEVICE": "cpu", "OTHER": "x"}
    settings = Settings.from_args(["--port", "9000", "--weights", "w.safetensors"], environ)
    assert (settings.port, settings.device, settings.weights) == (9000, "cpu", Path("w.safetensors"))


@pytest.mark.parametrize(
    "argv",
    [
        ["--port", "99999"],
        ["--port", "x"],
        ["--lang", "fr"],
        ["--nonsense", "1"],
        ["--max-batch", "0"],
        ["--client-history-bytes", "0"],
        ["--client-history-bytes", "2000000000"],
        ["--runtime", "onnx"],
        ["--threads", "0"],
        ["--host", ""],
        ["--detach-seconds", "nan"],
        ["--detach-seconds", "inf"],
        ["--detach-seconds", "-1"],
        ["--models", "/nowhere"],
        ["--models", __file__],
        ["--models", "~nobody9/models"],
        ["--allowed-hosts", "https://lab.example.org"],
        ["--allowed-hosts", "lab.example.org,*"],
        ["--allowed-hosts", "*.example.org"],
        ["--allowed-hosts", "["],
    ],
)
def test_bad_options_exit_with_a_message(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        Settings.from_args(argv, {})
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    option, value = argv
    assert value.rpartition(",")[2] in said and option[2:].replace("-", "_") in said.replace("-", "_")


@pytest.mark.parametrize("value", ["-abc", "--abc", "-", "a b", "a=b", ""])
def test_a_value_of_the_environment_may_begin_with_anything(value: str) -> None:
    assert Settings.from_args([], {"LATENT_LAB_PAGE_PASSWORD": value, "LATENT_LAB_OPEN": "1"}).page_password == value


def test_names_that_may_be_allowed() -> None:
    names = ("lab.example.org", "lab:7860", "my_host", "bücher.example", "[::1]:7860", "10.0.0.1")
    assert Settings.from_args(["--allowed-hosts", ",".join(names)], {}).allowed_hosts == names


def test_help_says_what_an_option_is_and_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        Settings.from_args(["--help"], {})
    assert caught.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "--history-days HISTORY_DAYS days a picture that is no favourite stays there (default: 365)" in said
    assert "--max-side MAX_SIDE width and height of a picture, in pixels (default: 1024)" in said
    assert " default: " not in said, "an option has its default, but no words"


def test_the_data_folder_is_the_user_s_unless_said_otherwise(tmp_path: Path) -> None:
    environ = {"XDG_DATA_HOME": str(tmp_path)}
    assert Settings.from_args([], environ).data_dir == tmp_path / "latent-lab"
    assert (tmp_path / "latent-lab").stat().st_mode & 0o777 == 0o700
    assert Settings.from_args(["--output-dir", "out"], environ).data_dir is None
    assert Settings.from_args([], {**environ, "LATENT_LAB_OUTPUT_DIR": "", "LATENT_LAB_MODELS": ""}) == (
        Settings.from_args([], environ)
    ), "a variable that is empty names no folder"
    for nothing in (
        Settings.from_args(["--data-dir", ""], environ),
        Settings.from_args([], {"XDG_DATA_HOME": "/proc"}),
    ):
        assert nothing.data_dir is None and nothing.outputs is None
    assert Settings.from_args(["--data-dir", "~/here"], environ).data_dir == Path.home() / "here"


def test_every_limit_is_documented_with_its_default() -> None:
    rows = [
        line
        for line in (ROOT / "docs" / "security.md").read_text().partition("## Limits")[2].splitlines()
        if line.startswith("|")
    ]
    for f in fields(Settings):
        if f.name.startswith(
            (
                "max_",
                "upload_",
                "queue_",
                "client_",
                "keep_",
                "detach_",
                "history_",
                "body_",
                "requests_",
                "allowed_",
                "trusted_",
            )
        ):
            (row,) = [row for row in rows if f"`--{f.name.replace('_', '-')}" in row]
            if isinstance(f.default, (int, float)):
                assert f"{f.default:,.0f}" in row or said(f.default) in row, row


def said(number: float) -> str:
    """As a person says it: 400000000 is 400 (MB or million), 3600 is 1 hour."""
    if number == 3600:
        return "1 hour"
    for size, name in ((1e9, " GB"), (1e6, " ")):
        if number >= size:
            return f"{number / size:g}{name}"
    return str(number)
