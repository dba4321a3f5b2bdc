from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from ldm_core.compvis.autoencoder import AutoencoderKL, VQModel
from ldm_core.compvis.losses import LPIPSWithDiscriminator
from ldm_core.losses.autoencoder import AutoencoderLossConfig
from ldm_core.models.autoencoder import AutoencoderKL as KLNetwork

DD = {
    "double_z": True,
    "z_channels": 4,
    "resolution": 16,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 32,
    "ch_mult": [1, 1],
    "num_res_blocks": 1,
    "attn_resolutions": [],
    "dropout": 0.0,
    "norm_groups": 8,
}
LOSS = {"perceptual_trunk": "", "disc_ndf": 8, "disc_num_layers": 1, "disc_start": 0, "kl_weight": 1e-3}
KL_LOSS = {"target": "ldm.modules.losses.LPIPSWithDiscriminator", "params": LOSS}
VQ_LOSS = {"target": "taming.modules.losses.vqperceptual.VQLPIPSWithDiscriminator", "params": LOSS}
AE_TERMS = {"total_loss", "nll_loss", "rec_loss", "d_weight", "disc_factor", "g_loss"}
DISC_TERMS = {"disc_loss", "logits_real", "logits_fake"}


def kl_door(loss: dict[str, object] | None = None, **options: object) -> AutoencoderKL:
    torch.manual_seed(0)
    lossconfig = KL_LOSS if loss is None else {**KL_LOSS, "params": {**LOSS, **loss}}
    return AutoencoderKL(DD, lossconfig, 4, generator=torch.Generator().manual_seed(1), **options)  # type: ignore[arg-type]


def vq_door(**options: object) -> VQModel:
    torch.manual_seed(0)
    dd = {**DD, "double_z": False}
    door = VQModel(dd, VQ_LOSS, 16, 4, generator=torch.Generator().manual_seed(1), **options)  # type: ignore[arg-type]
    door.quantize.embedding.weight.data.normal_(std=0.3)
    return door


def batch(n: int = 4) -> dict[str, torch.Tensor]:
    """Coloured rectangles on white [B,16,16,3]."""
    g = torch.Generator().manual_seed(5)
    images = torch.ones(n, 16, 16, 3)
    for image in images:
        y, x = (int(v) for v in torch.randint(0, 8, (2,), generator=g))
        image[y : y + 8, x : x + 8] = torch.rand(3, generator=g) * 2 - 1
    return {"image": images}


def test_get_input_takes_pictures_with_and_without_channels():
    door = kl_door()
    coloured = torch.arange(2 * 4 * 5 * 3, dtype=torch.uint8).view(2, 4, 5, 3)
    x = door.get_input({"image": coloured}, "image")
    assert x.dtype == torch.float32 and x.is_contiguous() and x.shape == (2, 3, 4, 5)
    assert float(x[1, 2, 3, 4]) == float(coloured[1, 3, 4, 2])
    grey = door.get_input({"depth": coloured[..., 0].numpy()}, "depth")
    assert grey.shape == (2, 1, 4, 5) and torch.equal(grey[:, 0], coloured[..., 0].float())
    with pytest.raises(ValueError, match=r"\(4,\)"):
        door.get_input({"image": torch.zeros(4)}, "image")


def test_double_z_is_required():
    for double_z, said in ((False, "double_z=True"), (None, "double_z")):
        dd = {**DD, "double_z": double_z} if double_z is not None else {k: v for k, v in DD.items() if k != "double_z"}
        with pytest.raises(ValueError, match=said):
            AutoencoderKL(dd, KL_LOSS, 4)


def test_last_layer_and_key_names_are_the_networks():
    door = kl_door()
    assert door.get_last_layer() is door.decoder.conv_out.weight
    network = KLNetwork(door.config).state_dict()
    assert {n for n in door.state_dict() if not n.startswith("loss.")} == set(network)
    assert "loss.discriminator.main.0.weight" in door.state_dict() and "loss.logvar" in door.state_dict()


def test_checkpoint_says_what_it_left_out(tmp_path: Path):
    source, target = kl_door(), kl_door()
    torch.nn.init.ones_(source.encoder.conv_in.weight)
    torch.nn.init.ones_(source.decoder.conv_in.weight)
    state = {n: v for n, v in source.state_dict().items() if n != "quant_conv.bias"} | {"stray": torch.zeros(1)}
    torch.save({"state_dict": state}, tmp_path / "ae.ckpt")
    report = target.init_from_ckpt(tmp_path / "ae.ckpt", ignore_keys=["loss.", "decoder.conv_in"])
    ignored = {n for n in state if n.startswith(("loss.", "decoder.conv_in"))}
    assert set(report.ignored) == ignored
    counters = {n for n in ignored if n.endswith("num_batches_tracked")}  # torch makes them up for old files
    assert set(report.missing) | counters == {"quant_conv.bias"} | ignored
    assert set(report.unexpected) == {"stray"}
    assert bool((target.encoder.conv_in.weight == 1).all()) and not bool((target.decoder.conv_in.weight == 1).all())
    door = kl_door(ckpt_path=tmp_path / "ae.ckpt", ignore_keys=["loss."])
    assert door.load_report is not None and bool((door.decoder.conv_in.weight == 1).all())


