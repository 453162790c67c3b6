"""Where a bird's parts lie in a picture: frames of reference, outlines as smooth curves, the shapes of field marks."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fieldmark.birds.plumage import Build

Points = np.ndarray  # (N, 2) float, x and y
Knots = np.ndarray | Sequence[tuple[float, float]]
_TURN = np.linspace(0, 2 * np.pi, 24, endpoint=False)
_TAIL = ((0.1, -0.12), (-1.02, -0.16), (-1.02, 0.17), (0.1, 0.12))  # corners of the room that it takes
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], 1)


class Frame(NamedTuple):
    """A frame of reference in pixels: ``along`` points to the bird's front, ``across`` to its belly."""

    origin: Points
    along: Points
    across: Points

    def at(self, points: Knots) -> Points:
        """Points of this frame in pixels: ``(N, 2)``."""
        where = np.asarray(points, float).reshape(-1, 2)
        return self.origin + where[:, :1] * self.along + where[:, 1:] * self.across

    def turned(self, point: tuple[float, float], angle: float, scale: float = 1.0) -> "Frame":
        """A frame at ``point`` of this one, turned head up by ``angle`` radians."""
        cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
        along, across = cos * self.along - sin * self.across, sin * self.along + cos * self.across
        return Frame(self.at([point])[0], along, across)

    @property
    def unit(self) -> float:
        """Pixels per unit."""
        return float(np.hypot(*self.along))


class Pose(NamedTuple):
    """How the bird stands: angles in radians, ``facing`` 1 (right) or -1, ``fill`` its share of the picture's side."""

    facing: int
    tilt: float
    nod: float
    tail: float
    neck: float
    fluff: float
    fill: float
    shift: tuple[float, float]


class Anatomy(NamedTuple):
    """The frames of one posed bird, and its outlines in pixels."""

    world: Frame
    body: Frame
    head: Frame
    tail: Frame
    outline: Points
    wing: Points
    feet: Points
    build: Build


def random_pose(rng: np.random.Generator) -> Pose:
    """A pose of a perched songbird. The draws do not depend on the species."""
    return Pose(
        facing=1 if rng.random() < 0.5 else -1,
        tilt=float(rng.uniform(0.30, 0.78)),
        nod=float(rng.uniform(-0.16, 0.26)),
        tail=float(rng.uniform(-0.22, 0.22)),
        neck=float(rng.uniform(-0.03, 0.06)),
        fluff=float(rng.uniform(0.96, 1.07)),
        fill=float(rng.uniform(0.76, 0.93)),
        shift=(float(rng.uniform(-1, 1)), float(rng.uniform(-1, 1))),
    )


def curve(points: Knots, *, closed: bool = True, steps: int = 10) -> Points:
    """A smooth (Catmull-Rom) curve through the points: ``(N * steps, 2)``."""
    knots = np.asarray(points, float)
    ends = (knots[-1:], knots[:2]) if closed else (knots[:1], knots[-1:])
    padded = np.concatenate([ends[0], knots, ends[1]])
    a, b, c, d = (padded[i : len(padded) - 3 + i, None] for i in range(4))
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    smooth = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return np.concatenate([smooth.reshape(-1, 2), knots[:1] if closed else knots[-1:]])


def ribbon(points: Knots, widths: list[float]) -> Points:
    """The outline of a stroke along a smooth curve whose width goes through ``widths``."""
    line = curve(points, closed=False)
    half = np.interp(np.linspace(0, 1, len(line)), np.linspace(0, 1, len(widths)), widths)[:, None] / 2
    step = np.gradient(line, axis=0)
    normal = np.stack([-step[:, 1], step[:, 0]], 1) / np.maximum(np.hypot(*step.T), 1e-9)[:, None]
    return np.concatenate([line + half * normal, (line - half * normal)[::-1]])


def pen_points(points: Points) -> list[tuple[float, ...]]:
    """The points as Pillow's pen takes them."""
    return [tuple(point) for point in points.tolist()]


def disc(x: float, y: float, radius: float, *, long: float = 1.0, angle: float = 0.0) -> Points:
    """An ellipse of 24 points; ``long`` is its length over its width."""
    cos, sin = math.cos(angle) * radius, math.sin(angle) * radius
    return _CIRCLE @ np.array([[cos * long, sin * long], [-sin, cos]]) + (x, y)


def pose_bird(build: Build, pose: Pose, side: int) -> Anatomy:
    """The bird posed in a picture of ``side`` pixels; room is kept for the longest bill, so the bill moves nothing."""
    rough = _assemble(build, pose, Frame(np.zeros(2), np.array([pose.facing, 0.0]), np.array([0.0, 1.0])))
    reach = np.concatenate([rough.outline, rough.feet, rough.head.at([(2.45, 0.45)]), rough.tail.at(_TAIL)])
    low, high = reach.min(0), reach.max(0)
    scale = pose.fill * side / (high - low).max()
    slack = (side * 0.94 - (high - low) * scale) / 2
    origin = side / 2 - (low + high) / 2 * scale + np.array(pose.shift) * np.maximum(slack, 0)
    return _assemble(build, pose, Frame(origin, np.array([pose.facing * scale, 0.0]), np.array([0.0, scale])))


