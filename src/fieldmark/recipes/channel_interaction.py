"""Channel Interaction Networks (Gao et al., AAAI 2020, arXiv:2003.05235): the settings of its tables.

    fieldmark train DATA --recipe cin/cub-resnet50 --out RUN

The paper's figures, top-1 in %, with the rows' names; ours: not yet run.

Table 2
    |               | resnet50 | resnet101 |
    |---------------|----------|-----------|
    | cub-...       |   87.5   |   88.1    |
    | aircraft-...  |   92.6   |   92.8    |
    | cars-...      |   94.1   |   94.5    |

Text below Table 2   cub-vgg16 85.6
Table 1, CUB-200-2011
    plain     cub-vgg19-plain 80.2, cub-resnet50-plain 84.9, cub-resnet101-plain 85.4
    ablations cub-resnet50-sci 87.1, cub-resnet50-pos-sci 86.1 (without the minus sign), cub-resnet50-sci-cont 87.2
              (the contrastive loss on SCI's own features: eta = gamma = 0)
    compared  cub-resnet50-se 85.7, cub-resnet50-non-local 86.6, cub-resnet50-cgnl 87.0, each after the last maps and
              trained like the others here, as the paper says neither; cub-resnet50-nts 87.5;
              cub-resnet50-mamc 86.3, which is trained like the others here, too
Table 3
    NTS-Net   cub-resnet50-nts as in Table 1, aircraft-resnet50-nts 91.4, cars-resnet50-nts 93.9
    NTS+CIN   cub-resnet50-nts-cin 88.3, aircraft-resnet50-nts-cin 93.3, cars-resnet50-nts-cin 94.4 (the layer at the
              end of the network that image and parts share, the contrastive loss on whole images)

From the paper: 448 px, crops at random and mirrored in training and from the centre in evaluation, as NTS-Net has them;
batches of 4 classes with 5 images each, SGD at a rate of 0.001, halved every 20 of 100 epochs, weight decay 2e-4, beta
0.5, alpha 2, ten random pairs per batch.
Ours: the paper says no more about the crops, so they are of 448 x 448 out of pictures of 600 x 600, whatever their
shape was, as in the code of NTS-Net, and half of them are mirrored. Where it says nothing: momentum 0.9; the plain rows
have the same batches; the scale of X X^T is 1, and all parameters have one rate; Aircraft is trained on train and val,
as the set's own protocol has it; numbers are float32; and all parameters decay, as they do in PyTorch, which the
authors used (no code of theirs was found).
The figures of NTS-Net are those of its own paper, and so are its rows' settings: batches of 16 photos, SGD with
momentum 0.9, weight decay 1e-4 and a rate of 0.001, a tenth of it after 60 epochs of 100. NTS+CIN is trained as CIN is.
The paper says that Aircraft has 196 classes: it has 100.

``--method cin`` on your own data gives h(Z') unit length (``normalise=True``), of which the paper says nothing. At the
rates of fine-tuning there, the squared distances within a class, which nothing bounds, make the network predict the
same for all images within an epoch (20 classes of CUB-200-2011, EfficientNet-Lite0, ``benchmarks/README.md``).
"""

from dataclasses import replace

from fieldmark.batches import Balanced, Shuffled
from fieldmark.recipe import Model, Part, Pixels, Recipe, Sgd, Stage, StepDecay
from fieldmark.recipes import generalized_non_local, multi_attention, non_local, nts_net, squeeze_excitation
from fieldmark.recipes.composition import UNSMOOTHED, Composition, Row

_SCI, _CCI = Part("SelfChannelInteraction"), Part("ContrastiveChannelInteraction")
COMPOSITION = Composition(
    "cin",
    neck=_SCI,
    terms=(Part(_CCI.name, {"normalise": True}),),
    batches=Balanced(4, 5),
    parts={"neck": (_SCI.name,), "term": (_CCI.name,)},
)

