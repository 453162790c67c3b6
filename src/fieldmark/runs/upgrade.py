"""Renames the tensors of earlier versions to the names in today's modules."""

from collections.abc import Mapping

from torch import Tensor

from fieldmark.core.learner import Learner

_TERMS = "term_modules."
"""Terms with parameters had this prefix, and were numbered among themselves."""
_MUTUAL = "method.mutual."
"""API-Net's mutual vector belonged to the method itself."""
_NETWORK = "method.classifier.backbone.network."
"""Some of timm's networks kept layers here that follow their maps."""
_PHI = "method.classifier.neck.phi.weight"
"""The Channel Interaction Network's convolution was a linear layer on nine taps: (D, 9 D), taps before channels."""


def upgraded(tensors: Mapping[str, Tensor], learner: Learner) -> dict[str, Tensor]:
    """The tensors of a run of any version, with the names and shapes of today's learner."""
    numbers = [str(number) for number, term in enumerate(learner.terms) if term.state_dict()]
    renamed = {_renamed(key, numbers): value for key, value in tensors.items()}
    if (weight := renamed.get(_PHI)) is not None and weight.ndim == 2:
        renamed[_PHI] = weight.view(len(weight), 3, 3, -1).permute(0, 3, 1, 2).contiguous()
    own = learner.state_dict().keys()
    return {key: value for key, value in renamed.items() if key in own or not key.startswith(_NETWORK)}


def _renamed(key: str, numbers: list[str]) -> str:
    if key.startswith(_MUTUAL):
        return f"method.interaction.mutual.{key.removeprefix(_MUTUAL)}"
    if not key.startswith(_TERMS):
        return key
    number, _, rest = key.removeprefix(_TERMS).partition(".")
    return f"terms.{numbers[int(number)]}.{rest}" if int(number) < len(numbers) else key