def test_each_player_moves_only_its_own_weights():
    door = kl_door()
    (ae, disc), schedulers = door.configure_optimizers()
    assert schedulers == [] and all(type(o) is torch.optim.Adam for o in (ae, disc))
    assert [o.param_groups[0]["betas"] for o in (ae, disc)] == [(0.5, 0.9)] * 2
    names = {id(p): n for n, p in door.named_parameters()}
    sets = [{names[id(p)] for g in o.param_groups for p in g["params"]} for o in (ae, disc)]
    assert {n.partition(".")[0] for n in sets[0]} == {"encoder", "decoder", "quant_conv", "post_quant_conv"}
    assert all(n.startswith("loss.discriminator.") for n in sets[1])
    assert sets[0] | sets[1] == {n for n in names.values() if n != "loss.logvar"}

    for index, own, other in ((0, sets[0], sets[1]), (1, sets[1], sets[0])):
        before = {n: p.detach().clone() for n, p in door.named_parameters()}
        loss = door.training_step(batch(), 0, index)
        optimizer = (ae, disc)[index]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        moved = {n for n, p in door.named_parameters() if not torch.equal(p, before[n])}
        assert moved <= own and not moved & other and len(moved) > len(own) / 2


def test_logvar_is_trained_only_where_the_loss_says_so():
    learned = kl_door({"learn_logvar": True})
    assert any(p is learned.loss.logvar for p in learned.configure_optimizers()[0][0].param_groups[0]["params"])


def test_steps_log_the_published_names():
    door = kl_door()
    aeloss = door.training_step(batch(), 0, 0)
    torch.testing.assert_close(door.logged["aeloss"], aeloss.detach())
    discloss = door.training_step(batch(), 0, 1)
    torch.testing.assert_close(door.logged["discloss"], discloss.detach())
    expected = AE_TERMS | DISC_TERMS | {"kl_loss", "logvar"}
    assert set(door.logged) == {f"train/{n}" for n in expected} | {"aeloss", "discloss"}
    log = door.validation_step(batch(), 0)
    assert set(log) == {f"val/{n}" for n in expected} and set(log) < set(door.logged)
    assert float(log["val/d_weight"]) == 0 and float(log["val/rec_loss"]) > 0
    with pytest.raises(ValueError, match="optimizer_idx"):
        door.training_step(batch(), 0, 2)


def test_the_step_is_the_loss_module_on_the_networks_output():
    door, x = kl_door(), batch()["image"].permute(0, 3, 1, 2)
    aeloss = door.training_step(batch(), 0, 0)
    reconstructions, posterior = KLNetwork.forward(door, x, generator=torch.Generator().manual_seed(1))
    assert isinstance(door.loss, LPIPSWithDiscriminator)
    expected, _ = door.loss(x, reconstructions, posterior, 0, 0, last_layer=door.get_last_layer())
    torch.testing.assert_close(aeloss, expected)


@pytest.mark.parametrize("make", [kl_door, vq_door], ids=["kl", "vq"])
def test_a_short_training_brings_pictures_back(make: type[AutoencoderKL]):
    door = make()
    door.learning_rate = 2e-3
    optimizers, _ = door.configure_optimizers()
    errors = [float(door.train_batch(batch(), optimizers)["train/rec_loss"]) for _ in range(60)]
    sys.stdout.write(f"reconstruction error {errors[0]:.3f} → {sum(errors[-5:]) / 5:.3f}\n")
    assert door.global_step == 60
    assert sum(errors[-5:]) / 5 < 0.6 * errors[0]


def test_vq_door_trains_its_codebook_and_logs_it():
    door = vq_door()
    (ae, _), _ = door.configure_optimizers()
    assert any(p is door.quantize.embedding.weight for p in ae.param_groups[0]["params"])
    door.training_step(batch(), 0, 0)
    door.training_step(batch(), 0, 1)
    expected = AE_TERMS | DISC_TERMS | {"quant_loss", "perplexity", "cluster_usage"}
    assert set(door.logged) == {f"train/{n}" for n in expected} | {"aeloss", "discloss"}
    assert 1 <= float(door.logged["train/perplexity"]) <= float(door.logged["train/cluster_usage"]) <= 16
    parts = {n: float(door.logged[f"train/{n}"]) for n in ("nll_loss", "quant_loss", "d_weight", "g_loss")}
    total = parts["nll_loss"] + parts["quant_loss"] + parts["d_weight"] * parts["g_loss"]
    assert float(door.logged["aeloss"]) == pytest.approx(total, rel=1e-4)


