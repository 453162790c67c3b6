"""NTS-Net (Yang et al., ECCV 2018): a navigator proposes parts of the image, which a joint head sees beside the whole.

    fieldmark train DATA --method nts
    fieldmark train DATA --method nts --neck self-channel-interaction --term contrastive-channel-interaction

The second is NTS + CIN of the Channel Interaction Network. Its Table 3 has both (NTS 87.5 on CUB-200-2011), as the rows
cin/DATA-resnet50-nts and cin/DATA-resnet50-nts-cin.
"""

from fieldmark.recipe import Part
from fieldmark.recipes.composition import Composition, Row

METHOD = Part("NTS")
COMPOSITION = Composition("nts", method=METHOD, parts={"method": (METHOD.name,)})

ROWS: tuple[Row, ...] = ()
