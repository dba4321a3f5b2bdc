"""CompVis' AutoencoderKL and VQModel with their training steps, as adapters over our networks and losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ldm_core.compvis.configs import network_from
from ldm_core.compvis.registry import instantiate_from_config
from ldm_core.compvis.weights import LoadReport, init_from_ckpt
from ldm_core.config import AutoencoderConfig
from ldm_core.losses.autoencoder import AdversarialLoss, Log, Reconstruction
from ldm_core.models.autoencoder import AutoencoderKL as KLNetwork
from ldm_core.models.autoencoder import Decoder
from ldm_core.models.vq import VQModel as VQNetwork

Batch = Mapping[str, Any]
LossConfig = Mapping[str, Any] | nn.Module
Loss = tuple[Tensor, Log]
# options of CompVis' VQModel that may be given and must keep their defaults
VQ_FIXED = {"batch_resize_range": None, "scheduler_config": None, "lr_g_factor": 1.0, "use_ema": False}
VQ_FIXED |= {"remap": None, "sane_index_shape": False}


@dataclass(frozen=True)
class AutoencoderOptions:
    """What both kinds take beside their network and loss: CompVis' names and defaults; below the line, ours."""

    ckpt_path: str | Path | None = None
    ignore_keys: Sequence[str] = ()
    image_key: str = "image"
    colorize_nlabels: int | None = None
    monitor: str | None = None
    # ours
    learning_rate: float = 4.5e-6
    generator: torch.Generator | None = None  # draws colours, latents, samples
    cond_key: str | None = None  # where a batch keeps what a conditional discriminator sees, which CompVis never gives

    def __post_init__(self) -> None:
        labels = self.colorize_nlabels
        if labels is not None and (type(labels) is not int or labels < 1):
            raise ValueError(f"colorize_nlabels is a number of labels, not {labels!r}")


