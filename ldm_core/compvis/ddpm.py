"""DDPM: diffusion in image space with its losses and its sampler, under the reference's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from ldm_core.compvis.options import DDPMOptions, LambdaLinear
from ldm_core.compvis.published import unet_from
from ldm_core.compvis.weights import LoadReport, init_from_ckpt
from ldm_core.config import AutoencoderConfig, BetaSchedule, ModelConfig, ScheduleConfig, TextConfig, UNetConfig
from ldm_core.diffusion import gaussian
from ldm_core.diffusion.gaussian import Moments, standard_normal
from ldm_core.diffusion.schedule import NoiseSchedule
from ldm_core.losses.diffusion import DiffusionLoss, Log
from ldm_core.models.latent_diffusion import Condition
from ldm_core.models.latent_diffusion import LatentDiffusion as Network
from ldm_core.training.common.ema import LitEma, averaged

Batch = Mapping[str, Any]


class DDPM(Network):
    """The reference's class over our network: in image space the first stage is the identity.

    Options are those of DDPMOptions. Where the reference draws from global randomness, a generator can be given; where
    it prints, `load_report` and the intermediates tell.
    """

    def __init__(self, unet_config: UNetConfig | Mapping[str, Any], **options: Any) -> None:
        o = DDPMOptions(**options)
        pixels = AutoencoderConfig(
            kind="identity", ch_mult=(1,), in_channels=o.channels, out_ch=o.channels, embed_dim=o.channels
        )
        self._build(o, unet_from(unet_config), pixels, None, 1.0)

    def _build(
        self,
        o: DDPMOptions,
        unet: UNetConfig,
        first_stage: AutoencoderConfig,
        text: TextConfig | None,
        scale_factor: float,
    ) -> None:
        config = ModelConfig(
            name=type(self).__name__,
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
        self.register_load_state_dict_pre_hook(_published_names)  # type: ignore[no-untyped-call]
        self.load_report: LoadReport | None = None
        if o.ckpt_path is not None:
            self.load_report = self.init_from_ckpt(o.ckpt_path, o.ignore_keys, o.load_only_unet)
        self.model_ema = LitEma(self.model) if o.use_ema else None

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
        config = ScheduleConfig(
            beta_schedule,
            timesteps,
            linear_start,
            linear_end,
            cosine_s,
            self.options.v_posterior,
            betas,
        )
        self.config = replace(self.config, schedule=config)
        self._set_schedule(NoiseSchedule.from_config(config))

    def _set_schedule(self, schedule: NoiseSchedule) -> None:
        self.schedule, self.num_timesteps = schedule, schedule.num_timesteps
        device = self.betas.device
        for name, value in schedule.buffers().items():
            self.register_buffer(name, value.to(device))
        self.loss = DiffusionLoss(self.options.loss, schedule, self.parameterization).to(device)

    @property
    def lvlb_weights(self) -> Tensor:
        """Weights of the bound's terms [T], as published unless the option says otherwise."""
        return self.loss.lvlb_weights

    @property
    def logvar(self) -> Tensor:
        """Log-variance of the loss at each t [T]; a parameter that is trained where learn_logvar is set."""
        return self.loss.logvar

    def adopt(self, state: dict[str, Any], prefix: str) -> None:
        """Published names in a state dict about to be loaded that mean something else here: logvar lies in the loss."""
        if prefix + "logvar" in state:
            state[prefix + "loss.logvar"] = state.pop(prefix + "logvar")

    def init_from_ckpt(self, path: Any, ignore_keys: Sequence[str] = (), only_model: bool = False) -> LoadReport:
        """Weights of a checkpoint file, of the UNet alone if only_model; says what was ignored, missing, unexpected."""
        if only_model:
            return init_from_ckpt(self.model, path, ignore_keys, prefix="model.")
        return init_from_ckpt(self, path, ignore_keys)

    def ema_scope(self) -> AbstractContextManager[object]:
        """Run the body on the averaged weights, where there are any."""
        return averaged(self.model_ema, self.model) if self.model_ema is not None else nullcontext()

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
        """x [B,C,h,w], t [B] → the network's word for x; with use_positional_encodings it also sees where it is."""
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
        """AdamW, and the learning-rate schedule of scheduler_config (its published form or its params alone)."""
        optimizer = torch.optim.AdamW(self.trained_parameters(), lr=lr)
        config = self.options.scheduler_config
        if config is None:
            return optimizer, None
        return optimizer, LambdaLR(optimizer, LambdaLinear(**config.get("params", config)))

    # -- reverse process -------------------------------------------------------------------------------------------

    def p_mean_variance(self, x: Tensor, t: Tensor, clip_denoised: bool, cond: Condition = None) -> Moments:
        """Mean, variance, log-variance of p(x_{t−1} | x_t), the estimate of x_0 clipped to [-1,1] if asked."""
        x_recon = gaussian.predict_start(self, self.parameterization, x, t, self.apply_model(x, t, cond))
        return self.q_posterior(x_recon.clamp(-1.0, 1.0) if clip_denoised else x_recon, x, t)

    @torch.no_grad()
    def p_sample(
        self,
        x: Tensor,
        t: Tensor,
        clip_denoised: bool = True,
        repeat_noise: bool = False,
        cond: Condition = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """One step from t to t − 1 (Ho et al. 2020, alg. 2); at t = 0 no noise is added, though it is drawn."""
        mean, _, log_variance = self.p_mean_variance(x, t, clip_denoised, cond)
        noise = standard_normal(x, generator, repeat_noise)
        some = (t != 0).float().view(-1, *[1] * (x.ndim - 1))
        return mean + some * (0.5 * log_variance).exp() * noise

    @torch.no_grad()
    def p_sample_loop(
        self,
        shape: Sequence[int],
        return_intermediates: bool = False,
        cond: Condition = None,
        generator: torch.Generator | None = None,
    ) -> Any:
        """All T steps from noise [B,C,h,w]; with intermediates also the noise and every log_every_t-th x."""
        x = standard_normal(self.betas.new_empty(tuple(shape)), generator)
        intermediates = [x]
        for i in reversed(range(self.num_timesteps)):
            t = torch.full((shape[0],), i, device=x.device)
            x = self.p_sample(x, t, self.clip_denoised, cond=cond, generator=generator)
            if i % self.log_every_t == 0 or i == self.num_timesteps - 1:
                intermediates.append(x)
        return (x, intermediates) if return_intermediates else x

    def sample(
        self,
        batch_size: int = 16,
        return_intermediates: bool = False,
        cond: Condition = None,
        generator: torch.Generator | None = None,
    ) -> Any:
        """p_sample_loop for `batch_size` samples of the model's own size."""
        shape = (batch_size, self.channels, self.image_size, self.image_size)
        return self.p_sample_loop(shape, return_intermediates, cond, generator)


def _published_names(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    assert isinstance(module, DDPM)
    module.adopt(state, prefix)


def positions(x: Tensor) -> Tensor:
    """Two channels [B,2,h,w]: how far right and how far down each cell lies, -1 … 1."""
    b, _, h, w = x.shape
    down = torch.linspace(-1.0, 1.0, h).view(1, 1, h, 1).expand(b, 1, h, w)
    right = torch.linspace(-1.0, 1.0, w).view(1, 1, 1, w).expand(b, 1, h, w)
    return torch.cat([right, down], dim=1).to(x)
