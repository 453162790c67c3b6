"""S3N (Ding et al., ICCV 2019), Fig. 1, 2 and 7: peaks, the sampling they cause, and the evidence of the branches.

Fig. 1 and 2 illustrate what the first columns of Fig. 7 show: the peaks, and the lattice by which a branch samples.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fieldmark.core.evidence import Evidence
from fieldmark.explanations.drawing import Panel
from fieldmark.paper_figures.figure import PaperFigure, Studied, heat, runs_of
from fieldmark.papers.selective_sparse_sampling import S3N

LINES = 15
"""Lines of the sampling lattice, each way."""


def fits(own: Studied) -> bool:
    """Whether the run is S3N's."""
    return isinstance(own.opened.learner.method, S3N)


def figures(own: Studied, beside: Sequence[Studied]) -> list[PaperFigure]:
    """Fig. 7, with the lattice of Fig. 2: photo and peaks, each sampled picture with its lattice, the evidence.

    That of the other runs is Grad-CAM, under their answers.
    """
    evidence, rows = own.evidence(), []
    others = [each.grad_cam_panels() for each in beside]
    for at, photo in enumerate(own.photo_panels()):
        panels = [photo, _peaks(photo, evidence, at)]
        for name, grid in evidence.views.items():
            lattice = F.interpolate(grid[at : at + 1].permute(0, 3, 1, 2), (LINES, LINES), mode="area")[0]
            panels.append(Panel(photo.picture, None, f"where {name} samples", grid=_shares(lattice.permute(1, 2, 0))))
            panels.append(Panel(resampled(photo.picture, grid[at]), None, f"{name} picture"))
        panels.append(
            Panel(photo.picture, heat(evidence.heatmaps["class"][at]), f"{own.name}\nevidence of all branches")
        )
        rows.append([*panels, *(panels_of[at] for panels_of in others)])
    return [
        PaperFigure(
            name="s3n-figure-7",
            title="S3N, Fig. 7: peaks of the response, where each branch samples, and the evidence that they find",
            rows=rows,
            runs=runs_of(own, *beside),
            facts={"peaks": evidence.peaks["response"].sum((1, 2)).tolist()},
        )
    ]


def _peaks(photo: Panel, evidence: Evidence, at: int) -> Panel:
    cells = evidence.peaks["response"][at]
    height, width = cells.shape
    y, x = (places.cpu().numpy() for places in torch.nonzero(cells, as_tuple=True))
    points = np.stack([x / max(width - 1, 1), y / max(height - 1, 1)], 1)  # corners of the response lie in the corners
    return Panel(
        photo.picture,
        heat(evidence.heatmaps["response"][at]),
        f"{len(points)} peak{'s' * (len(points) != 1)}",
        points=points,
    )


def _shares(grid: Tensor) -> np.ndarray:
    """Of coordinates from -1 to 1, shares of the sides."""
    return ((grid + 1) / 2).cpu().numpy()


def resampled(picture: np.ndarray, grid: Tensor) -> np.ndarray:
    """A picture uint8 (H, W, 3) as a branch sees it, sampled at ``grid`` (h, w, 2) of coordinates from -1 to 1."""
    pixels = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float()
    fine = F.interpolate(
        grid[None].permute(0, 3, 1, 2).float().cpu(), picture.shape[:2], mode="bilinear", align_corners=True
    )
    sampled = F.grid_sample(pixels, fine.permute(0, 2, 3, 1), align_corners=True, padding_mode="border")
    return sampled[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()
