"""Every row of the five papers' tables against figures and settings typed from the papers' texts: none drifts unseen.

What a paper leaves open is in here too, as the row's docstring tells it, so that a setting changes in two places.
"""

import inspect
from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

import pytest

from fieldmark.plain import to_plain
from fieldmark.recipes import ROWS
from own_parts import KNOWN

PRINTED = """
pc      | Table 2    | CUB-200-2011  | cub-resnet50-plain 78.15, cub-resnet50 80.21
pc      | Table 2    | CUB-200-2011  | cub-densenet161-plain 84.21, cub-densenet161 86.87
pc      | Table 2    | Stanford Cars | cars-resnet50-plain 91.71, cars-resnet50 93.43
pc      | Table 2    | Stanford Cars | cars-densenet161-plain 91.83, cars-densenet161 92.86
pc      | Table 2    | FGVC-Aircraft | aircraft-resnet50-plain 81.19, aircraft-resnet50 83.40
pc      | Table 2    | FGVC-Aircraft | aircraft-densenet161-plain 86.30, aircraft-densenet161 89.24
pc      | Table 2    | NABirds       | nabirds-resnet50-plain 63.55, nabirds-resnet50 68.15
pc      | Table 2    | NABirds       | nabirds-densenet161-plain 79.35, nabirds-densenet161 82.79
pc      | Table 2    | Flowers-102   | flowers-resnet50-plain 92.46, flowers-resnet50 93.50
pc      | Table 2    | Flowers-102   | flowers-densenet161-plain 90.07, flowers-densenet161 91.39
pc      | Table 2    | Stanford Dogs | dogs-resnet50-plain 69.92, dogs-resnet50 73.35
pc      | Table 2    | Stanford Dogs | dogs-densenet161-plain 81.18, dogs-densenet161 83.75
pc      | Table 2    | CUB-200-2011  | cub-bcnn-plain 84.10, cub-bcnn 85.58
pc      | Table 2    | Stanford Cars | cars-bcnn-plain 91.20, cars-bcnn 92.45
pc      | Table 2    | FGVC-Aircraft | aircraft-bcnn-plain 84.10, aircraft-bcnn 85.78
pc      | Table 2    | NABirds       | nabirds-bcnn-plain 80.90, nabirds-bcnn 82.01
pc      | Table 2    | Flowers-102   | flowers-bcnn-plain 92.52, flowers-bcnn 93.65
pc      | Table 2    | Stanford Dogs | dogs-bcnn-plain 82.13, dogs-bcnn 83.04
pc      | Fig. 2     | CUB-200-2011  | cub-googlenet-plain none, cub-googlenet none
pc      | Fig. 2     | CUB-200-2011  | cub-vgg16-plain none, cub-vgg16 none
pc      | Table 3    | CIFAR-10      | cifar10-googlenet-plain 86.63, cifar10-googlenet 87.02
pc      | Table 3    | CIFAR-10      | cifar10-resnet50-plain 93.17, cifar10-resnet50 93.46
pc      | Table 3    | CIFAR-10      | cifar10-densenet161-plain 95.15, cifar10-densenet161 95.08
pc      | Table 3    | CIFAR-100     | cifar100-googlenet-plain 73.35, cifar100-googlenet 76.02
pc      | Table 3    | CIFAR-100     | cifar100-resnet50-plain 72.16, cifar100-resnet50 73.14
pc      | Table 3    | CIFAR-100     | cifar100-densenet161-plain 78.60, cifar100-densenet161 79.56
pc      | Table 3    | ImageNet-Random | imagenet-random-googlenet-plain 71.85, imagenet-random-googlenet 72.09
pc      | Table 3    | ImageNet-Random | imagenet-random-resnet50-plain 82.01, imagenet-random-resnet50 82.65
pc      | Table 3    | ImageNet-Random | imagenet-random-densenet161-plain 78.34, imagenet-random-densenet161 79.10
pc      | Table 3    | ImageNet-Dogs | imagenet-dogs-googlenet-plain 62.35, imagenet-dogs-googlenet 64.17
pc      | Table 3    | ImageNet-Dogs | imagenet-dogs-resnet50-plain 73.81, imagenet-dogs-resnet50 75.92
pc      | Table 3    | ImageNet-Dogs | imagenet-dogs-densenet161-plain 70.15, imagenet-dogs-densenet161 71.44
pc      | text       | ImageNet      | imagenet-resnet50-plain 76.15, imagenet-resnet50 76.28
mc-loss | Table III  | Flowers-102   | flowers-vgg16 96.1, flowers-resnet50 96.8
mc-loss | Table IV   | CUB-200-2011  | cub-vgg16 78.7, cub-resnet50 87.3
mc-loss | Table IV   | FGVC-Aircraft | aircraft-vgg16 91.0, aircraft-resnet50 92.6
mc-loss | Table IV   | Stanford Cars | cars-vgg16 92.8, cars-resnet50 93.7
mc-loss | Table III  | Flowers-102   | flowers-bcnn 97.7
mc-loss | Table IV   | CUB-200-2011  | cub-bcnn 86.4
mc-loss | Table IV   | FGVC-Aircraft | aircraft-bcnn 92.9
mc-loss | Table IV   | Stanford Cars | cars-bcnn 94.4
mc-loss | Table V    | CUB-200-2011  | cub-vgg16-scratch-xi1 58.80, cub-vgg16-scratch-xi2 62.11
mc-loss | Table V    | CUB-200-2011  | cub-vgg16-scratch-xi5 64.39, cub-vgg16-scratch-xi6 63.08
mc-loss | Table V    | CUB-200-2011  | cub-vgg16-scratch-512 62.27
mc-loss | Table V    | FGVC-Aircraft | aircraft-vgg16-scratch-xi1 82.08, aircraft-vgg16-scratch-xi2 88.66
mc-loss | Table V    | FGVC-Aircraft | aircraft-vgg16-scratch-xi5 89.01, aircraft-vgg16-scratch-xi6 88.22
mc-loss | Table V    | FGVC-Aircraft | aircraft-vgg16-scratch-512 88.46
mc-loss | Table V    | Stanford Cars | cars-vgg16-scratch-xi1 84.88, cars-vgg16-scratch-xi2 90.61
mc-loss | Table V    | Stanford Cars | cars-vgg16-scratch-xi5 90.80, cars-vgg16-scratch-xi6 89.82
mc-loss | Table V    | Stanford Cars | cars-vgg16-scratch-512 90.78
mc-loss | Table V    | Flowers-102   | flowers-vgg16-scratch-xi1 69.99, flowers-vgg16-scratch-xi2 81.98
mc-loss | Table V    | Flowers-102   | flowers-vgg16-scratch-xi5 82.84, flowers-vgg16-scratch-xi6 81.26
mc-loss | Table V    | Flowers-102   | flowers-vgg16-scratch-512 82.57
mc-loss | Table VI   | CUB-200-2011  | cub-vgg16-scratch-ce 28.53, cub-resnet18-scratch-ce 45.70
mc-loss | Table VI   | CUB-200-2011  | cub-vgg16-scratch 65.98, cub-resnet18-scratch 59.41
mc-loss | Table VI   | FGVC-Aircraft | aircraft-vgg16-scratch-ce 82.90, aircraft-resnet18-scratch-ce 79.90
mc-loss | Table VI   | FGVC-Aircraft | aircraft-vgg16-scratch 89.2, aircraft-resnet18-scratch 85.57
mc-loss | Table VI   | Stanford Cars | cars-vgg16-scratch-ce 76.59, cars-resnet18-scratch-ce 79.12
mc-loss | Table VI   | Stanford Cars | cars-vgg16-scratch 90.85, cars-resnet18-scratch 87.47
mc-loss | Table VI   | Flowers-102   | flowers-vgg16-scratch-ce 40.90, flowers-resnet18-scratch-ce 65.75
mc-loss | Table VI   | Flowers-102   | flowers-vgg16-scratch 83.23, flowers-resnet18-scratch 79.54
mc-loss | Table VI   | CUB-200-2011  | cub-vgg16-scratch-center 51.38, cub-resnet18-scratch-center 50.26
mc-loss | Table VI   | FGVC-Aircraft | aircraft-vgg16-scratch-center 88.26, aircraft-resnet18-scratch-center 83.86
mc-loss | Table VI   | Stanford Cars | cars-vgg16-scratch-center 89.27, cars-resnet18-scratch-center 81.84
mc-loss | Table VI   | Flowers-102   | flowers-vgg16-scratch-center 62.53, flowers-resnet18-scratch-center 69.51
mc-loss | Table VI   | CUB-200-2011  | cub-vgg16-scratch-a-softmax 60.79, cub-resnet18-scratch-a-softmax 49.67
mc-loss | Table VI   | FGVC-Aircraft | aircraft-vgg16-scratch-a-softmax 88.15, aircraft-resnet18-scratch-a-softmax 82.42
mc-loss | Table VI   | Stanford Cars | cars-vgg16-scratch-a-softmax 88.71, cars-resnet18-scratch-a-softmax 82.15
mc-loss | Table VI   | Flowers-102   | flowers-vgg16-scratch-a-softmax 62.34, flowers-resnet18-scratch-a-softmax 50.56
mc-loss | Table VI   | CUB-200-2011  | cub-vgg16-scratch-focal 31.12, cub-resnet18-scratch-focal 47.67
mc-loss | Table VI   | FGVC-Aircraft | aircraft-vgg16-scratch-focal 80.85, aircraft-resnet18-scratch-focal 80.47
mc-loss | Table VI   | Stanford Cars | cars-vgg16-scratch-focal 77.02, cars-resnet18-scratch-focal 79.75
mc-loss | Table VI   | Flowers-102   | flowers-vgg16-scratch-focal 48.19, flowers-resnet18-scratch-focal 66.87
mc-loss | Table VI   | CUB-200-2011  | cub-vgg16-scratch-coco 48.31, cub-resnet18-scratch-coco 46.01
mc-loss | Table VI   | FGVC-Aircraft | aircraft-vgg16-scratch-coco 86.41, aircraft-resnet18-scratch-coco 80.02
mc-loss | Table VI   | Stanford Cars | cars-vgg16-scratch-coco 67.27, cars-resnet18-scratch-coco 72.38
mc-loss | Table VI   | Flowers-102   | flowers-vgg16-scratch-coco 63.31, flowers-resnet18-scratch-coco 66.76
mc-loss | Table VI   | CUB-200-2011  | cub-vgg16-scratch-lgm 28.14, cub-resnet18-scratch-lgm 44.91
mc-loss | Table VI   | FGVC-Aircraft | aircraft-vgg16-scratch-lgm 87.49, aircraft-resnet18-scratch-lgm 80.98
mc-loss | Table VI   | Stanford Cars | cars-vgg16-scratch-lgm 71.27, cars-resnet18-scratch-lgm 74.37
mc-loss | Table VI   | Flowers-102   | flowers-vgg16-scratch-lgm 57.78, flowers-resnet18-scratch-lgm 66.84
mc-loss | Table VI   | CUB-200-2011  | cub-vgg16-scratch-lmcl 41.11, cub-resnet18-scratch-lmcl 46.01
mc-loss | Table VI   | FGVC-Aircraft | aircraft-vgg16-scratch-lmcl 86.17, aircraft-resnet18-scratch-lmcl 78.52
mc-loss | Table VI   | Stanford Cars | cars-vgg16-scratch-lmcl 49.57, cars-resnet18-scratch-lmcl 71.17
mc-loss | Table VI   | Flowers-102   | flowers-vgg16-scratch-lmcl 66.43, flowers-resnet18-scratch-lmcl 67.72
mc-loss | Table VII  | CUB-200-2011  | cub-vgg16-scratch-v2 65.20, cub-vgg16-scratch-minus-div 64.52
mc-loss | Table VII  | CUB-200-2011  | cub-vgg16-scratch-minus-dis 26.94, cub-vgg16-scratch-minus-cwa 63.36
mc-loss | Table VII  | FGVC-Aircraft | aircraft-vgg16-scratch-v2 88.65, aircraft-vgg16-scratch-minus-div 87.58
mc-loss | Table VII  | FGVC-Aircraft | aircraft-vgg16-scratch-minus-dis 79.75, aircraft-vgg16-scratch-minus-cwa 88.30
mc-loss | Table VII  | Stanford Cars | cars-vgg16-scratch-v2 90.53, cars-vgg16-scratch-minus-div 89.55
mc-loss | Table VII  | Stanford Cars | cars-vgg16-scratch-minus-dis 69.13, cars-vgg16-scratch-minus-cwa 89.34
mc-loss | Table VII  | Flowers-102   | flowers-vgg16-scratch-v2 82.75, flowers-vgg16-scratch-minus-div 81.60
mc-loss | Table VII  | Flowers-102   | flowers-vgg16-scratch-minus-dis 38.53, flowers-vgg16-scratch-minus-cwa 80.76
mc-loss | Table VIII | CUB-200-2011  | cub-resnet50-soft 87.8
mc-loss | Table VIII | FGVC-Aircraft | aircraft-resnet50-soft 92.9
mc-loss | Table VIII | Stanford Cars | cars-resnet50-soft 94.1
api-net | Table 6    | CUB-200-2011  | cub-resnet50 87.7, cub-resnet101 88.6, cub-densenet161 90.0
api-net | Table 6    | CUB-200-2011  | cub-resnet101-triplet 86.6
api-net | Table 7    | FGVC-Aircraft | aircraft-resnet50 93.0, aircraft-resnet101 93.4, aircraft-densenet161 93.9
api-net | Table 8    | Stanford Cars | cars-resnet50 94.8, cars-resnet101 94.9, cars-densenet161 95.3
api-net | Table 9    | Stanford Dogs | dogs-resnet50 88.3, dogs-resnet101 90.3, dogs-densenet161 89.4
api-net | Table 10   | NABirds       | nabirds-resnet50 86.2, nabirds-resnet101 86.6, nabirds-densenet161 88.1
api-net | Table 1    | CUB-200-2011  | cub-resnet101-baseline 85.4
api-net | Table 2    | CUB-200-2011  | cub-resnet101-individual 87.9, cub-resnet101-compact-bilinear 88.2
api-net | Table 2    | CUB-200-2011  | cub-resnet101-subtract-square 88.3, cub-resnet101-sum 88.5
api-net | Table 2    | CUB-200-2011  | cub-resnet101-product 88.4, cub-resnet101-weight-attention 88.4
api-net | Table 3    | CUB-200-2011  | cub-resnet101-single 87.7, cub-resnet101-ce 88.1
api-net | Table 4    | CUB-200-2011  | cub-resnet101-random 86.4, cub-resnet101-0d 85.4, cub-resnet101-0s 87.2
api-net | Table 4    | CUB-200-2011  | cub-resnet101-d0 87.1, cub-resnet101-s0 87.6, cub-resnet101-dd 87.0
api-net | Table 4    | CUB-200-2011  | cub-resnet101-sd 87.4, cub-resnet101-ds 88.3
api-net | Table 5    | CUB-200-2011  | cub-resnet101-10x4 83.5, cub-resnet101-20x4 87.0, cub-resnet101-30x2 88.1
api-net | Table 5    | CUB-200-2011  | cub-resnet101-30x3 88.2, cub-resnet101-24x5 87.7, cub-resnet101-40x3 88.2
cin     | Table 1    | CUB-200-2011  | cub-vgg19-plain 80.2, cub-resnet50-plain 84.9, cub-resnet101-plain 85.4
cin     | Table 1    | CUB-200-2011  | cub-resnet50-pos-sci 86.1, cub-resnet50-sci 87.1, cub-resnet50-sci-cont 87.2
cin     | Table 1    | CUB-200-2011  | cub-resnet50-se 85.7, cub-resnet50-non-local 86.6, cub-resnet50-cgnl 87.0
cin     | Table 1    | CUB-200-2011  | cub-resnet50-nts 87.5, cub-resnet50-mamc 86.3
cin     | Table 3    | CUB-200-2011  | cub-resnet50-nts-cin 88.3
cin     | Table 3    | FGVC-Aircraft | aircraft-resnet50-nts 91.4, aircraft-resnet50-nts-cin 93.3
cin     | Table 3    | Stanford Cars | cars-resnet50-nts 93.9, cars-resnet50-nts-cin 94.4
cin     | Table 2    | CUB-200-2011  | cub-resnet50 87.5, cub-resnet101 88.1
cin     | Table 2    | FGVC-Aircraft | aircraft-resnet50 92.6, aircraft-resnet101 92.8
cin     | Table 2    | Stanford Cars | cars-resnet50 94.1, cars-resnet101 94.5
cin     | text       | CUB-200-2011  | cub-vgg16 85.6
s3n     | Table 5    | CUB-200-2011  | cub-resnet50 88.5
s3n     | Table 5    | FGVC-Aircraft | aircraft-resnet50 92.8, aircraft-resnet50-o 89.9
s3n     | Table 5    | Stanford Cars | cars-resnet50 94.7, cars-resnet50-o 92.6
s3n     | Table 2    | CUB-200-2011  | cub-resnet50-o 86.0, cub-resnet50-od 87.6
s3n     | Table 2    | CUB-200-2011  | cub-resnet50-oc 87.3, cub-resnet50-dc 87.5
s3n     | Table 3    | CUB-200-2011  | cub-resnet50-saliency 85.9, cub-resnet50-class-response 87.8
s3n     | Table 4    | CUB-200-2011  | cub-resnet50-all 87.7, cub-resnet50-random 87.9
s3n     | footnote 3 | CUB-200-2011  | cub-resnet50-delta01 none, cub-resnet50-delta03 none
s3n     | Eq. 4      | CUB-200-2011  | cub-resnet50-all-peaks none
s3n     | released code | CUB-200-2011 | cub-resnet50-released none
"""