def test_logged_images():
    door = kl_door()
    pictures = door.log_images(batch())
    assert set(pictures) == {"inputs", "reconstructions", "samples"}
    assert all(p.shape == (4, 3, 16, 16) for p in pictures.values())
    assert torch.equal(pictures["inputs"], batch()["image"].permute(0, 3, 1, 2))
    assert set(door.log_images(batch(), only_inputs=True)) == {"inputs"}
    assert set(vq_door().log_images(batch())) == {"inputs", "reconstructions"}


def test_segmentations_are_coloured():
    torch.manual_seed(0)
    dd = {**DD, "in_channels": 5, "out_ch": 5}
    options = {"image_key": "segmentation", "colorize_nlabels": 5, "generator": torch.Generator().manual_seed(1)}
    door = AutoencoderKL(dd, {**KL_LOSS, "params": {**LOSS, "disc_in_channels": 5}}, 4, **options)
    labels = torch.randint(0, 5, (2, 16, 16), generator=torch.Generator().manual_seed(2))
    pictures = door.log_images({"segmentation": F.one_hot(labels, 5)})
    assert all(p.shape == (2, 3, 16, 16) for p in pictures.values())
    x = pictures["inputs"]
    assert float(x.min()) == pytest.approx(-1) and float(x.max()) == pytest.approx(1)
    colours = x.permute(0, 2, 3, 1)[labels == 3]  # one label, one colour
    torch.testing.assert_close(colours, colours[:1].expand_as(colours))
    assert len(x.permute(0, 2, 3, 1).reshape(-1, 3).unique(dim=0)) == 5
    with pytest.raises(ValueError, match="'image'"):
        kl_door().to_rgb(torch.zeros(1, 5, 4, 4))
    with pytest.raises(ValueError, match="labels"):
        kl_door(colorize_nlabels=0)


def test_colours_come_by_themselves_where_no_number_was_given():
    door = AutoencoderKL(DD, KL_LOSS, 4, image_key="segmentation")
    assert door.to_rgb(torch.rand(1, 7, 4, 4)).shape == (1, 3, 4, 4)
    assert door.colorize.shape == (3, 7, 1, 1) and "colorize" in door.state_dict()


def test_a_loss_may_be_given_ready_made():
    loss = LPIPSWithDiscriminator(AutoencoderLossConfig(perceptual_trunk="", disc_ndf=8))
    assert AutoencoderKL(DD, loss, 4).loss is loss


def test_the_codebook_loss_is_compvis_by_default_and_the_papers_by_name():
    """‖sg(z) − q‖² and ‖z − sg(q)‖² are equal in value, so the gradients tell which one β weighs."""
    grads = {}
    for legacy in (True, False):
        door = vq_door(legacy=legacy)
        z = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
        door.quantize(z).loss.backward()
        grads[legacy] = float(z.grad.norm()), float(door.quantize.embedding.weight.grad.norm())
    assert vq_door().quantize.legacy
    beta = vq_door().config.beta
    assert grads[True][0] == pytest.approx(grads[False][0] / beta, rel=1e-5), "CompVis: the encoder is not weighed"
    assert grads[True][1] == pytest.approx(grads[False][1] * beta, rel=1e-5), "but the codebook is"
    with pytest.raises(ValueError, match="remap"):
        vq_door(remap="used.npy")


def test_validation_runs_the_autoencoder_once(monkeypatch: pytest.MonkeyPatch):
    for door in (kl_door(), vq_door()):
        runs: list[int] = []
        encode = door.encoder.forward
        monkeypatch.setattr(door.encoder, "forward", lambda x, encode=encode, runs=runs: runs.append(1) or encode(x))
        log = door.eval().validation_step(batch(), 0)
        assert len(runs) == 1
        assert {f"val/{name}" for name in AE_TERMS | DISC_TERMS} <= log.keys()


def test_loss_defaults_are_the_classes_own():
    """CompVis' LPIPSWithDiscriminator: kl_weight and disc_weight 1; ours has the values of its configuration files."""
    bare = {"target": KL_LOSS["target"], "params": {"disc_start": 3, "perceptual_weight": 0.0}}
    config = AutoencoderKL(DD, bare, 4).loss.config
    assert (config.kl_weight, config.disc_weight, config.disc_start) == (1.0, 1.0, 3)
    with pytest.raises(ValueError, match="needs disc_start"):
        AutoencoderKL(DD, {"target": KL_LOSS["target"], "params": {}}, 4)


def test_lpips_stays_in_evaluation_while_its_loss_trains():
    """Its linear layers have dropout: in training mode the same two pictures would have another distance each time."""
    from ldm_core.losses.perceptual import make_lpips

    loss = torch.nn.ModuleList([make_lpips("random", "squeeze")]).train()
    assert not any(module.training for module in loss[0].modules())
    a, b = torch.rand(2, 1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loss[0](a, b), loss[0](a, b))
