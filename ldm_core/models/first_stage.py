"""Which first stage a config means."""

from __future__ import annotations

from torch import Tensor, nn

from ldm_core.config import AutoencoderConfig
from ldm_core.models.autoencoder import AutoencoderKL
from ldm_core.models.distribution import PointPosterior
from ldm_core.models.vq import VQModelInterface


class IdentityFirstStage(nn.Module):
    """No first stage: the latent is the image, and diffusion works on pixels."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config

    def encode(self, image: Tensor) -> PointPosterior:
        """Image [B,C,H,W] → itself."""
        return PointPosterior(image)

    def decode(self, z: Tensor) -> Tensor:
        """[B,C,H,W] → itself."""
        return z


FirstStage = AutoencoderKL | VQModelInterface | IdentityFirstStage
FIRST_STAGES: dict[str, type[AutoencoderKL] | type[VQModelInterface] | type[IdentityFirstStage]] = {
    "kl": AutoencoderKL,
    "vq": VQModelInterface,
    "identity": IdentityFirstStage,
}


def make_first_stage(config: AutoencoderConfig) -> FirstStage:
    """The network of `config.kind`, with an encode that gives a posterior and a decode that takes its samples."""
    return FIRST_STAGES[config.kind](config)