def stage(at: int, epochs: int, lr: float, decay: float, schedule: dict[str, Any]) -> dict[str, Any]:
    """SGD with momentum 0.9, which is not Nesterov's."""
    optimiser = {"type": "Sgd", "lr": lr, "momentum": 0.9, "nesterov": False, "weight_decay": decay, "scales": {}}
    optimiser["decayed"] = "all"
    whole = {"epochs": epochs, "optimiser": optimiser, "schedule": schedule, "frozen": [], "frozen_epochs": None}
    return leaves(whole, f"stages.{at}")


def squashed(size: int, side: int) -> dict[str, Any]:
    """Crops of ``size`` out of pictures of ``side`` x ``side``: at random in training, the centre in evaluation."""
    sides = {"size": size, "eval_size": size, "eval_crop": size / side, "fit": "stretch", "ratio": 1.0}
    return leaves({**sides, "min_scale": (size / side) ** 2, "max_scale": (size / side) ** 2}, "pixels")


def leaves(data: Any, path: str) -> dict[str, Any]:
    """The values of plain data by their paths; empty lists and tables are values, too."""
    steps = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return {key: value for step, item in steps for key, value in leaves(item, f"{path}.{step}").items()} or {path: data}


COSINE = {"type": "Cosine", "warmup": 0.0, "floor": 0.0}
HALVED = {"type": "StepDecay", "epochs": [20, 40, 60, 80], "factor": 0.5, "warmup": 0.0}
TENTHS = {"type": "StepDecay", "epochs": [150, 225], "factor": 0.1, "warmup": 0.0}
STEADY = {"type": "StepDecay", "epochs": [], "factor": 0.1, "warmup": 0.0}
LINE, ROOT = {"type": "Poly", "power": 1.0}, {"type": "Poly", "power": 0.5}


