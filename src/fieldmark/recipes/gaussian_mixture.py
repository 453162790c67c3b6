"""Large-margin Gaussian mixture loss (Wan et al., CVPR 2018): a Gaussian for each class, and likely embeddings.

    fieldmark train DATA --method lgm
    fieldmark train DATA --head gaussian-mixture,margin=0.1 --term gaussian-likelihood,weight=0.1

Its figures in this field are those of Mutual-Channel Loss's Table VI, whose rows are mc-loss/DATA-NETWORK-scratch-lgm.
"""

from fieldmark.recipe import Part
from fieldmark.recipes.composition import Composition, Row

HEAD, LIKELIHOOD = Part("GaussianMixture"), Part("GaussianLikelihood")
COMPOSITION = Composition(
    "lgm", head=HEAD, terms=(LIKELIHOOD,), parts={"head": (HEAD.name,), "term": (LIKELIHOOD.name,)}, smoothing=0.0
)

ROWS: tuple[Row, ...] = ()
