"""Mutual-Channel Loss (Chang et al., TIP 2020): plain cross-entropy and a loss on each class's own channels.

    fieldmark train DATA --recipe mc-loss/cub-resnet50
    fieldmark train DATA --method mc-loss --neck channel-expansion,xi=3
    fieldmark train DATA --method mc-loss --neck channel-expansion,xi=3 --weights none    from scratch, with mu 1.5

``ROWS`` holds what the authors ran themselves and whose parts exist here: Tables III and IV (fine-tuning at 448 px), V,
VI and VII (from scratch at 224 px), VIII (soft channel labels). The other losses of Table VI, with their figures, are
in ``compared_losses.py``. The rows
with B-CNN are trained like the others, with a linear head behind the bilinear pool.

The paper's figures, top-1 in %; ours: not yet run. The released scripts measure the test photos after each epoch and
report the best epoch; a run here has one figure, that of its last.

| Tables III, IV, VIII: fine-tuned   | CUB-200-2011 | FGVC-Aircraft | Stanford Cars | Flowers-102 |
|------------------------------------|--------------|---------------|---------------|-------------|
| MC-Loss, VGG-16                    | 78.7         | 91.0          | 92.8          | 96.1        |
| MC-Loss, ResNet-50                 | 87.3         | 92.6          | 93.7          | 96.8        |
| MC-Loss, B-CNN (VGG-16)            | 86.4         | 92.9          | 94.4          | 97.7        |
| soft channel labels, ResNet-50     | 87.8         | 92.9          | 94.1          |             |

| Tables V to VII: from scratch      | CUB-200-2011 | FGVC-Aircraft | Stanford Cars | Flowers-102 |
|------------------------------------|--------------|---------------|---------------|-------------|
| cross-entropy, VGG-16              | 28.53        | 82.90         | 76.59         | 40.90       |
| MC-Loss, xi 3 (its default)        | 65.98        | 89.20         | 90.85         | 83.23       |
| MC-Loss, xi 1                      | 58.80        | 82.08         | 84.88         | 69.99       |
| MC-Loss, xi 2                      | 62.11        | 88.66         | 90.61         | 81.98       |
| MC-Loss, xi 5                      | 64.39        | 89.01         | 90.80         | 82.84       |
| MC-Loss, xi 6                      | 63.08        | 88.22         | 89.82         | 81.26       |
| MC-Loss, VGG-16's own 512 channels | 62.27        | 88.46         | 90.78         | 82.57       |
| MC-Loss-V2                         | 65.20        | 88.65         | 90.53         | 82.75       |
| minus L_div                        | 64.52        | 87.58         | 89.55         | 81.60       |
| minus L_dis                        | 26.94        | 79.75         | 69.13         | 38.53       |
| minus CWA                          | 63.36        | 88.30         | 89.34         | 80.76       |
| cross-entropy, ResNet-18           | 45.70        | 79.90         | 79.12         | 65.75       |
| MC-Loss, ResNet-18                 | 59.41        | 85.57         | 87.47         | 79.54       |

From the paper: SGD, weight decay 5e-4, 300 epochs, the rate divided by 10 at epochs 150 and 225; fine-tuning has 0.01
for the new layers and 1e-4 throughout for the others, mu 0.005 (soft labels 0.5); from scratch has 0.1 for all and mu
1.5; lambda 10; all of each photo is resized to the square; Flowers-102 and Aircraft train on training and validation
photos (Table I). Not in the paper, so from the released code: momentum 0.9 without Nesterov, weight decay on all
parameters, float32, batches of 64 for fine-tuning and of 32 from scratch, mirroring, the head of its ResNets (global
max pooling, BN, FC 512, BN, ELU, FC), which all rows have, those of cross-entropy too, and VGG-16 with batch norm where
it starts from scratch.

These rows do not do what else that code does. Its VGG-16 from scratch pools 2 x 2 positions, so that the head sees
7 x 7 of them, 600 * 49 = 29,400 numbers, and has 600 channels in conv4_3 as well as at the end. Its ResNet-18 keeps
14 x 14 positions. Both have xi * classes channels of their own, where here a 1x1 convolution after the network makes
them, and train on random crops of 224 px out of the photo at 224 px with a border of 4 px. Its ResNet-50 sees crops of
448 px out of the photo at 600 px, at random in training and from the centre in evaluation; papers/mutual_channel/ lists
its weights and rates, which differ, too.

Ours: pretrained weights are those of the paper's time; each of the three stages of fine-tuning starts without momentum.
The rows of Table VIII depart from Eq. 12 to the letter: their L_intra and L_inter train the SE block that makes the
labels and not the network (``into_maps=False``; with ``into_maps=True`` both, as Eq. 12 has it).
papers/mutual_channel/soft_labels.py says why.
"""

