"""NTS-Net (Yang et al., ECCV 2018): the method, its anchors and its navigator."""

from fieldmark.papers.nts_net.anchors import anchor_boxes, crop_grid, crops, overlap, propose
from fieldmark.papers.nts_net.method import NTS
from fieldmark.papers.nts_net.ranking import Navigator, ranking_loss, score_map

__all__ = [
    "NTS",
    "Navigator",
    "anchor_boxes",
    "crop_grid",
    "crops",
    "overlap",
    "propose",
    "ranking_loss",
    "score_map",
]
