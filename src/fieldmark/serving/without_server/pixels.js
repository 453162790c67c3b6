// From a picture to the network's pixels, bit for bit as fieldmark/input/views.py: one resize of one region, with
// Pillow's arithmetic (bicubic with antialiasing in fixed point; a large picture is first reduced by whole numbers).

const GREY = 128;
const BITS = 22;  // of a weight's fraction
const GAP = 3;  // a picture is reduced first where it shrinks by more than this and a whole number

/** The region `[left, top, width, height]` of a picture of `[width, height]` that evaluation sees. */
export function frameOf([width, height], { fit, eval_crop: crop }) {
  if (fit === "pad") {
    const side = Math.max(width, height);
    return [Math.floor((width - side) / 2), Math.floor((height - side) / 2), side, side];
  }
  let across = width * crop, down = height * crop;
  if (fit !== "stretch") across = down = Math.min(across, down);
  return [(width - across) / 2, (height - down) / 2, across, down];
}

/** The view of a picture `{data, width, height}` with three bytes a pixel: bytes of `side` x `side` pixels. */
export function viewOf(picture, frame, side) {
  const { source, target: [x0, y0, x1, y1] } = placeOf(frame, [picture.width, picture.height], side);
  const part = resized(picture, [x1 - x0, y1 - y0], source);
  if (part.width === side && part.height === side) return part.data;
  const view = new Uint8Array(3 * side * side).fill(GREY);
  for (let y = 0; y < part.height; y += 1) {
    view.set(part.data.subarray(3 * y * part.width, 3 * (y + 1) * part.width), 3 * ((y0 + y) * side + x0));
  }
  return view;
}

/** A view as the network takes it: float32, channel by channel. */
export function normalised(view, { shift, scale }) {
  const count = view.length / 3, values = new Float32Array(view.length);
  for (let c = 0; c < 3; c += 1) {
    const by = Math.fround(scale[c]), less = Math.fround(shift[c]);
    for (let at = 0; at < count; at += 1) values[c * count + at] = Math.fround(view[3 * at + c] - less) * by;
  }
  return values;
}

function placeOf([left, top, width, height], [wide, high], side) {
  const source = [Math.max(left, 0), Math.max(top, 0), Math.min(left + width, wide), Math.min(top + height, high)];
  const [x0, x1] = spanOf((source[0] - left) / width, (source[2] - left) / width, side);
  const [y0, y1] = spanOf((source[1] - top) / height, (source[3] - top) / height, side);
  return { source, target: [x0, y0, x1, y1] };
}

function spanOf(start, end, side) {
  const first = Math.min(rounded(start * side), side - 1);
  return [first, Math.max(rounded(end * side), first + 1)];
}

/** To the nearest whole number, halves to the even one, as Python does. */
function rounded(value) {
  const low = Math.floor(value), rest = value - low;
  return rest === 0.5 ? low + (low % 2) : Math.round(value);
}

/** Pillow's `resize(size, BICUBIC, box, reducing_gap=3)`. */
export function resized(picture, size, box) {
  if (picture.width === size[0] && picture.height === size[1] && box.join() === [0, 0, ...size].join()) return picture;
  const scale = [(box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1]];
  const factor = scale.map((value) => Math.trunc(value / GAP) || 1);
  if (Math.max(...factor) > 1) {
    const whole = [picture.width, picture.height], from = [0, 1].map((axis) => Math.max(0, Math.trunc(box[axis] - 1.5 * scale[axis])));
    const to = [0, 1].map((axis) => Math.min(whole[axis], Math.ceil(box[axis + 2] + 1.5 * scale[axis])));
    picture = reduced(picture, factor, [...from, ...to]);
    box = box.map((value, at) => (value - from[at % 2]) / factor[at % 2]);
  }
  box = box.map(Math.fround);  // as Pillow holds it
  const across = [weightsOf(picture.width, box[0], box[2], size[0]), true];
  const down = [weightsOf(picture.height, box[1], box[3], size[1]), false];
  // the order of Pillow 13, which begins where most is saved; it decides about the last bit
  const less = picture.height - size[1], isTall = less > 0 && less > 2 * (picture.width - size[0]);
  return (isTall ? [down, across] : [across, down]).reduce((made, [weights, isAcross]) => pass(made, weights, isAcross), picture);
}

/** Pillow's `reduce(factor, box)`: means of blocks; at the right and the bottom they may be smaller. */
function reduced({ data, width }, [across, down], [left, top, right, bottom]) {
  const wide = Math.ceil((right - left) / across), high = Math.ceil((bottom - top) / down);
  const out = new Uint8Array(3 * wide * high);
  for (let y = 0; y < high; y += 1) {
    const firstRow = top + y * down, lastRow = Math.min(firstRow + down, bottom);
    for (let x = 0; x < wide; x += 1) {
      const first = left + x * across, last = Math.min(first + across, right);
      const count = (last - first) * (lastRow - firstRow), times = Math.trunc(Math.fround(2 ** 24 / count));
      const sums = [count >> 1, count >> 1, count >> 1];
      for (let v = firstRow; v < lastRow; v += 1) {
        for (let at = 3 * (v * width + first), end = 3 * (v * width + last); at < end; at += 3) {
          sums[0] += data[at]; sums[1] += data[at + 1]; sums[2] += data[at + 2];
        }
      }
      for (let c = 0; c < 3; c += 1) out[3 * (y * wide + x) + c] = Math.floor((sums[c] * times) / 2 ** 24);
    }
  }
  return { data: out, width: wide, height: high };
}

/** For each new place the first old one that counts, and whole weights from there on. */
function weightsOf(size, start, end, newSize) {
  const scale = Math.fround(end - start) / newSize, wide = Math.max(scale, 1), support = 2 * wide;
  return Array.from({ length: newSize }, (_, at) => {
    const centre = start + (at + 0.5) * scale, from = Math.max(Math.trunc(centre - support + 0.5), 0);
    const until = Math.min(Math.trunc(centre + support + 0.5), size);
    const shares = Array.from({ length: until - from }, (__, k) => cubic((k + from - centre + 0.5) * (1 / wide)));
    const sum = shares.reduce((a, b) => a + b, 0);
    const whole = shares.map((value) => (value / sum) * 2 ** BITS).map((value) => Math.trunc(value < 0 ? value - 0.5 : value + 0.5));
    return { from, shares: Int32Array.from(whole) };
  });
}

function cubic(x) {
  const t = Math.abs(x), a = -0.5;
  if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  return t < 2 ? (((t - 5) * t + 8) * t - 4) * a : 0;
}

/** One pass, along the rows or along the columns. */
function pass({ data, width, height }, weights, isAcross) {
  const wide = isAcross ? weights.length : width, high = isAcross ? height : weights.length;
  const out = new Uint8ClampedArray(3 * wide * high), step = isAcross ? 3 : 3 * width;
  for (let y = 0; y < high; y += 1) {
    for (let x = 0; x < wide; x += 1) {
      const { from, shares } = weights[isAcross ? x : y], begin = isAcross ? 3 * (y * width + from) : 3 * (from * width + x);
      let red = 1 << (BITS - 1), green = red, blue = red;
      for (let k = 0, at = begin; k < shares.length; k += 1, at += step) {
        red += data[at] * shares[k]; green += data[at + 1] * shares[k]; blue += data[at + 2] * shares[k];
      }
      const place = 3 * (y * wide + x);
      out[place] = red >> BITS; out[place + 1] = green >> BITS; out[place + 2] = blue >> BITS;
    }
  }
  return { data: out, width: wide, height: high };
}
