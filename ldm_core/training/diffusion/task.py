"""Training the UNet on latents of a frozen autoencoder (Rombach et al. 2022, eq. 3), text by a frozen encoder."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import count, takewhile
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from ldm_core.data.corpus import Corpus
from ldm_core.diffusion.denoiser import Conditioning, Denoiser
from ldm_core.diffusion.sample_loop import finish, sample_loop, start_row
from ldm_core.diffusion.schedule import NoiseSchedule
from ldm_core.images import Pixels, picture_grid, to_uint8
from ldm_core.losses.diffusion import DiffusionLoss, bin_means
from ldm_core.models.attention import cross_attention_maps
from ldm_core.models.first_stage import FirstStage
from ldm_core.models.latent_diffusion import DiffusionWrapper
from ldm_core.sampling import SamplingParams
from ldm_core.training.common.distributed import own_share
from ldm_core.training.common.ema import LitEma, ema_scope
from ldm_core.training.common.frozen_parts import declared_scale_factor, find_run, load_autoencoder
from ldm_core.training.common.inputs import Inputs
from ldm_core.training.common.loop import optimize
from ldm_core.training.common.muon import Muon
from ldm_core.training.common.prefetch import default_workers, prefetch
from ldm_core.training.common.task import Task
from ldm_core.training.common.weights import declared_config, load_part
from ldm_core.training.diffusion.batches import Batch, BatchSource, caption_rows, drawing_batches
from ldm_core.training.diffusion.conditions import Condition, EncodedText, make_condition
from ldm_core.training.diffusion.grounding import grounding_loss
from ldm_core.training.diffusion.latents import open_cache
from ldm_core.training.diffusion.scene_pool import scene_batches
from ldm_core.training.diffusion.settings import DiffusionTraining

GROUNDED = 0.75  # share of the noise levels, from the clean end, at which words are held to their things


@torch.no_grad()
def initialise(unet: nn.Module) -> None:
    """CompVis' start: each block's last layer and the output are zero (Dhariwal & Nichol's zero_module).

    Convolutions on the skip path keep a signal's size, where torch's default shrinks it by √3 each time.
    """
    for name, parameter in unet.named_parameters():
        if any(part in name for part in (".out_layers.3.", ".proj_out.", "diffusion_model.out.2.")):
            parameter.zero_()
        elif parameter.ndim == 4:
            nn.init.kaiming_normal_(parameter, nonlinearity="linear")


def inner_matrices(unet: nn.Module) -> list[nn.Parameter]:
    """Weights of two axes or more between the first convolution and the last: what Muon is for."""
    ends = ("diffusion_model.input_blocks.0.", "diffusion_model.out.")
    return [p for name, p in unet.named_parameters() if p.ndim >= 2 and not name.startswith(ends)]


class DiffusionTask(Task):
    """One step: draw rows by concept, a background, a caption, a noise level; predict; weigh; update."""

    def __init__(
        self,
        settings: DiffusionTraining,
        batches: BatchSource,
        condition: Condition,
        decoder: FirstStage,
        accelerator: Accelerator,
    ) -> None:
        """decoder turns sampled latents into pictures; it is neither trained nor saved here."""
        self.settings, self.batches, self.accelerator = settings, batches, accelerator
        self.condition, self.decoder = condition, decoder
        config = settings.model
        own_share(accelerator).of(settings.loop.batch)  # says now whether the batch can be shared
        torch.manual_seed(settings.loop.seed)
        self.schedule = NoiseSchedule.from_config(config.schedule)
        self._coming: Iterator[Batch] = iter(())
        self._expected = -1  # the step that `_coming` goes on with
        self.unet = DiffusionWrapper(config.unet, config.conditioning_key)
        initialise(self.unet)
        if accelerator.device.type == "cuda":  # on CPUs fp32 convolutions are faster as they are
            self.unet = self.unet.to(memory_format=torch.channels_last)
        self.model: nn.Module = accelerator.prepare(self.unet)
        self.loss = DiffusionLoss(settings.loss, self.schedule, config.parameterization).to(accelerator.device)
        self.parameters = [p for m in (self.unet, self.loss) for p in m.parameters() if p.requires_grad]
        self.networks: dict[str, nn.Module] = {"model": self.unet, "loss": self.loss}
        self.optimizers = self._optimizers()
        self.averages = {"model": LitEma(self.unet, settings.loop.ema_decay)}

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        s, matrices = self.settings, inner_matrices(self.unet) if self.settings.optimizer == "muon" else []
        taken = {id(p) for p in matrices}
        rest = [p for p in self.parameters if id(p) not in taken]
        adam = torch.optim.AdamW(rest, s.loop.lr, s.betas, weight_decay=s.weight_decay, fused=True)
        if not matrices:
            return {"unet": adam}
        return {"unet": adam, "muon": Muon(matrices, s.loop.lr, weight_decay=s.weight_decay)}

    def batch(self, step: int) -> Batch:
        """The step's share, drawn ahead by other processes where the settings or a GPU ask for that."""
        if step != self._expected:
            self._coming = self._from(step)
        self._expected = step + 1
        batch = next(self._coming, None)
        if batch is None:  # they ended where a chunk was missing, which is there now
            self._coming = self._from(step)
            batch = next(self._coming)
        return batch

    def _from(self, step: int) -> Iterator[Batch]:
        """The shares of a step and the next ones, up to the first that is missing something."""
        workers = self.settings.workers
        if workers is None:
            workers = default_workers(self.accelerator.device, self.accelerator.num_processes)
        return prefetch(self.batches, takewhile(lambda n: self.missing(n) is None, count(step)), workers)

    def missing(self, step: int) -> str | None:
        """The chunk of composed scenes that the step would wait for."""
        return self.batches.missing(step)

    def on_device(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A batch where the network is: latents z, context, timesteps, noise."""
        device = self.accelerator.device
        with self.accelerator.autocast():
            context = self.condition(batch.cond)
        z = batch.z.to(device, memory_format=torch.channels_last, non_blocking=True)
        return z, context, batch.t.to(device, non_blocking=True), batch.noise.to(device, non_blocking=True)

    def step(self, step: int) -> Mapping[str, Tensor | float]:
        """One update."""
        loop = self.settings.loop
        batch = self.batch(step)
        z, context, t, noise = self.on_device(batch)
        grounded = self.settings.grounding_weight > 0 and batch.owner is not None
        with self.accelerator.autocast(), cross_attention_maps(self.unet, grounded) as maps:
            out = self.model(self.loss.q_sample(z, t, noise), t, c_crossattn=[context])
        loss, log = self.loss(out, z, t, noise)
        if grounded:
            grounding = self._grounding(maps.values(), batch)
            loss = loss + self.settings.grounding_weight * grounding
            log = {**log, "train/grounding": grounding.detach()}
        unprepared = list(self.loss.parameters())
        norm = optimize(self.accelerator, loss, self.parameters, [*self.optimizers.values()], loop.clip, unprepared)
        self.averages["model"].update(self.unet)
        return {**log, "grad_norm": norm}

    def _grounding(self, maps: Collection[Tensor], batch: Batch) -> Tensor:
        """TokenCompose's loss over the rows below t = GROUNDED·T; above, noise hides where a thing will be."""
        assert batch.owner is not None and batch.words is not None
        device, known = self.accelerator.device, batch.t < GROUNDED * self.schedule.num_timesteps
        return grounding_loss(maps, batch.owner.to(device), batch.words.to(device), known.to(device))

    @torch.no_grad()
    def validate(self, step: int) -> Mapping[str, float]:
        """Averaged weights on held-out rows, always the same noise: the losses, and the error by noise level."""
        with ema_scope(self.averages["model"], self.unet):
            return {k: v for name, held in self.batches.validation() for k, v in self._errors(name, held).items()}

    def _errors(self, name: str, batches: Iterable[Batch]) -> Mapping[str, float]:
        """The losses of a set of batches, under the set's name."""
        errors, levels, sums = [], [], dict[str, float]()
        for batch in batches:
            z, context, t, noise = self.on_device(batch)
            out = self.unet(self.loss.q_sample(z, t, noise), t, c_crossattn=[context])
            _, log = self.loss(out, z, t, noise, split=name)
            for key, value in log.items():
                sums[key] = sums.get(key, 0.0) + float(value) * len(z)
            errors.append(self.loss.per_sample(out, z, t, noise))
            levels.append(t)
        bins = bin_means(torch.cat(errors), torch.cat(levels), self.schedule.num_timesteps)
        n = sum(len(e) for e in errors)
        return {**{k: v / n for k, v in sums.items()}, **{f"{name}/{b}": value for b, value in bins.items()}}

    @torch.no_grad()
    def sample(self) -> Pixels | None:
        """The example prompts, with the averaged weights, always from the same noise."""
        s, config, shape = self.settings, self.settings.model, self.batches.latent_shape
        contexts, empty = (self.condition(self.condition.read(p)) for p in (s.prompts, [""]))
        scale = config.default_guidance if s.guidance_scale is None else s.guidance_scale
        grid, params = self.schedule.grid("uniform", s.sample_steps), SamplingParams("", batch=len(contexts))
        rows = [
            start_row(params.image(k), grid, Conditioning(context, empty[0], scale), shape)
            for k, context in enumerate(contexts)
        ]
        with ema_scope(self.averages["model"], self.unet):
            denoise = Denoiser(
                lambda x, t, context: self.unet(x, t, c_crossattn=[context]),
                self.schedule,
                s.parameterization,
                contexts.device,
            )
            z = finish(sample_loop(denoise, rows))
        z = z.to(self.accelerator.device) / self.batches.scale_factor
        images = torch.cat([self.decoder.decode(part) for part in torch.split(z, 4)])
        return picture_grid(to_uint8(images), columns=4)

    def init_from(self, path: Path) -> None:
        """Start from a weights file's UNet, its average included; ValueError where it predicts something else."""
        load_part(path, "model.", self.unet)
        found, own = declared_config(path).get("parameterization"), self.settings.parameterization
        if found not in (None, own):
            raise ValueError(f"{path} predicts {found} and this run {own}: set parameterization={found}")
        self.averages["model"] = LitEma(self.unet, self.settings.loop.ema_decay)


def build(settings: DiffusionTraining, inputs: Inputs, accelerator: Accelerator) -> DiffusionTask:
    """The UNet's task, on composed scenes where the inputs have them, else on cached latents of single drawings.

    ValueError where a frozen part, the corpus or the latents are missing.
    """
    device = accelerator.device
    decoder = load_autoencoder(find_run(inputs.autoencoder), settings.model.first_stage).to(device)
    condition = make_condition(settings.model, inputs.text, device)
    if inputs.scenes:
        condition = EncodedText(condition, device)
        batches: BatchSource = scene_batches(settings, inputs, accelerator)
    else:
        rows = caption_rows(Corpus(inputs.corpus), settings.tone_power)
        cache, declared = open_cache(inputs.latents_dir), declared_scale_factor(find_run(inputs.autoencoder))
        cache = cache if declared is None else replace(cache, scale_factor=declared)  # as export will write it
        batches = drawing_batches(settings, cache, rows, condition, accelerator)
    task = DiffusionTask(settings, batches, condition, decoder, accelerator)
    if inputs.init:
        task.init_from(inputs.init)
    return task