def _assemble(build: Build, pose: Pose, world: Frame) -> Anatomy:
    body = world.turned((0.0, 0.0), pose.tilt)
    depth = build.depth * pose.fluff
    seat = body.at([(0.475 + pose.neck, -0.165 * depth)])[0] - world.origin
    spot = (float(seat[0] / world.along[0]), float(seat[1] / world.across[1]))
    head = world.turned(spot, pose.nod, 0.205 * build.head)
    tail = body.turned((-0.50, -0.02), pose.tail, 0.56 * build.tail)
    return Anatomy(
        world=world,
        body=body,
        head=head,
        tail=tail,
        outline=_outline(body, head, depth),
        wing=_wing(body, depth),
        feet=_feet(world, body, depth, build.legs),
        build=build,
    )


def _outline(body: Frame, head: Frame, depth: float) -> Points:
    """Body and head in one closed curve, from the nape over the crown, breast and belly to the back."""
    angles = np.radians([160, 132, 104, 76, 48, 22, -4, -28])
    skull = np.stack([1.06 * np.cos(angles), -np.sin(angles)], 1)
    skull[5:8, 0] += (0.02, 0.05, 0.02)
    front = [(0.555, 0.07), (0.48, 0.215), (0.30, 0.305), (0.08, 0.325), (-0.16, 0.27), (-0.38, 0.15)]
    back = [
        (-0.58, 0.055),
        (-0.62, -0.01),
        (-0.57, -0.075),
        (-0.38, -0.155),
        (-0.16, -0.235),
        (0.06, -0.275),
        (0.22, -0.285),
    ]
    stretch = np.array([1.0, depth])
    return curve(
        np.concatenate([head.at(skull), body.at(np.array(front) * stretch), body.at(np.array(back) * stretch)])
    )


def _wing(body: Frame, depth: float) -> Points:
    edge = [
        (0.385, 0.03), (0.35, -0.10), (0.20, -0.185), (-0.02, -0.185), (-0.26, -0.11), (-0.48, -0.03), (-0.74, 0.045),
        (-0.55, 0.075), (-0.30, 0.125), (-0.05, 0.18), (0.17, 0.19), (0.32, 0.14),
    ]  # fmt: skip
    return curve(body.at(np.array(edge) * (1.0, depth)))


def _feet(world: Frame, body: Frame, depth: float, legs: float) -> Points:
    """Hips and feet of the far and the near leg: hip, ankle, foot, hip, ankle, foot."""
    drop = 0.17 * legs
    hips = body.at([(0.06, 0.27 * depth), (-0.10, 0.25 * depth)])
    down, ahead = world.across * drop, world.along
    level = max(hips[:, 1]) + 0.055 * world.unit + down[1]
    rows = []
    for hip, step in zip(hips, (0.05, 0.0), strict=True):
        ankle = hip + ahead * (step - 0.03) + down * 0.45
        rows += [hip, ankle, np.array([(hip + ahead * (step + 0.015))[0], level])]
    return np.array(rows)


def tail_feathers(tail: Frame, fork: float) -> list[Points]:
    """The tail's feathers, the far ones first."""
    feathers = []
    for spread in (-1.0, 1.0, -0.5, 0.5, 0.0):
        tip = -1.0 + fork * (1 - abs(spread)) - 0.0
        y = 0.085 * spread
        shape = [(0.12, y * 0.5 - 0.05), (tip * 0.6, y - 0.066), (tip + 0.03, y - 0.06), (tip - 0.015, y + 0.005)]
        shape += [(tip + 0.02, y + 0.06), (tip * 0.6, y + 0.066), (0.12, y * 0.5 + 0.05)]
        feathers.append(tail.at(curve(shape, steps=6)))
    return feathers


def bill_shape(shape: str) -> tuple[Points, Points]:
    """Upper and lower mandible of a bill in the head's frame, whose radius is 1."""
    top, seam, low = _BILLS[shape]
    upper = np.concatenate([curve(top, closed=False), curve(seam, closed=False)[::-1]])
    lower = np.concatenate([curve(seam, closed=False), curve(low, closed=False)[::-1]])
    return upper, lower


