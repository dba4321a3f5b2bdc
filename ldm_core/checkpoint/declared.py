"""What a file says of itself in words and not in shapes: strict loading cannot see it, so it is believed or refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from ldm_core.checkpoint.errors import CheckpointError
from ldm_core.checkpoint.files import Tensors
from ldm_core.config import ModelConfig, Parameterization

PREDICTION_KEYS = ("modelspec.prediction_type", "prediction_type", "parameterization")
PREDICTIONS: dict[str, Parameterization] = {
    "eps": "eps",
    "epsilon": "eps",
    "v": "v",
    "v_prediction": "v",
    "velocity": "v",
    "x0": "x0",
    "sample": "x0",
}
V_KEYS = ("v_pred", "ss_v_parameterization")  # there and not false: a v-prediction model
ZERO_SNR_KEYS = ("ztsnr", "ss_zero_terminal_snr")
SCALE_KEY = "scale_factor"  # CompVis' buffer where `scale_by_std` measured it
FALSE = ("", "0", "false", "no", "none")


def believe(
    name: str,
    tensors: Tensors,
    words: Mapping[str, str],
    config: ModelConfig,
    parameterization: Parameterization | None = None,
) -> tuple[Tensors, ModelConfig, list[str]]:
    """Tensors without markers, the config with what the file declares, notes on what was believed.

    `words` are the header's metadata or what lay beside the weights in a pickle. A `parameterization` given by the
    person who loads wins over the file's. Raises CheckpointError for declarations that cannot be followed here.
    """

    def declares(key: str) -> bool:
        """By a marker, a tensor of no or one element beside the weights, or in words."""
        return key in tensors or _true(words.get(key))

    if zero_snr := [key for key in ZERO_SNR_KEYS if declares(key)]:
        raise CheckpointError(
            f"{name} says it was trained to zero terminal SNR ({', '.join(zero_snr)}), "
            "and such a noise schedule is not read here"
        )
    rest, notes = {key: value for key, value in tensors.items() if key not in V_KEYS}, []
    says_v = any(declares(key) for key in V_KEYS)
    declared = _prediction(name, words, parameterization) or ("v" if says_v else None)
    if parameterization is not None:
        if parameterization != config.parameterization:
            notes.append(f"read as {parameterization}-prediction, as asked for")
        config = replace(config, parameterization=parameterization)
    elif declared is not None and declared != config.parameterization:
        notes.append(f"the file says it predicts {declared}, and is believed")
        config = replace(config, parameterization=declared)
    if (scale := rest.pop(SCALE_KEY, None)) is not None:
        value = _scale(name, scale)
        if not math.isclose(value, config.scale_factor, rel_tol=1e-3):
            notes.append(f"the file's own scale_factor {value:.5g} is used, not {config.scale_factor}")
            config = replace(config, scale_factor=value)
    return rest, config, notes


def contradictions(words: Mapping[str, str], config: ModelConfig) -> list[str]:
    """Keys of a header whose word for the prediction is not what the weights were read as."""
    return [
        key
        for key in PREDICTION_KEYS
        if key in words and PREDICTIONS.get(_plain(words[key])) != config.parameterization
    ]


def _plain(word: str) -> str:
    return word.strip().lower().replace("-", "_")


def _prediction(name: str, words: Mapping[str, str], chosen: Parameterization | None) -> Parameterization | None:
    """What the header or the pickle calls the prediction; a word that is not known matters only if none was chosen."""
    for key in PREDICTION_KEYS:
        word = _plain(words.get(key, ""))
        if word in PREDICTIONS:
            return PREDICTIONS[word]
        if word and chosen is None:
            raise CheckpointError(
                f"{name} says its prediction is {words[key][:80]!r}, which is not known here; "
                f"--parameterization says what it is: {', '.join(dict.fromkeys(PREDICTIONS.values()))}"
            )
    return None


def _scale(name: str, stored: Tensor) -> float:
    value = float(stored) if stored.numel() == 1 and not stored.is_complex() else math.nan
    if not (math.isfinite(value) and value > 0):
        raise CheckpointError(f"{name} has a scale_factor that is not one number above 0")
    return value


def _true(word: str | None) -> bool:
    return word is not None and word.strip().lower() not in FALSE