class AutoencoderAdapter(nn.Module):
    """What both kinds share. The caller owns the loop: it counts `global_step` and steps the optimizers.

    What CompVis' classes hand to their trainer's logger lies in `logged`, the latest value of each name.
    """

    colorize: Tensor
    decoder: Decoder
    trained: tuple[str, ...] = ("encoder", "decoder", "quant_conv", "post_quant_conv")  # what the first optimizer moves

    def _prepare(self, lossconfig: LossConfig, o: AutoencoderOptions) -> None:
        self.loss: nn.Module = lossconfig if isinstance(lossconfig, nn.Module) else instantiate_from_config(lossconfig)
        self.image_key, self.cond_key, self.monitor = o.image_key, o.cond_key, o.monitor
        self.learning_rate, self.generator = o.learning_rate, o.generator
        self.global_step = 0
        self.logged: dict[str, Tensor] = {}
        if o.colorize_nlabels is not None:
            self._register_colours(o.colorize_nlabels)
        self.load_report: LoadReport | None = None
        if o.ckpt_path is not None:
            self.init_from_ckpt(o.ckpt_path, o.ignore_keys)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def init_from_ckpt(self, path: str | Path, ignore_keys: Sequence[str] = ()) -> LoadReport:
        """Weights from a file, without the names that begin with one of ignore_keys; says what did not match."""
        self.load_report = init_from_ckpt(self, path, ignore_keys)
        return self.load_report

    def get_input(self, batch: Batch, k: str) -> Tensor:
        """batch[k] [B,H,W,C] or [B,H,W] → float [B,C,H,W], contiguous, on the model's device."""
        x = torch.as_tensor(batch[k])
        if x.ndim == 3:
            x = x[..., None]
        if x.ndim != 4:
            raise ValueError(f"batch[{k!r}] must be [B,H,W,C] or [B,H,W], not of shape {tuple(x.shape)}")
        return x.permute(0, 3, 1, 2).float().contiguous().to(self.device)

    def _inputs(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """What is reconstructed, and what a conditional discriminator sees beside it."""
        cond = None if self.cond_key is None else self.get_input(batch, self.cond_key)
        return self.get_input(batch, self.image_key), cond

    def log(self, name: str, value: Tensor) -> None:
        """Keep a figure."""
        self.logged[name] = value.detach()

    def log_dict(self, values: Mapping[str, Tensor]) -> None:
        """Keep several figures."""
        for name, value in values.items():
            self.log(name, value)

    def _pass(self, inputs: Tensor) -> tuple[Tensor, Any]:
        """Reconstruction, and the latents as the loss takes them."""
        raise NotImplementedError

    def _loss(self, inputs: Tensor, seen: tuple[Tensor, Any], cond: Tensor | None, player: int, split: str) -> Loss:
        """One player's loss of a pass, and its log."""
        assert isinstance(self.loss, AdversarialLoss)
        made = Reconstruction(inputs, *seen, cond)
        return self.loss.player_loss(player, made, self.global_step, self.decoder.conv_out.weight, split)

    def training_step(self, batch: Batch, batch_idx: int, optimizer_idx: int) -> Tensor:
        """Loss of the autoencoder (optimizer_idx 0, logged as aeloss) or of the discriminator (1, discloss).

        As in CompVis' code, each call runs the autoencoder anew; the training command saves the second pass.
        """
        del batch_idx
        if optimizer_idx not in (0, 1):
            raise ValueError(f"optimizer_idx must be 0 (autoencoder) or 1 (discriminator), not {optimizer_idx}")
        inputs, cond = self._inputs(batch)
        loss, log = self._loss(inputs, self._pass(inputs), cond, optimizer_idx, "train")
        self.log("aeloss" if optimizer_idx == 0 else "discloss", loss)
        self.log_dict(log)
        return loss

    @torch.no_grad()
    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """val/rec_loss and every other term of both losses, logged and returned. No gradients, so d_weight is 0."""
        del batch_idx
        inputs, cond = self._inputs(batch)
        seen = self._pass(inputs)
        log = {**self._loss(inputs, seen, cond, 0, "val")[1], **self._loss(inputs, seen, cond, 1, "val")[1]}
        self.log_dict(log)
        return log

    def configure_optimizers(self) -> tuple[list[torch.optim.Adam], list[Any]]:
        """Adam for the autoencoder, Adam for the discriminator, betas (0.5, 0.9); and no schedulers.

        CompVis' code calls logvar learned but gives it to no optimizer; here it is in the first one where the
        loss's learn_logvar says so.
        """
        ae: list[nn.Parameter] = [p for name in self.trained for p in self.get_submodule(name).parameters()]
        logvar = getattr(self.loss, "logvar", None)
        ae += [logvar] if isinstance(logvar, nn.Parameter) and logvar.requires_grad else []
        players = (ae, list(self.loss.get_submodule("discriminator").parameters()))
        return [torch.optim.Adam(p, lr=self.learning_rate, betas=(0.5, 0.9)) for p in players], []

    def train_batch(self, batch: Batch, optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, Tensor]:
        """One step of both players, as CompVis' trainer takes it: autoencoder first. Returns what was logged."""
        for index, optimizer in enumerate(optimizers):
            loss = self.training_step(batch, self.global_step, index)
            if loss.requires_grad:  # before disc_start the discriminator has nothing to learn
                optimizer.zero_grad(set_to_none=True)
                torch.autograd.backward(loss)
                optimizer.step()
        self.global_step += 1
        return dict(self.logged)

    @torch.no_grad()
    def log_images(self, batch: Batch, only_inputs: bool = False, **_options: Any) -> dict[str, Tensor]:
        """inputs, reconstructions and (KL) samples from the prior, [B,3,H,W]; more than three channels are coloured."""
        x = self.get_input(batch, self.image_key)
        pictures = {"inputs": x}
        if not only_inputs:
            pictures |= self._pictures(x)
        # CompVis' code leaves samples, and the inputs alone, in their many channels
        return {name: self.to_rgb(p) if p.shape[1] > 3 else p for name, p in pictures.items()}

    def _pictures(self, x: Tensor) -> dict[str, Tensor]:
        raise NotImplementedError

    def to_rgb(self, x: Tensor) -> Tensor:
        """Label maps [B,K,H,W] → a random colour per label, stretched to [-1,1] over the batch: [B,3,H,W]."""
        if self.image_key != "segmentation":
            raise ValueError(f"only a segmentation is coloured, and image_key is {self.image_key!r}")
        if not hasattr(self, "colorize"):
            self._register_colours(x.shape[1])
        coloured = F.conv2d(x, self.colorize.to(x))
        low, high = coloured.min(), coloured.max()
        return 2.0 * (coloured - low) / (high - low).clamp_min(1e-12) - 1.0

    def _register_colours(self, labels: int) -> None:
        self.register_buffer("colorize", torch.randn(3, labels, 1, 1, generator=self.generator))


class AutoencoderKLAdapter(AutoencoderAdapter, KLNetwork):
    """CompVis' class over our network: encode, decode and forward are the network's own."""

    def __init__(
        self,
        ddconfig: AutoencoderConfig | Mapping[str, Any],
        lossconfig: LossConfig,
        embed_dim: int = 4,
        **options: Any,
    ) -> None:
        """ddconfig: CompVis' dictionary; double_z must be true. Options are those of AutoencoderOptions."""
        o = AutoencoderOptions(**options)
        KLNetwork.__init__(self, _network_config(ddconfig, kind="kl", embed_dim=embed_dim))
        self.embed_dim = self.config.embed_dim
        self._prepare(lossconfig, o)

    def _pass(self, inputs: Tensor) -> tuple[Tensor, Any]:
        return self(inputs, generator=self.generator)

    def _pictures(self, x: Tensor) -> dict[str, Tensor]:
        reconstructions, posterior = self(x, generator=self.generator)
        where = self.device if self.generator is None else self.generator.device
        noise = torch.randn(posterior.mean.shape, generator=self.generator, device=where).to(self.device)
        return {"reconstructions": reconstructions, "samples": self.decode(noise)}


class VQModelAdapter(AutoencoderAdapter, VQNetwork):
    """The VQ type with the same steps; its first optimizer trains the codebook too."""

    trained = (*AutoencoderAdapter.trained, "quantize")

    def __init__(
        self,
        ddconfig: AutoencoderConfig | Mapping[str, Any],
        lossconfig: LossConfig,
        n_embed: int = 0,
        embed_dim: int = 4,
        *,
        legacy: bool = True,
        **options: Any,
    ) -> None:
        """ddconfig: CompVis' dictionary, with double_z false. Options are those of AutoencoderOptions and VQ_FIXED.

        legacy is CompVis' codebook loss, where β weighs the codebook instead of the commitment to it; False is that of
        van den Oord et al. (2017, eq. 3).
        """
        known = {f.name for f in fields(AutoencoderOptions)}
        for name in options.keys() - known:
            value = options.pop(name)
            if name not in VQ_FIXED or value != VQ_FIXED[name]:
                raise ValueError(f"VQModel takes no {name} = {value!r} here")
        VQNetwork.__init__(self, _network_config(ddconfig, kind="vq", embed_dim=embed_dim, n_embed=n_embed))
        self.quantize.legacy = legacy
        self.embed_dim, self.n_embed = self.config.embed_dim, self.config.n_embed
        self._prepare(lossconfig, AutoencoderOptions(**options))

    def _pass(self, inputs: Tensor) -> tuple[Tensor, Any]:
        return self(inputs)

    def _pictures(self, x: Tensor) -> dict[str, Tensor]:
        return {"reconstructions": self(x)[0]}


def _network_config(ddconfig: AutoencoderConfig | Mapping[str, Any], kind: str, **own: Any) -> AutoencoderConfig:
    return ddconfig if isinstance(ddconfig, AutoencoderConfig) else network_from(kind, ddconfig, **own)


# CompVis' names, by which its users and its configuration files ask for them
AutoencoderKL, VQModel = AutoencoderKLAdapter, VQModelAdapter