_SCALE = (448 / 600) ** 2
_PIXELS = Pixels(448, 448, eval_crop=448 / 600, fit="stretch", min_scale=_SCALE, max_scale=_SCALE, ratio=1.0)
_OPTIMISER = Sgd(lr=0.001, momentum=0.9, nesterov=False, weight_decay=2e-4, decayed="all")
_STAGE = Stage(100, _OPTIMISER, StepDecay(epochs=(20, 40, 60, 80), factor=0.5))
_STAGE_OF_NTS = Stage(100, replace(_OPTIMISER, weight_decay=1e-4), StepDecay(epochs=(60,), factor=0.1))
_DATA = {"cub": "CUB-200-2011", "aircraft": "FGVC-Aircraft", "cars": "Stanford Cars"}


def _row(name: str, table: str, paper: float, *, neck: Part | None = _SCI, terms: tuple[Part, ...] = (_CCI,)) -> Row:
    """A row by its name, which begins with the set and the backbone."""
    short, backbone, *_ = name.split("-")
    model = Model(backbone=f"{backbone}.tv_in1k", neck=neck, terms=terms, criterion=UNSMOOTHED)
    train_on = ("train", "val") if short == "aircraft" else ("train",)
    recipe = Recipe(model, _PIXELS, Balanced(4, 5), stages=(_STAGE,), precision="fp32", train_on=train_on)
    return Row(name, recipe, _DATA[short], table, paper)


def _nts(short: str, table: str, paper: float, *, cin: bool = False) -> Row:
    """A row of NTS-Net on a set, or of NTS-Net with CIN."""
    name = f"{short}-resnet50-nts"
    row = _row(f"{name}-cin", table, paper) if cin else _row(name, table, paper, neck=None, terms=())
    recipe = replace(row.recipe, model=replace(row.recipe.model, method=nts_net.METHOD))
    return replace(row, recipe=recipe if cin else replace(recipe, batches=Shuffled(16), stages=(_STAGE_OF_NTS,)))


def _mamc() -> Row:
    """MAMC's row: its pool and its loss."""
    row = _row("cub-resnet50-mamc", "Table 1", 86.3, neck=None, terms=(multi_attention.TERM,))
    return replace(row, recipe=replace(row.recipe, model=replace(row.recipe.model, pool=multi_attention.POOL)))


ROWS: tuple[Row, ...] = (
    _row("cub-resnet50", "Table 2", 87.5),
    _row("cub-resnet101", "Table 2", 88.1),
    _row("aircraft-resnet50", "Table 2", 92.6),
    _row("aircraft-resnet101", "Table 2", 92.8),
    _row("cars-resnet50", "Table 2", 94.1),
    _row("cars-resnet101", "Table 2", 94.5),
    _row("cub-vgg16", "text", 85.6),
    _row("cub-vgg19-plain", "Table 1", 80.2, neck=None, terms=()),
    _row("cub-resnet50-plain", "Table 1", 84.9, neck=None, terms=()),
    _row("cub-resnet101-plain", "Table 1", 85.4, neck=None, terms=()),
    _row("cub-resnet50-se", "Table 1", 85.7, neck=squeeze_excitation.NECK, terms=()),
    _row("cub-resnet50-non-local", "Table 1", 86.6, neck=non_local.NECK, terms=()),
    _row("cub-resnet50-cgnl", "Table 1", 87.0, neck=generalized_non_local.NECK, terms=()),
    _mamc(),
    _nts("cub", "Table 1", 87.5),
    _nts("aircraft", "Table 3", 91.4),
    _nts("cars", "Table 3", 93.9),
    _nts("cub", "Table 3", 88.3, cin=True),
    _nts("aircraft", "Table 3", 93.3, cin=True),
    _nts("cars", "Table 3", 94.4, cin=True),
    _row("cub-resnet50-sci", "Table 1", 87.1, terms=()),
    _row("cub-resnet50-pos-sci", "Table 1", 86.1, neck=Part(_SCI.name, {"scale": -1.0}), terms=()),
    _row("cub-resnet50-sci-cont", "Table 1", 87.2, terms=(Part(_CCI.name, {"operation": "none"}),)),
)
