"""CompVis' DDPM: diffusion in image space with its losses; its sampler is in ancestral.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from ldm_core.compvis.ancestral import AncestralSampling
from ldm_core.compvis.configs import unet_from
from ldm_core.compvis.options import DDPMOptions, LambdaLinear
from ldm_core.compvis.weights import LoadReport, init_from_ckpt, take_averages
from ldm_core.config import AutoencoderConfig, BetaSchedule, ModelConfig, ScheduleConfig, TextConfig, UNetConfig
from ldm_core.diffusion import gaussian
from ldm_core.diffusion.gaussian import Moments, standard_normal
from ldm_core.diffusion.schedule import NoiseSchedule
from ldm_core.losses.diffusion import DiffusionLoss, Log
from ldm_core.models.latent_diffusion import Condition
from ldm_core.models.latent_diffusion import LatentDiffusion as Network
from ldm_core.training.common.ema import LitEma, ema_scope

Batch = Mapping[str, Any]
LINEAR = "ldm.lr_scheduler.LambdaLinearScheduler"


class DDPM(AncestralSampling, Network):
    """CompVis' class over our network: in image space the first stage is the identity.

    Options are those of DDPMOptions. Where CompVis' code draws from global randomness, a generator can be given; where
    it prints, `load_report` and the intermediates tell.
    """

    weighs_by_logvar = False  # the base class keeps a logvar, trains it if asked, and never reads it

    def __init__(self, unet_config: UNetConfig | Mapping[str, Any], **options: Any) -> None:
        o = DDPMOptions(**options)
        pixels = AutoencoderConfig(
            kind="identity", ch_mult=(1,), in_channels=o.channels, out_ch=o.channels, embed_dim=o.channels
        )
        self._build(o, unet_from(unet_config), pixels, None, 1.0)
        self._load_checkpoint()

    def _build(
        self,
        o: DDPMOptions,
        unet: UNetConfig,
        first_stage: AutoencoderConfig,
        text: TextConfig | None,
        scale_factor: float,
    ) -> None:
        config = ModelConfig(
            name=type(self).__name__.removesuffix("Adapter"),
            first_stage=first_stage,
            unet=unet,
            text=text,
            schedule=o.schedule,
            scale_factor=scale_factor,
            image_size=o.image_size * first_stage.downsampling,
            parameterization=o.parameterization,
            conditioning_key=o.conditioning_key,
        )
        super().__init__(config)
        self.options, self.parameterization = o, o.parameterization
        self.clip_denoised, self.log_every_t = o.clip_denoised, o.log_every_t
        self.first_stage_key, self.monitor = o.first_stage_key, o.monitor
        self.image_size, self.channels = o.image_size, o.channels
        self.use_ema, self.use_scheduler = o.use_ema, o.scheduler_config is not None
        self._set_schedule(self.schedule)
        self.register_load_state_dict_pre_hook(_load_pre_hook)  # type: ignore[no-untyped-call]
        self.register_state_dict_post_hook(_state_dict_hook)  # type: ignore[no-untyped-call]
        self.load_report: LoadReport | None = None
        self.model_ema = LitEma(self.model) if o.use_ema else None

    def _load_checkpoint(self) -> None:
        """Weights of ckpt_path, once every part is in place."""
        o = self.options
        if o.ckpt_path is not None:
            self.load_report = self.init_from_ckpt(o.ckpt_path, o.ignore_keys, o.load_only_unet)

    # -- schedule and weights --------------------------------------------------------------------------------------

    def register_schedule(
        self,
        given_betas: Sequence[float] | None = None,
        beta_schedule: BetaSchedule = "linear",
        timesteps: int = 1000,
        linear_start: float = 1e-4,
        linear_end: float = 2e-2,
        cosine_s: float = 8e-3,
    ) -> None:
        """Put another schedule in place: all named buffers, lvlb_weights, and the loss that reads them."""
        betas = None if given_betas is None else tuple(float(b) for b in given_betas)
        v_posterior = self.options.v_posterior
        config = ScheduleConfig(beta_schedule, timesteps, linear_start, linear_end, cosine_s, v_posterior, betas)
        self.config = replace(self.config, schedule=config)
        self._set_schedule(NoiseSchedule.from_config(config))

    def _set_schedule(self, schedule: NoiseSchedule) -> None:
        self.schedule, self.num_timesteps = schedule, schedule.num_timesteps
        device = self.betas.device
        for name, value in schedule.buffers().items():
            self.register_buffer(name, value.to(device))
        o = self.options
        weighing = o.loss if self.weighs_by_logvar else replace(o.loss, learn_logvar=False, logvar_init=0.0)
        self.loss = DiffusionLoss(weighing, schedule, self.parameterization).to(device)
        if not self.weighs_by_logvar:
            kept = torch.full((schedule.num_timesteps,), o.logvar_init, device=device)
            self.loss.logvar = nn.Parameter(kept, requires_grad=o.learn_logvar)

    @property
    def lvlb_weights(self) -> Tensor:
        """Weights of the bound's terms [T], as CompVis' code has them unless the option says otherwise."""
        return self.loss.lvlb_weights

    @property
    def logvar(self) -> Tensor:
        """Log-variance of the loss at each t [T]; a parameter that is trained where learn_logvar is set."""
        return self.loss.logvar

    def translate_state(self, state: dict[str, Any], prefix: str) -> None:
        """CompVis' names in a state dict about to be loaded that lie elsewhere here: logvar, and the averaged weights.

        Where the state dict has no averages, those of this model begin anew from the weights it brings.
        """
        state[prefix + "loss.logvar"] = state.pop(prefix + "logvar", self.logvar.detach())
        if self.model_ema is not None:
            take_averages(self.model_ema, state, prefix)

    def init_from_ckpt(self, path: Any, ignore_keys: Sequence[str] = (), only_model: bool = False) -> LoadReport:
        """Weights of a checkpoint file, of the UNet alone if only_model; says what was ignored, missing, unexpected."""
        if not only_model:
            return init_from_ckpt(self, path, ignore_keys)
        report = init_from_ckpt(self.model, path, ignore_keys, prefix="model.")
        self.model_ema = LitEma(self.model) if self.model_ema is not None else None
        return report

    def ema_scope(self) -> AbstractContextManager[object]:
        """Run the body on the averaged weights, where there are any."""
        return ema_scope(self.model_ema, self.model) if self.model_ema is not None else nullcontext()

    # -- forward process -------------------------------------------------------------------------------------------

    def q_sample(
        self, x_start: Tensor, t: Tensor, noise: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """x_t for x_start [B,…], t int64 [B]; noise is drawn where it is not given."""
        return gaussian.q_sample(self, x_start, t, standard_normal(x_start, generator) if noise is None else noise)

    def q_mean_variance(self, x_start: Tensor, t: Tensor) -> Moments:
        """Mean, variance, log-variance of q(x_t | x_0)."""
        return gaussian.q_mean_variance(self, x_start, t)

    def predict_start_from_noise(self, x_t: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_0 from x_t and its noise."""
        return gaussian.predict_start_from_noise(self, x_t, t, noise)

    def q_posterior(self, x_start: Tensor, x_t: Tensor, t: Tensor) -> Moments:
        """Mean, variance, clipped log-variance of q(x_{t−1} | x_t, x_0)."""
        return gaussian.q_posterior(self, x_start, x_t, t)

    # -- training --------------------------------------------------------------------------------------------------

    def apply_model(self, x: Tensor, t: Tensor, cond: Condition = None) -> Tensor:
        """x [B,C,h,w], t [B] → the network's output; with use_positional_encodings it also sees where it is."""
        if self.options.use_positional_encodings:
            x = torch.cat([x, positions(x)], dim=1)
        return super().apply_model(x, t, cond)

    def get_loss(self, pred: Tensor, target: Tensor, mean: bool = True) -> Tensor:
        """l1 or l2 between two tensors: their mean, or element by element."""
        difference = pred - target
        error = difference.abs() if self.options.loss_type == "l1" else difference.square()
        return error.mean() if mean else error

    def p_losses(
        self,
        x_start: Tensor,
        t: Tensor,
        noise: Tensor | None = None,
        cond: Condition = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Log]:
        """x_start [B,C,h,w] noised to t [B] → (loss, log of train/… or val/…: loss_simple, loss_vlb, loss)."""
        noise = standard_normal(x_start, generator) if noise is None else noise
        out = self.apply_model(self.q_sample(x_start, t, noise), t, cond)
        loss, log = self.loss(out, x_start, t, noise, "train" if self.training else "val")
        return loss, log

    @torch.no_grad()
    def log_images(
        self, batch: Batch, N: int = 8, n_row: int = 2, sample: bool = True, return_keys: Sequence[str] | None = None
    ) -> dict[str, Tensor]:
        """inputs, diffusion_row and, with `sample`, samples and denoise_row: pictures [B,C,H,W] in about [-1,1].

        A row is n_row pictures at most, one after the other for each: [n_row·rows,C,H,W].
        """
        x = self.get_input(batch, self.first_stage_key)[:N].to(self.betas.device)
        pictures = {"inputs": x, "diffusion_row": self.noised_row(x[:n_row])}
        if sample:
            with self.ema_scope():
                pictures["samples"], steps = self.sample(len(x), return_intermediates=True)
            pictures["denoise_row"] = in_rows(steps, n_row)
        return pictures if return_keys is None else {key: pictures[key] for key in return_keys}

    def noised_row(self, x: Tensor) -> Tensor:
        """x [B,C,h,w] at every log_every_t-th level of noise and at the last: [B·levels,C,h,w]."""
        levels = sorted({*range(0, self.num_timesteps, self.log_every_t), self.num_timesteps - 1})
        return in_rows([self.q_sample(x, torch.full((len(x),), t, device=x.device)) for t in levels], len(x))

    def forward(
        self, x: Tensor, cond: Condition = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Log]:
        """p_losses at timesteps drawn for each sample."""
        device = generator.device if generator else x.device
        t = torch.randint(0, self.num_timesteps, (len(x),), generator=generator, device=device).to(x.device)
        return self.p_losses(x, t, cond=cond, generator=generator)

    def get_input(self, batch: Batch, k: str) -> Any:
        """batch[k] [B,H,W,C] or [B,H,W] → float [B,C,H,W], contiguous."""
        x = torch.as_tensor(batch[k])
        return (x[..., None] if x.ndim == 3 else x).permute(0, 3, 1, 2).float().contiguous()

    def shared_step(self, batch: Batch, generator: torch.Generator | None = None) -> tuple[Tensor, Log]:
        """Loss and log of a batch."""
        return self(self.get_input(batch, self.first_stage_key), generator=generator)

    def training_step(self, batch: Batch, generator: torch.Generator | None = None) -> tuple[Tensor, Log]:
        """Loss and log, names beginning with train/."""
        self.train().on_train_batch_start(batch, generator)
        return self.shared_step(batch, generator)

    def on_train_batch_start(self, batch: Batch, generator: torch.Generator | None = None) -> None:
        """Nothing to prepare in image space."""

    @torch.no_grad()
    def validation_step(self, batch: Batch, generator: torch.Generator | None = None) -> Log:
        """Logs with names val/…, and val/…_ema for the averaged weights; both see the same noise."""
        state = None if generator is None else generator.get_state()
        _, log = self.eval().shared_step(batch, generator)
        if self.model_ema is None:
            return log
        if generator is not None and state is not None:
            generator.set_state(state)
        with self.ema_scope():
            _, ema = self.shared_step(batch, generator)
        return log | {f"{name}_ema": value for name, value in ema.items()}

    def on_train_batch_end(self) -> None:
        """Move the average towards the present weights."""
        if self.model_ema is not None:
            self.model_ema.update(self.model)

    def trained_parameters(self) -> list[nn.Parameter]:
        """What the optimiser moves: the UNet, and logvar where it is learned."""
        return [*self.model.parameters(), *([self.loss.logvar] if self.options.learn_logvar else [])]

    def configure_optimizers(self, lr: float) -> tuple[torch.optim.AdamW, LambdaLR | None]:
        """AdamW, and the learning-rate schedule of scheduler_config (CompVis' form or its params alone).

        Raises ValueError for another of CompVis' schedules: one has the same params and means a cosine by them.
        """
        optimizer = torch.optim.AdamW(self.trained_parameters(), lr=lr)
        config = self.options.scheduler_config
        if config is None:
            return optimizer, None
        if config.get("target", LINEAR) not in (LINEAR, "ldm_core.compvis.options.LambdaLinear"):
            raise ValueError(f"scheduler_config can only be a {LINEAR} here, not {config['target']}")
        return optimizer, LambdaLR(optimizer, LambdaLinear(**config.get("params", config)))


def _load_pre_hook(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    assert isinstance(module, DDPM)
    module.translate_state(state, prefix)


def _state_dict_hook(module: nn.Module, state: dict[str, Any], prefix: str, _metadata: Any) -> None:
    """CompVis' state dict has logvar beside the model, and only where it is learned."""
    assert isinstance(module, DDPM)
    logvar = state.pop(prefix + "loss.logvar")
    if module.options.learn_logvar:
        state[prefix + "logvar"] = logvar


def in_rows(states: Sequence[Tensor], most: int) -> Tensor:
    """n states [B,C,h,w] → each of the first `most` samples' states one after the other: [min(most,B)·n,C,h,w]."""
    return torch.stack([state[:most] for state in states], dim=1).flatten(0, 1)


def positions(x: Tensor) -> Tensor:
    """Two channels [B,2,h,w]: how far right and how far down each cell lies, -1 … 1."""
    b, _, h, w = x.shape
    down = torch.linspace(-1.0, 1.0, h).view(1, 1, h, 1).expand(b, 1, h, w)
    right = torch.linspace(-1.0, 1.0, w).view(1, 1, 1, w).expand(b, 1, h, w)
    return torch.cat([right, down], dim=1).to(x)
