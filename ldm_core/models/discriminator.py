"""The PatchGAN discriminator of the autoencoder's loss (Isola et al. 2017, §3.2.2), and its ActNorm."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ActNorm(nn.Module):
    """y = scale·(x + loc) per channel, set by the first training batch to zero mean and unit variance
    (Kingma & Dhariwal 2018, §3.1).
    """

    initialized: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.scale = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.register_buffer("initialized", torch.tensor(0, dtype=torch.uint8))

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,h,w] → [B,C,h,w]."""
        if self.training and not self.initialized:
            self._initialize(x)
        return self.scale * (x + self.loc)

    @torch.no_grad()
    def _initialize(self, x: Tensor) -> None:
        std, mean = torch.std_mean(x, dim=(0, 2, 3), keepdim=True)
        self.loc.copy_(-mean)
        self.scale.copy_(1.0 / (std + 1e-6))
        self.initialized.fill_(1)


class NLayerDiscriminator(nn.Module):
    """Strided 4×4 convolutions; every logit judges one patch. Key names are CompVis' `main.N`."""

    def __init__(self, input_nc: int = 3, ndf: int = 64, n_layers: int = 3, use_actnorm: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(input_nc, ndf, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        width = ndf
        for n in range(1, n_layers + 1):
            before, width = width, ndf * min(2**n, 8)
            stride = 2 if n < n_layers else 1
            norm = ActNorm(width) if use_actnorm else nn.BatchNorm2d(width)
            # batch norm has a bias of its own
            layers += [nn.Conv2d(before, width, 4, stride, padding=1, bias=use_actnorm), norm, nn.LeakyReLU(0.2)]
        layers.append(nn.Conv2d(width, 1, 4, padding=1))
        self.main = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """[B,input_nc,H,W] in [-1,1] → logits [B,1,H',W'], high for real."""
        return self.main(x)


def weights_init(module: nn.Module) -> None:
    """CompVis' initial weights, for `apply`: convolutions N(0, 0.02), batch norm N(1, 0.02) with bias 0."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
