"""Which network looks at labels: a pretrained backbone, or a run where it has not learnt these very labels."""

from collections.abc import Sequence
from dataclasses import replace

from fieldmark.building import build_learner
from fieldmark.core.networks import refuse_backbone
from fieldmark.data.dataset import Photo
from fieldmark.evaluation.training_photos import known_to, trained_on, weights_before
from fieldmark.label_audit.audit import Network
from fieldmark.recipe import Model, Pixels, Recipe
from fieldmark.runs.folder import Opened
from fieldmark.training.automatic import draft_of
from fieldmark.training.settings import RecipeSettings


def pretrained(backbone: str | None, weights: str | None, *, size: int, device: str) -> Network:
    """A pretrained backbone, by default the one that ``train`` would choose for the device.

    Args:
        backbone: its name.
        weights: as for ``train``.
        size: height and width of the network's input, in pixels.
        device: as ``device_of`` gives it.

    Raises:
        UserError: an unknown backbone, or weights that are not there.
    """
    model = draft_of(RecipeSettings(backbone=backbone, weights=weights), device=device, external={}).recipe.model
    return _frozen(model, Pixels(size=size, eval_size=size), device)


def known_labels(weights: str | None, photos: Sequence[Photo]) -> tuple[str, ...]:
    """A warning where pretrained weights were trained on some of the photos, whose wrong labels they have learnt."""
    seen = len(known_to(weights or "", photos))
    if not seen:
        return ()
    return (
        f"warning: the weights were trained on {seen:,} of these photos and have learnt their labels, wrong ones, too",
    )


def of_run(opened: Opened, photos: Sequence[Photo], *, device: str) -> tuple[Network, tuple[str, ...]]:
    """The network of a run, or where it was trained on some of the photos, the one that it began from; and why.

    A network that was trained on wrong labels has learnt most of them, and no longer doubts them: of labels planted
    among its training photos, 22 % were found by a run's features, and 93 % by those that it began from.

    Args:
        opened: the run, its learner on the device.
        photos: that are to be looked at.
        device: of the learner.

    Raises:
        UserError: the weights that the run began from are not there.
    """
    seen = trained_on(opened.path, photos)
    if not seen:
        return Network(opened.learner.method, opened.recipe.pixels, f"the run {opened.path.name}"), ()
    model, pixels = opened.recipe.model, opened.recipe.pixels
    model = replace(model, weights=weights_before(model.weights, photos))
    note = (
        f"the run was trained on {len(seen):,} of these photos and has learnt their labels, wrong ones, too: "
        f"{model.backbone} ({model.weights}), as it was before, looks at them instead"
    )
    return _frozen(model, pixels, device), (note,)


def _frozen(model: Model, pixels: Pixels, device: str) -> Network:
    refuse_backbone(model.backbone, weights=model.weights)
    plain = Model(backbone=model.backbone, weights=model.weights)
    learner = build_learner(Recipe(model=plain, pixels=pixels), classes=2)
    return Network(learner.method.to(device).eval(), pixels, f"{model.backbone} ({model.weights})")
