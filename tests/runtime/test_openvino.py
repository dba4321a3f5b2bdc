"""OpenVINO gives eager torch's numbers, the same for a row whatever the batch around it, and calls nobody."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.peers import sd_weights
from ldm_core.checkpoint import load_model
from ldm_core.config import ModelConfig
from ldm_core.devices import resolve_dtype
from ldm_core.runtime import convert
from ldm_core.runtime.base import TOLERANCE, Runtime, RuntimeFailed, relative_distance
from ldm_core.runtime.choose import Candidate, choose
from ldm_core.runtime.torch import TorchRuntime
from tests.runtime.conftest import candidate

EMBEDDED = Path(__file__).parents[2] / "weights" / "emoji-128.safetensors"
DTYPES = [torch.float32, torch.bfloat16]

# Any socket but a local one between processes (asyncio's, multiprocessing's) is reported.
GUARD = """
import socket, sys
class Guarded(socket.socket):
    def __init__(self, family=-1, *args, **kwargs):
        if family in (-1, socket.AF_INET, socket.AF_INET6):
            open({path!r}, "a").write("socket ")
        super().__init__(family, *args, **kwargs)
socket.socket = Guarded
def refuse(*args, **kwargs):
    open({path!r}, "a").write("name ")
    raise OSError("no network in this test")
socket.getaddrinfo = socket.create_connection = refuse
"""


def inputs(config: ModelConfig, rows: int, side: int | None = None) -> dict[str, tuple[torch.Tensor, ...]]:
    """Arguments for each of a runtime's four functions."""
    generator = torch.Generator().manual_seed(1)
    channels, height, width = config.latent_shape()
    text = config.text
    assert text is not None
    z = torch.randn(rows, channels, side or height, side or width, generator=generator)
    t = torch.linspace(1.0, 999.0, rows)
    context = torch.randn(rows, text.text_len, text.width, generator=generator)
    ids = torch.randint(0, text.vocab, (rows, text.text_len), generator=generator)
    image = torch.rand(rows, 3, config.image_size, config.image_size, generator=generator) * 2 - 1
    return {"unet": (z, t, context), "decode": (z,), "encode": (image,), "encode_text": (ids,)}


def differences(found: Runtime, expected: Runtime, config: ModelConfig) -> dict[str, float]:
    """Largest absolute difference of each network, relative to the largest number where that is above 1."""
    result = {}
    for name, arguments in inputs(config, 3).items():
        a, b = (getattr(runtime, name)(*arguments).float() for runtime in (found, expected))
        result[name] = float((a - b).abs().max() / b.abs().max().clamp(min=1.0))
    return result


def test_fp32_is_torch_within_1e_5_and_any_size(cache: Path, tiny_weights: Path):
    made = candidate(tiny_weights)
    runtime, reference = choose("auto", made), TorchRuntime(made.model)
    assert runtime.name == "openvino"
    assert max(differences(runtime, reference, made.model.config).values()) < 1e-5
    wide = inputs(made.model.config, 2, side=24)["unet"]
    torch.testing.assert_close(runtime.unet(*wide), reference.unet(*wide), atol=2e-5, rtol=1e-5)


def test_bf16_is_as_near_to_fp32_as_torchs_bf16(cache: Path, tiny_weights: Path):
    exact = TorchRuntime(candidate(tiny_weights).model)
    made = candidate(tiny_weights, torch.bfloat16)
    runtime, eager = choose("openvino", made), TorchRuntime(made.model)
    for name, arguments in inputs(made.model.config, 3).items():
        expected = getattr(exact, name)(*arguments)
        distance = relative_distance(getattr(runtime, name)(*arguments), expected)
        assert distance < max(2 * relative_distance(getattr(eager, name)(*arguments), expected), 1e-3), name
        assert distance < TOLERANCE[torch.bfloat16], name


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_row_is_bit_equal_alone_and_in_a_batch(cache: Path, tiny_weights: Path, dtype: torch.dtype):
    made = candidate(tiny_weights, dtype)
    runtime = choose("auto", made)
    check_rows(runtime, made.model.config)


def check_rows(runtime: Runtime, config: ModelConfig) -> None:
    for name, arguments in inputs(config, 8).items():
        together = getattr(runtime, name)(*arguments)
        for first, last in ((0, 1), (3, 4), (7, 8), (2, 4), (1, 6)):
            some = getattr(runtime, name)(*(argument[first:last] for argument in arguments))
            assert torch.equal(some, together[first:last]), f"{name}, rows {first}…{last - 1} of 8"