def balanced(classes: int, images: int) -> dict[str, Any]:
    return {"batches.type": "Balanced", "batches.classes": classes, "batches.images": images}


def shuffled(size: int) -> dict[str, Any]:
    return {"batches.type": "Shuffled", "batches.size": size, "batches.even": False}


def bilinear_stages() -> Iterator[tuple[str, dict[str, Any]]]:
    """Updates over the whole batches of 32 that an epoch has, such as 60,000 / (5,994 // 32)."""
    batches = {"cub": 187, "cars": 254, "aircraft": 208, "nabirds": 747, "flowers": 31, "dogs": 375}
    for name, count in batches.items():
        falls = (20, 30, 40, 50, 60, 70) if name == "dogs" else (20, 30, 40, 50)
        epochs = {
            "stages.0.epochs": round(1000 * (80 if name == "dogs" else 60) / count),
            "stages.1.epochs": round(1000 * (20 if name in ("cub", "aircraft") else 40) / count),
        }
        steps = {f"stages.0.schedule.epochs.{at}": round(1000 * fall / count) for at, fall in enumerate(falls)}
        yield f"pc/{name}-bcnn*", epochs | steps


COMPARED = ("center", "a-softmax", "focal", "coco", "lgm", "lmcl")
SETTINGS: tuple[tuple[str, dict[str, Any]], ...] = (
    # all five papers: plain cross-entropy, half of the views mirrored
    (
        "*",
        {"start": "zero", "frozen_stages": 0, "frozen_norms": False, "average_degree": 0.0, "length_by_start": False},
    ),
    ("*", {"clip": 0.0, "ema": 0.0, "precision": "fp32", "accumulate": 1, "micro_batch": 0, "seed": 0}),
    ("*", {"train_on.0": "train"}),
    ("*", {"model.method.type": "Plain", "model.pool.type": "Average", "model.head.type": "Linear"}),
    ("*", {"model.criterion.type": "CrossEntropy", "model.criterion.smoothing": 0.0}),
    ("*", {"model.neck": None, "model.terms": [], "model.weights": "hub", "model.output_stride": 0}),
    ("*", {"pixels.flip": True, "pixels.megapixels": 64.0}),
    ("*/aircraft-*", {"train_on.1": "val"}),  # 6,667 training photos
    ("*-resnet50*", {"model.backbone": "resnet50.tv_in1k"}),
    ("*-resnet101*", {"model.backbone": "resnet101.tv_in1k"}),
    ("*-densenet161*", {"model.backbone": "densenet161.tv_in1k"}),
    ("*-vgg16*", {"model.backbone": "vgg16.tv_in1k"}),
    ("*-vgg19*", {"model.backbone": "vgg19.tv_in1k"}),
    # Pairwise Confusion: the solver files' updates over the whole batches of an epoch, such as 10,000 / (5,994 // 144)
    ("pc/*", squashed(224, 256)),
    ("pc/cub-*", squashed(224, 224)),
    ("pc/*", shuffled(12 * 12) | {"accumulate": 12}),
    ("pc/*-densenet161*", shuffled(4 * 12)),
    ("pc/*", stage(0, 0, 0.1, 1e-4, LINE)),
    ("pc/cub-resnet50*", {"stages.0.epochs": 244}),
    ("pc/aircraft-resnet50*", {"stages.0.epochs": 435}),
    ("pc/nabirds-resnet50*", {"stages.0.epochs": 60}),
    ("pc/dogs-resnet50*", {"stages.0.epochs": 120}),
    ("pc/cars-*", {"stages.0.epochs": 1429, "stages.0.optimiser.lr": 0.08}),
    ("pc/flowers-*", {"stages.0.epochs": 5714, "stages.0.optimiser.lr": 0.08}),
    ("pc/cub-densenet161*", {"stages.0.epochs": 242}),
    ("pc/aircraft-densenet161*", {"stages.0.epochs": 435}),
    ("pc/nabirds-densenet161*", {"stages.0.epochs": 60}),
    ("pc/dogs-densenet161*", {"stages.0.epochs": 120}),
    ("pc/cars-densenet161*", {"stages.0.epochs": 1420}),
    ("pc/cub-googlenet*", stage(0, 201, 0.01, 2e-4, ROOT) | {"model.backbone": "googlenet"}),
    ("pc/cub-vgg16*", stage(0, 107, 5e-4, 5e-4, HALVED | {"epochs": [16, 32, 48, 64, 80, 96]})),
    ("pc/cub-googlenet*", shuffled(32) | {"accumulate": 1}),
    ("pc/cub-vgg16*", shuffled(32) | {"accumulate": 1}),
    ("pc/cifar*", stage(0, 38, 0.01, 2e-4, ROOT)),
    ("pc/cifar*", shuffled(32) | {"accumulate": 1, "model.weights": "none", "pixels.eval_crop": 1.0}),
    ("pc/cifar10-googlenet*", {"pixels.eval_crop": 224 / 256}),
    ("pc/cifar*", {"stages.0.optimiser.decayed": "weights"}),
    ("pc/*-googlenet*", {"stages.0.optimiser.decayed": "weights"}),
    ("pc/cifar*-googlenet*", {"model.backbone": "googlenet"}),
    ("pc/cifar*-resnet50*", {"model.backbone": "resnet50"}),
    ("pc/cifar*-densenet161*", {"model.backbone": "densenet161"}),
    ("pc/imagenet*", stage(0, 90, 0.1, 1e-4, TENTHS | {"epochs": [30, 60]})),
    ("pc/imagenet*", shuffled(256) | {"accumulate": 1, "model.weights": "none"}),
    ("pc/imagenet*-googlenet*", stage(0, 60, 0.01, 2e-4, ROOT) | shuffled(32)),
    ("pc/imagenet*-googlenet*", {"model.backbone": "googlenet", "stages.0.optimiser.decayed": "weights"}),
    ("pc/imagenet*-resnet50*", {"model.backbone": "resnet50"}),
    ("pc/imagenet*-densenet161*", {"model.backbone": "densenet161"}),
    ("pc/*", {"model.terms.0.type": "PairwiseConfusion", "model.terms.0.weight": 10.0}),
    ("pc/imagenet-[dr]*", {"model.terms.0.weight": 11.7}),
    ("pc/imagenet-resnet50", {"model.terms.0.weight": 10.0}),
    ("pc/cifar10-*", {"model.terms.0.weight": 1.0}),
    ("pc/*-plain", {"model.terms": []}),
    # its bilinear networks: the head alone, then all
    ("pc/*-bcnn*", {"model.pool.type": "Bilinear", "model.backbone": "vgg16.tv_in1k"} | squashed(448, 512)),
    ("pc/*-bcnn*", shuffled(4 * 8) | {"accumulate": 4}),
    ("pc/*-bcnn*", stage(0, 0, 1.0, 5e-6, {**STEADY, "factor": 0.25})),
    ("pc/*-bcnn*", {"stages.0.frozen.0": "backbone"} | stage(1, 0, 1e-3, 5e-4, STEADY)),
    *bilinear_stages(),
    # Mutual-Channel Loss
    ("mc-loss/*", {"model.pool.type": "Maximum", "model.head.type": "TwoLayerHead"}),
    ("mc-loss/flowers-*", {"train_on.1": "val"}),  # 2,040 training photos
    ("mc-loss/*", squashed(448, 448) | {"pixels.ratio": 4 / 3} | shuffled(64)),
    ("mc-loss/*", stage(0, 150, 1e-2, 5e-4, STEADY)),
    ("mc-loss/*", stage(1, 75, 1e-3, 5e-4, STEADY)),
    ("mc-loss/*", stage(2, 75, 1e-4, 5e-4, STEADY)),
    ("mc-loss/*", {f"stages.{n}.optimiser.scales.backbone": scale for n, scale in enumerate((0.01, 0.1, 1.0))}),
    ("mc-loss/*", {"model.terms.0.type": "MutualChannelLoss"}),
    ("mc-loss/*-bcnn", {"model.pool.type": "Bilinear", "model.head.type": "Linear"}),
    ("mc-loss/*-bcnn", {"model.backbone": "vgg16.tv_in1k"}),
    ("mc-loss/*-soft", {"model.terms.0.type": "SoftChannelLabels"}),
    ("mc-loss/*-scratch*", {"stages.1": None, "stages.2": None, "model.weights": "none"}),
    ("mc-loss/*-scratch*", squashed(224, 224) | {"pixels.ratio": 4 / 3} | shuffled(32)),
    ("mc-loss/*-scratch*", stage(0, 300, 0.1, 5e-4, TENTHS)),
    ("mc-loss/*-scratch*", {"stages.0.optimiser.scales.backbone": 1.0, "model.terms.0.weight": 1.5}),
    ("mc-loss/*-vgg16-scratch*", {"model.backbone": "vgg16_bn"}),
    ("mc-loss/*-resnet18-scratch*", {"model.backbone": "resnet18"}),
    ("mc-loss/*-scratch*", {"model.neck.type": "ChannelExpansion", "model.neck.xi": 3}),
    *((f"mc-loss/*-xi{xi}", {"model.neck.xi": xi}) for xi in (1, 2, 5, 6)),
    ("mc-loss/*-512", {"model.neck": None}),
    ("mc-loss/*-v2", {"model.terms.0.of": "label"}),
    ("mc-loss/*-minus-div", {"model.terms.0.diversity": 0.0}),
    ("mc-loss/*-minus-dis", {"model.terms.0.discriminality": 0.0}),
    ("mc-loss/*-minus-cwa", {"model.terms.0.drop": 0.0}),
    ("mc-loss/*-ce", {"model.neck": None, "model.terms": []}),
    # of its Table VI the other losses, on the features that the released head's last layer sees
    *((f"mc-loss/*-{name}", {"model.neck": None, "model.terms": []}) for name in COMPARED),
    *((f"mc-loss/*-{name}", {"model.pool.type": "HiddenMaximum", "model.head.type": "Linear"}) for name in COMPARED),
    ("mc-loss/*-center", {"model.terms.0.type": "CenterLoss"}),
    ("mc-loss/*-a-softmax", {"model.head.type": "AngularSoftmax"}),
    ("mc-loss/*-focal", {"model.criterion.type": "FocalLoss"}),
    ("mc-loss/*-coco", {"model.head.type": "CongenerousCosine"}),
    ("mc-loss/*-lgm", {"model.head.type": "GaussianMixture", "model.terms.0.type": "GaussianLikelihood"}),
    ("mc-loss/*-lmcl", {"model.head.type": "LargeMarginCosine"}),
    # API-Net
    ("api-net/*", squashed(448, 512) | balanced(30, 4) | {"model.method.type": "ApiNet"}),
    ("api-net/*", stage(0, 100, 0.01, 5e-4, COSINE)),
    ("api-net/*", {"stages.0.frozen.0": "backbone", "stages.0.frozen_epochs": 8}),
    ("api-net/dogs-*", {"stages.0.epochs": 50, "stages.0.optimiser.lr": 0.001, "stages.0.frozen_epochs": 12}),
    ("api-net/*-baseline", {"model.method.type": "Plain"}),
    ("api-net/*-triplet", {"model.method.type": "Plain", "model.terms.0.type": "Triplet"}),
    *((f"api-net/*-{w}", {"model.method.mutual": w.replace("-", "_")}) for w in ("individual", "compact-bilinear")),
    *((f"api-net/*-{w}", {"model.method.mutual": w.replace("-", "_")}) for w in ("subtract-square", "sum")),
    *((f"api-net/*-{w}", {"model.method.mutual": w.replace("-", "_")}) for w in ("product", "weight-attention")),
    ("api-net/*-single", {"model.method.gate": "single"}),
    ("api-net/*-ce", {"model.method.weight": 0.0}),
    ("api-net/*-random", {"model.method.intra": None, "model.method.inter": None}),
    ("api-net/*-[0ds][0ds]", {"model.method.mates": 1}),
    ("api-net/*-0[ds]", {"model.method.intra": None, "model.method.mates": 2}),
    ("api-net/*-[ds]0", {"model.method.inter": None, "model.method.mates": 2}),
    ("api-net/*-d[0ds]", {"model.method.intra": "dissimilar"}),
    ("api-net/*-s[0ds]", {"model.method.intra": "similar"}),
    ("api-net/*-[0ds]d", {"model.method.inter": "dissimilar"}),
    ("api-net/*-[0ds]s", {"model.method.inter": "similar"}),
    *((f"api-net/*-{n}x{m}", balanced(n, m)) for n, m in ((10, 4), (20, 4), (30, 2), (30, 3), (24, 5), (40, 3))),
    # Channel Interaction Network
    ("cin/*", squashed(448, 600) | balanced(4, 5)),
    ("cin/*", stage(0, 100, 0.001, 2e-4, HALVED)),
    ("cin/*", {"model.neck.type": "SelfChannelInteraction"}),
    ("cin/*", {"model.terms.0.type": "ContrastiveChannelInteraction"}),
    ("cin/*-plain", {"model.neck": None, "model.terms": []}),
    ("cin/*-se", {"model.neck.type": "SqueezeExcitation", "model.terms": []}),
    ("cin/*-non-local", {"model.neck.type": "NonLocal", "model.terms": []}),
    ("cin/*-cgnl", {"model.neck.type": "GeneralizedNonLocal", "model.terms": []}),
    ("cin/*-sci", {"model.terms": []}),
    ("cin/*-pos-sci", {"model.neck.scale": -1.0}),
    ("cin/*-cont", {"model.terms.0.operation": "none"}),
    ("cin/*-mamc", {"model.neck": None, "model.pool.type": "MultiExcitation"}),
    ("cin/*-mamc", {"model.terms.0.type": "MultiAttentionMultiClass"}),
    ("cin/*-nts*", {"model.method.type": "NTS"}),
    ("cin/*-nts", {"model.neck": None, "model.terms": []} | shuffled(16)),
    ("cin/*-nts", stage(0, 100, 0.001, 1e-4, TENTHS | {"epochs": [60]})),
    # Selective Sparse Sampling
    ("s3n/*", squashed(448, 512) | {"pixels.eval_crop": 1.0, "pixels.max_scale": 1.0, "pixels.ratio": 4 / 3}),
    ("s3n/*", shuffled(16) | {"model.method.type": "S3N"}),
    ("s3n/*", stage(0, 60, 0.01, 1e-4, COSINE)),
    ("s3n/*", {"stages.0.optimiser.scales.backbone": 0.1}),
    *((f"s3n/*-{letters}", {"model.method.branches": letters.upper()}) for letters in ("o", "od", "oc", "dc")),
    ("s3n/*-saliency", {"model.method.attention": "saliency"}),
    ("s3n/*-class-response", {"model.method.attention": "class_response"}),
    ("s3n/*-all", {"model.method.partition": "all"}),
    ("s3n/*-random", {"model.method.partition": "random"}),
    ("s3n/*-all-peaks", {"model.method.peaks": "all"}),
    ("s3n/*-delta01", {"model.method.threshold": 0.1}),
    ("s3n/*-delta03", {"model.method.threshold": 0.3}),
    ("s3n/*-released", {f"stages.0.optimiser.scales.{group}": 1e-7 / 0.01 for group in ("radii", "kernel")}),
    ("s3n/*-released", {"stages.0.optimiser.scales.convolutions": 0.001 / 0.01}),
    ("s3n/*-released", {"model.method.convolutions": True, "model.method.kernel": "learned"}),
    ("s3n/*-released", {"model.method.evaluation": "extremes"}),
    ("s3n/*-released", {"model.method.warmup": 20 / 60, "model.method.smoothing": 0.15}),
)
"""By the names of rows, later ones over earlier ones; a value takes the place of all that lies below its
path, a type that of all beside it."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "PairwiseConfusion": {"weight": 10.0, "label_aware": True, "squared": True, "on": "probabilities", "shuffle": True},
    "MutualChannelLoss": {"weight": 0.005, "diversity": 10.0, "drop": 0.5, "discriminality": 1.0, "across": "max"},
    "SoftChannelLabels": {"weight": 0.5, "diversity": 10.0, "drop": 0.5, "label_weight": 1.0, "momentum": 0.1},
    "TwoLayerHead": {"hidden": 512},
    "HiddenMaximum": {"hidden": 512},
    "FocalLoss": {"gamma": 2.0, "smoothing": 0.0},
    "CenterLoss": {"weight": 0.003, "rate": 0.5},
    "AngularSoftmax": {"m": 4, "first": 1000.0, "least": 5.0},
    "CongenerousCosine": {"scale": None},
    "GaussianMixture": {"margin": 0.01},
    "GaussianLikelihood": {"weight": 0.1},
    "LargeMarginCosine": {"scale": 64.0, "margin": 0.35},
    "ApiNet": {"mutual": "mlp", "gate": "pair", "weight": 1.0, "margin": 0.05, "dropout": 0.5}
    | {"intra": "similar", "inter": "similar", "mates": 1},
    "SelfChannelInteraction": {"scale": 1.0},
    "Bilinear": {"first": 0},
    "SqueezeExcitation": {"reduction": 16},
    "GeneralizedNonLocal": {"groups": 8},
    "ContrastiveChannelInteraction": {"weight": 2.0, "margin": 0.5, "operation": "subtract", "pairs": "random"}
    | {"loss": "contrastive", "normalise": False},
    "NTS": {"parts": 4, "proposals": 6, "threshold": 0.25, "margin": 1.0, "dropout": 0.5, "crop": 0},
    "MultiExcitation": {"attentions": 2, "width": 1024, "reduction": 16},
    "MultiAttentionMultiClass": {"attentions": 2, "weight": 0.5},
    "Triplet": {"weight": 1.0, "form": "ratio", "margin": 0.5, "intra": "dissimilar", "inter": "similar"},
    "S3N": {"branches": "ODC", "partition": "probability", "attention": "sparse", "threshold": 0.2, "window": 3}
    | {"peaks": "above_mean", "evaluation": "half", "warmup": 0.0, "convolutions": False, "smoothing": 0.0},
}
"""What a part is where its row says nothing."""


def expected(name: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    said = (pair for pattern, settings in SETTINGS if fnmatch(name, pattern) for pair in settings.items())
    for path, value in said:
        above = {path[:at] for at, letter in enumerate(path) if letter == "."}
        below = path.removesuffix("type") if path.endswith(".type") else f"{path}."
        kept = {key: old for key, old in values.items() if key not in above and not key.startswith(below)}
        values = kept | {path: value}
    return {path: value for path, value in values.items() if path not in ("stages.1", "stages.2")}


def printed() -> dict[str, tuple[str, str, float | None]]:
    rows: dict[str, tuple[str, str, float | None]] = {}
    for line in PRINTED.strip().splitlines():
        paper, table, data, figures = (cell.strip() for cell in line.split("|"))
        for cell in figures.split(", "):
            name, figure = cell.split(" ")
            assert f"{paper}/{name}" not in rows
            rows[f"{paper}/{name}"] = (data, table, None if figure == "none" else float(figure))
    return rows


def test_every_row_has_the_figure_of_its_table():
    assert {name: (row.data, row.table, row.paper) for name, row in ROWS.items()} == printed()


@pytest.mark.parametrize("name", ROWS)
def test_every_setting_of_a_row_is_the_one_that_was_typed(name: str):
    actual = {path.removeprefix("."): value for path, value in leaves(to_plain(ROWS[name].recipe), "").items()}
    wanted = expected(name)
    assert sorted(actual) == sorted(wanted)
    for path, value in wanted.items():
        assert actual[path] == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value), path


@pytest.mark.parametrize("name", DEFAULTS)
def test_what_a_row_leaves_to_its_part_is_the_paper_s(name: str):
    (kind,) = (kind for kind in KNOWN if kind.__name__ == name)
    parameters = inspect.signature(kind).parameters
    assert {option: parameters[option].default for option in DEFAULTS[name]} == DEFAULTS[name]