from collections.abc import Iterator

from fieldmark.batches import Shuffled
from fieldmark.recipe import LINEAR, PLAIN, Model, Part, Pixels, Recipe, Sgd, Stage, StepDecay
from fieldmark.recipes.compared_losses import COMPARED, POOL
from fieldmark.recipes.composition import BEST_EPOCH, UNSMOOTHED, Composition, Row

FROM_SCRATCH = Part("MutualChannelLoss", {"weight": 1.5})


def _notices(model: Model, classes: int) -> Iterator[str]:
    """Which mu a network without pretrained weights gets, where the user has not said another."""
    for part in model.terms if model.from_scratch else ():
        if part == FROM_SCRATCH:
            yield "Mutual-Channel Loss from scratch: mu, its weight, is 1.5 as in the paper (0.005 for fine-tuning)"
        elif part.name == FROM_SCRATCH.name and "weight" not in part.options:
            yield "Mutual-Channel Loss from scratch: mu is 0.005, for fine-tuning; the paper has 1.5 here (weight=1.5)"


COMPOSITION = Composition(
    "mc-loss",
    terms=(Part("MutualChannelLoss"),),
    parts={
        "term": ("MutualChannelLoss", "SoftChannelLabels"),
        "neck": ("ChannelExpansion",),
        "pool": ("HiddenMaximum",),
        "head": ("TwoLayerHead",),
    },
    from_scratch=(FROM_SCRATCH,),
    notices=_notices,
    remark=BEST_EPOCH,
)

SETS = ("cub", "aircraft", "cars", "flowers")
_NAMES = {"cub": "CUB-200-2011", "aircraft": "FGVC-Aircraft", "cars": "Stanford Cars", "flowers": "Flowers-102"}
_TRAIN_ON = {"aircraft": ("train", "val"), "flowers": ("train", "val")}


def _model(backbone: str, *, weights: str, terms: tuple[Part, ...], xi: int = 0) -> Model:
    """Channels per class ``xi``; 0 takes the network's own channels."""
    neck = Part("ChannelExpansion", {"xi": xi}) if xi else None
    return Model(PLAIN, Part("Maximum"), Part("TwoLayerHead"), backbone, weights, neck, terms, UNSMOOTHED)


def _sgd(lr: float, *, backbone: float) -> Sgd:
    """The rate of new layers and that of the backbone."""
    return Sgd(lr, nesterov=False, weight_decay=5e-4, decayed="all", scales={"backbone": backbone / lr})


def _tuned(data: str, model: Model) -> Recipe:
    """Fine-tuning in three stages, in which the new layers' rate falls to the backbone's, which stays."""
    rates = ((150, 1e-2), (75, 1e-3), (75, 1e-4))
    stages = tuple(Stage(epochs, _sgd(lr, backbone=1e-4), StepDecay()) for epochs, lr in rates)
    return _recipe(data, model, size=448, batch=64, stages=stages)


def _scratch(data: str, model: Model) -> Recipe:
    stage = Stage(300, _sgd(0.1, backbone=0.1), StepDecay((150, 225)))
    return _recipe(data, model, size=224, batch=32, stages=(stage,))


def _recipe(data: str, model: Model, *, size: int, batch: int, stages: tuple[Stage, ...]) -> Recipe:
    pixels = Pixels(size, size, eval_crop=1.0, fit="stretch", min_scale=1.0)
    train_on = _TRAIN_ON.get(data, ("train",))
    return Recipe(model, pixels, Shuffled(batch), stages, precision="fp32", train_on=train_on)


def _tuned_rows() -> list[Row]:
    """Tables III (Flowers-102) and IV."""
    figures = {"vgg16.tv_in1k": (78.7, 91.0, 92.8, 96.1), "resnet50.tv_in1k": (87.3, 92.6, 93.7, 96.8)}
    rows = []
    for name, tops in figures.items():
        model = _model(name, weights="hub", terms=(Part("MutualChannelLoss"),))
        for data, top1 in zip(SETS, tops, strict=True):
            table = "Table III" if data == "flowers" else "Table IV"
            rows.append(Row(f"{data}-{name.split('.')[0]}", _tuned(data, model), _NAMES[data], table, top1))
    return rows