@pytest.mark.slow
def test_embedded_model_in_both_precisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("openvino")
    monkeypatch.setenv("LATENT_LAB_CACHE", str(tmp_path / "cache"))
    for dtype in DTYPES:
        loaded = load_model(EMBEDDED, dtype=dtype)
        made = Candidate(loaded.model.requires_grad_(False), EMBEDDED, loaded.sha256)
        runtime = choose("openvino", made)
        if dtype == torch.float32:
            assert max(differences(runtime, TorchRuntime(made.model), loaded.config).values()) < 1e-5
        check_rows(runtime, loaded.config)


@pytest.mark.slow
def test_sd_v1_s_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its graphs are traced at a quarter of its size a side and serve the whole."""
    pytest.importorskip("openvino")
    tmp_path.chmod(0o700)
    monkeypatch.setenv("LATENT_LAB_CACHE", str(tmp_path))
    weights = sd_weights(tmp_path)
    dtype = resolve_dtype("auto", torch.device("cpu"))  # bf16 takes minutes on a processor without it
    loaded = load_model(weights, dtype=dtype)
    made = Candidate(loaded.model.requires_grad_(False), weights, loaded.sha256)
    runtime, reference = choose("openvino", made), TorchRuntime(made.model)
    asked = inputs(loaded.config, 1)
    for name in ("unet", "decode", "encode_text"):
        distance = relative_distance(getattr(runtime, name)(*asked[name]), getattr(reference, name)(*asked[name]))
        assert distance < TOLERANCE[dtype], name


START = """
import sys; from pathlib import Path; from tests.runtime.conftest import candidate
from ldm_core.runtime.choose import choose
assert choose("openvino", candidate(Path({!r}))).name == "openvino"
"""


def test_converting_and_starting_open_no_socket(tmp_path: Path, tiny_weights: Path):
    pytest.importorskip("openvino")
    opened, root = tmp_path / "opened", str(Path(__file__).parents[2])
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD.format(path=str(opened)))
    env = {name: value for name, value in os.environ.items() if name != "CI"}  # telemetry is off in CI by itself
    env |= {"PYTHONPATH": f"{tmp_path / 'guard'}:{root}", "HOME": str(tmp_path)}
    env["LATENT_LAB_CACHE"] = str(tmp_path / "cache")
    subprocess.run([sys.executable, "-c", START.format(str(tiny_weights))], env=env, check=True, cwd=root)
    assert not opened.exists(), opened.read_text()
    subprocess.run([sys.executable, "-c", "import openvino"], env=env, check=True)
    if importlib.util.find_spec("openvino_telemetry") is not None:
        assert opened.exists(), "the guard has to see a plain import's telemetry"


SIGNALLED = """
import gc, os, signal, threading
import ldm_core
held = [ldm_core.load({path!r}, runtime="openvino")]
thread = threading.Thread(target=lambda: (held.clear(), gc.collect()))
thread.start()
thread.join()
signal.signal(signal.SIGTERM, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_a_signal_after_another_thread_let_a_model_go_is_survived(cache: Path, tiny_weights: Path):
    code = SIGNALLED.format(path=str(tiny_weights))
    done = subprocess.run([sys.executable, "-c", code], cwd=EMBEDDED.parents[1], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "handled"), done.stderr


def test_failure_in_the_middle_is_told_apart(cache: Path, tiny_weights: Path):
    runtime = choose("auto", candidate(tiny_weights))
    with pytest.raises(RuntimeFailed, match="unet"):
        runtime.unet(torch.zeros(1, 3, 16, 16), torch.zeros(1), torch.zeros(1, 77, 32))


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="room cannot be reserved here")
def test_no_room_for_the_weights_is_a_sentence(tmp_path: Path, tiny_weights: Path):
    """Without room reserved, the first write into the map would end the process by a signal."""
    limited = f"ulimit -f 100; exec {sys.executable} -m ldm_core.runtime.convert {tiny_weights} {tmp_path}"
    done = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (1, "[Errno 27] File too large")
    assert not list(tmp_path.iterdir())


def test_converting_a_file_that_is_no_model_says_so(tmp_path: Path):
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"bad\.safetensors"):
        convert.finish(convert.start(bad, tmp_path))