_BILLS = {
    "thin": (
        [(0.78, -0.16), (1.15, -0.10), (1.55, 0.01), (1.80, 0.10)],
        [(0.78, 0.06), (1.20, 0.06), (1.60, 0.08), (1.80, 0.10)],
        [(0.78, 0.20), (1.15, 0.17), (1.50, 0.13), (1.78, 0.11)],
    ),
    "stout": (
        [(0.74, -0.34), (1.10, -0.27), (1.42, -0.09), (1.66, 0.14)],
        [(0.74, 0.12), (1.06, 0.09), (1.36, 0.12), (1.66, 0.14)],
        [(0.74, 0.42), (1.06, 0.40), (1.36, 0.29), (1.64, 0.15)],
    ),
    "hooked": (
        [(0.76, -0.24), (1.20, -0.20), (1.58, -0.08), (1.76, 0.10), (1.73, 0.30)],
        [(0.76, 0.08), (1.15, 0.08), (1.50, 0.09), (1.64, 0.13), (1.73, 0.30)],
        [(0.76, 0.27), (1.12, 0.26), (1.42, 0.22), (1.58, 0.16), (1.66, 0.16)],
    ),
    "curved": (
        [(0.78, -0.18), (1.25, -0.13), (1.75, 0.01), (2.15, 0.21), (2.40, 0.42)],
        [(0.78, 0.05), (1.25, 0.04), (1.72, 0.14), (2.12, 0.29), (2.40, 0.42)],
        [(0.78, 0.21), (1.25, 0.16), (1.70, 0.23), (2.10, 0.35), (2.38, 0.44)],
    ),
}
EYE = (0.36, -0.10)
_HEAD_PATCHES = {
    "cap": [
        (1.0, -0.18), (0.62, -0.30), (0.30, -0.36), (-0.25, -0.34), (-0.80, -0.12), (-1.05, 0.05), (-1.30, -0.40),
        (-0.90, -1.15), (0.0, -1.35), (0.9, -1.1), (1.2, -0.5),
    ],
    "nape": [(-0.80, -0.42), (-1.15, -0.50), (-1.5, 0.10), (-1.4, 0.45), (-1.02, 0.45), (-0.76, 0.08)],
    "throat": [(0.95, 0.22), (0.60, 0.40), (0.34, 0.72), (0.30, 1.12), (0.62, 1.42), (1.10, 1.15), (1.25, 0.60)],
}  # fmt: skip
# Middle line and widths along it.
_HEAD_STRIPES = {
    "crown_stripe": (
        [(0.90, -0.36), (0.62, -0.62), (0.10, -0.80), (-0.45, -0.70), (-0.86, -0.34)],
        [0.08, 0.16, 0.18, 0.08],
    ),
    "eyebrow": (
        [(0.86, -0.20), (0.55, -0.38), (0.15, -0.43), (-0.30, -0.36), (-0.74, -0.14)],
        [0.06, 0.13, 0.14, 0.04],
    ),
    "whisker": ([(0.78, 0.26), (0.52, 0.46), (0.22, 0.76), (0.06, 1.02)], [0.06, 0.14, 0.16, 0.04]),
}


def mark_shapes(bird: Anatomy, rng: np.random.Generator) -> dict[str, list[Points]]:
    """The closed shapes of every mark that is a coat of paint (all but bill and legs), in pixels."""
    depth = bird.build.depth
    head = {name: [bird.head.at(curve(shape))] for name, shape in _HEAD_PATCHES.items()}
    head |= {name: [bird.head.at(ribbon(line, widths))] for name, (line, widths) in _HEAD_STRIPES.items()}
    head["eye_ring"] = [bird.head.at(disc(*EYE, 0.25))]
    body = {name: [bird.body.at(s * (1.0, depth)) for s in shapes] for name, shapes in _body_shapes(rng).items()}
    band = ribbon([(-0.74, -0.22), (-0.77, 0.0), (-0.74, 0.22)], [0.15, 0.15])
    return {**head, **body, "tail_band": [bird.tail.at(band)]}


def _body_shapes(rng: np.random.Generator) -> dict[str, list[Points]]:
    spots = []
    for row, u in enumerate((0.49, 0.43, 0.37, 0.30, 0.22, 0.14)):
        for v in np.arange(0.02 + 0.02 * (row % 2), 0.30, 0.052):
            x, y = np.array([u, v]) + rng.uniform(-0.010, 0.010, 2)
            spots.append(disc(x, y, 0.0115 * rng.uniform(0.8, 1.2), long=1.5))
    bars = []
    for u, low, high, lean in ((0.255, -0.135, 0.155, 0.05), (0.135, -0.145, 0.17, 0.07)):
        rows = np.linspace(low, high, 12)
        middle = u - lean * np.sin((rows - low) / (high - low) * np.pi)
        bars.append(ribbon(np.stack([middle, rows], 1), [0.008, 0.014, 0.014, 0.008]))
        bars += [
            disc(x - 0.005, y, 0.010, long=1.3)
            for x, y in zip(middle + rng.uniform(-0.004, 0.002, 12), rows, strict=True)
        ]
    rump = curve(
        [(-0.30, -0.26), (-0.32, -0.10), (-0.44, -0.02), (-0.56, 0.03), (-0.60, -0.05), (-0.52, -0.16), (-0.40, -0.24)]
    )
    return {"breast_spots": spots, "wing_bars": bars, "rump": [rump]}