def _bilinear_rows() -> list[Row]:
    """Tables III (Flowers-102) and IV: the loss on the maps that a bilinear network pools."""
    terms = (Part("MutualChannelLoss"),)
    model = Model(PLAIN, Part("Bilinear"), LINEAR, "vgg16.tv_in1k", terms=terms, criterion=UNSMOOTHED)
    rows = []
    for data, top1 in zip(SETS, (86.4, 92.9, 94.4, 97.7), strict=True):
        table = "Table III" if data == "flowers" else "Table IV"
        rows.append(Row(f"{data}-bcnn", _tuned(data, model), _NAMES[data], table, top1))
    return rows


def _soft_rows() -> list[Row]:
    """Table VIII."""
    model = _model("resnet50.tv_in1k", weights="hub", terms=(Part("SoftChannelLabels"),))
    tops = zip(SETS[:3], (87.8, 92.9, 94.1), strict=True)
    return [Row(f"{data}-resnet50-soft", _tuned(data, model), _NAMES[data], "Table VIII", top1) for data, top1 in tops]


def _scratch_rows() -> list[Row]:
    """Tables V to VII: name, table, channels per class (0: the network's own), options of the loss, figures."""
    settings = (
        ("vgg16-scratch", "VI", 3, {}, (65.98, 89.20, 90.85, 83.23)),
        ("vgg16-scratch-xi1", "V", 1, {}, (58.80, 82.08, 84.88, 69.99)),
        ("vgg16-scratch-xi2", "V", 2, {}, (62.11, 88.66, 90.61, 81.98)),
        ("vgg16-scratch-xi5", "V", 5, {}, (64.39, 89.01, 90.80, 82.84)),
        ("vgg16-scratch-xi6", "V", 6, {}, (63.08, 88.22, 89.82, 81.26)),
        ("vgg16-scratch-512", "V", 0, {}, (62.27, 88.46, 90.78, 82.57)),
        ("vgg16-scratch-v2", "VII", 3, {"of": "label"}, (65.20, 88.65, 90.53, 82.75)),
        ("vgg16-scratch-minus-div", "VII", 3, {"diversity": 0.0}, (64.52, 87.58, 89.55, 81.60)),
        ("vgg16-scratch-minus-dis", "VII", 3, {"discriminality": 0.0}, (26.94, 79.75, 69.13, 38.53)),
        ("vgg16-scratch-minus-cwa", "VII", 3, {"drop": 0.0}, (63.36, 88.30, 89.34, 80.76)),
        ("vgg16-scratch-ce", "VI", 0, None, (28.53, 82.90, 76.59, 40.90)),
        ("resnet18-scratch", "VI", 3, {}, (59.41, 85.57, 87.47, 79.54)),
        ("resnet18-scratch-ce", "VI", 0, None, (45.70, 79.90, 79.12, 65.75)),
    )
    rows = []
    for name, table, xi, options, figures in settings:
        terms = () if options is None else (Part(FROM_SCRATCH.name, {**FROM_SCRATCH.options, **options}),)
        backbone = "resnet18" if name.startswith("resnet18") else "vgg16_bn"
        model = _model(backbone, weights="none", terms=terms, xi=xi)
        for data, figure in zip(SETS, figures, strict=True):
            rows.append(Row(f"{data}-{name}", _scratch(data, model), _NAMES[data], f"Table {table}", figure))
    return rows


def _compared_rows() -> list[Row]:
    """The other losses of Table VI."""
    rows = []
    for name, compared in COMPARED.items():
        parts, criterion = compared.composition, compared.composition.criterion or UNSMOOTHED
        for backbone, figures in (("vgg16_bn", compared.vgg16), ("resnet18", compared.resnet18)):
            network = backbone.removesuffix("_bn")
            model = Model(PLAIN, POOL, parts.head, backbone, "none", terms=parts.terms, criterion=criterion)
            for data, figure in zip(SETS, figures, strict=True):
                rows.append(
                    Row(f"{data}-{network}-scratch-{name}", _scratch(data, model), _NAMES[data], "Table VI", figure)
                )
    return rows


ROWS: tuple[Row, ...] = (*_tuned_rows(), *_bilinear_rows(), *_soft_rows(), *_scratch_rows(), *_compared_rows())
