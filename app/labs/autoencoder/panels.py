"""Autoencoder: a picture and its latent, two pictures in one, single channels, and the prior."""

from __future__ import annotations

from typing import Literal

import gradio as gr

from app.i18n import say
from app.labs.common.panels.panel import Lab, Panel
from app.labs.common.panels.pictures import chosen, figures, heat_figure, signed_bar
from app.widgets.events import Updates
from app.widgets.translation import Words

CHANNELS = 4  # of the latent
PRIORS = 4


class PicturesPanel(Panel):
    """A panel whose view is a row of pictures and a sentence."""

    def lay_view(self) -> None:
        """A row of pictures, a sentence under it."""
        self.shown = gr.HTML(elem_id=f"{self.key}-shown")
        self.caption = gr.Markdown(elem_classes="caption")
        self.outputs += [self.shown, self.caption]


class Reconstruction(PicturesPanel):
    """What a picture becomes and what comes back."""

    key = "reconstruction"

    def lay_controls(self) -> None:
        """A picture; noise in multiples of the posterior's deviation, and its seed."""
        self.upload("picture")
        self.slider("posterior_noise", 0, 100, 0, 1)
        self.slider("posterior_seed", 0, 20, 0, 1)

    def lay_view(self) -> None:
        """Pictures and sentence, the latent's channels, KL as a plot."""
        super().lay_view()
        self.channels = gr.HTML(elem_id="latent-channels")
        self.card = self.plot_card(drawn=False)
        self.outputs.append(self.channels)

    def draw(self, lang: str, *, picture: str | None, posterior_noise: float, posterior_seed: float) -> Updates:
        """Original, reconstruction and their distance; PSNR in dB, SSIM, LPIPS and KL in nats."""
        from app.labs.autoencoder.reconstruction import kl_plot, reconstruct
        from app.labs.common.maps import signed

        original, noise, seed = chosen(self.service, picture), float(posterior_noise), int(posterior_seed)
        made = self.service.run_work(lambda pipe: reconstruct(pipe, original, noise, seed))
        rows = [
            (say(lang, "noised_original"), original),
            (say(lang, "reconstructed"), made.reconstruction),
            heat_figure(say(lang, "error_map"), made.error, 0.0),
        ]
        numbers = {"psnr": f"{made.psnr:.2f}", "ssim": f"{made.ssim:.3f}", "lpips": f"{made.lpips:.3g}"}
        numbers["kl"] = f"{made.kl.sum():.0f}"
        means = [
            (say(lang, "mean_of", c=c + 1, std=f"{m.std():.2f}"), signed(m), signed_bar(m))
            for c, m in enumerate(made.mean)
        ]
        stds = [heat_figure(say(lang, "std_of", c=c + 1, mean=f"{s.mean():.3f}"), s) for c, s in enumerate(made.std)]
        return {
            self.shown: figures(rows),
            self.caption: say(lang, "reconstruction_summary", **numbers),
            self.channels: figures(means) + figures(stds),
            **self.card.show(kl_plot(made.kl, lang), lang),
        }


class LatentInterpolation(PicturesPanel):
    """Two pictures' latents in one."""

    key = "between"

    def lay_controls(self) -> None:
        """Two pictures, blended or swapped, and the second one's share, 0…1."""
        self.upload("first")
        self.upload("second")
        words: Words = {"label": "how_label", "choices": {"blend": "how_blend", "swap": "how_swap"}}
        self.control("how", gr.Radio, words, value="blend")
        self.slider("share", 0, 1, 0.5, 0.05)

    def draw(
        self, lang: str, *, first: str | None, second: str | None, how: Literal["blend", "swap"], share: float
    ) -> Updates:
        """The decoded mix between its two pictures; without a second one, the first in a mirror."""
        from app.labs.autoencoder.reconstruction import mix_latents

        a = chosen(self.service, first)
        b = chosen(self.service, second) if second else a[:, ::-1].copy()
        made = self.service.run_work(lambda pipe: mix_latents(pipe, a, b, float(share), how))
        rows = [(say(lang, "first_picture"), a), (say(lang, "in_latents"), made), (say(lang, "second_picture"), b)]
        return {self.shown: figures(rows), self.caption: say(lang, "between_summary", share=f"{share:.0%}")}


class Channels(PicturesPanel):
    """One channel of the latent moved."""

    key = "channels"

    def lay_controls(self) -> None:
        """A picture, a channel from 1, and how far it is moved."""
        self.upload("edited")
        self.slider("channel", 1, CHANNELS, 1, 1)
        self.slider("amount", -3, 3, 1.5, 0.1)

    def draw(self, lang: str, *, edited: str | None, channel: float, amount: float) -> Updates:
        """The picture before and after one channel of its latent has moved."""
        from app.labs.autoencoder.reconstruction import shift_channel

        picture = chosen(self.service, edited)
        made = self.service.run_work(lambda pipe: shift_channel(pipe, picture, int(channel) - 1, float(amount)))
        rows = [(say(lang, "noised_original"), picture), (say(lang, "moved"), made)]
        return {
            self.shown: figures(rows),
            self.caption: say(lang, "channels_summary", c=int(channel), amount=f"{amount:+.1f}"),
        }


class Prior(PicturesPanel):
    """The decoder on pure noise."""

    key = "prior"

    def lay_controls(self) -> None:
        """The noise's seed."""
        self.slider("prior_seed", 0, 50, 0, 1)

    def draw(self, lang: str, *, prior_seed: float) -> Updates:
        """Standard normal latents, decoded: what the decoder makes of no picture at all."""
        from app.labs.autoencoder.reconstruction import sample_prior

        made = self.service.run_work(lambda pipe: sample_prior(pipe, PRIORS, int(prior_seed)))
        rows = [(say(lang, "draw_of", k=k + 1), pixels) for k, pixels in enumerate(made)]
        return {self.shown: figures(rows), self.caption: ""}


LAB = Lab("autoencoder", (Reconstruction, LatentInterpolation, Channels, Prior))
