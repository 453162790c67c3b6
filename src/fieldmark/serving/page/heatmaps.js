// Heatmaps drawn so that the photo stays readable: lit where they are high, dim and grey where they are low, with lines
// at a quarter, a half and three quarters of the maximum. The same look as explanations/drawing.py gives.

export const LEVELS = [0.25, 0.5, 0.75];
const COLOURS = ["#7e03a8", "#cc4778", "#f89540"];  // of matplotlib's "plasma", at the levels
const DARKEST = 0.4;
const GREYS = [0.299, 0.587, 0.114];
const STEP = 3;  // pixels between the samples that lines run through

/** The numbers in [0, 1] of a heatmap as the server sends it. */
export function numbers({ values, width, height }) {
  const bytes = Uint8Array.from(atob(values), (letter) => letter.charCodeAt(0));
  if (bytes.length !== width * height) throw new RangeError("a heatmap has other numbers than its size says");
  return Float32Array.from(bytes, (byte) => byte / 255);
}

/** A heatmap of `width` x `height` numbers at another size, bicubic as Pillow does it, in [0, 1]. */
export function enlarged(map, [width, height], [newWidth, newHeight]) {
  const across = weights(width, newWidth), down = weights(height, newHeight);
  const rows = new Float32Array(newWidth * height), out = new Float32Array(newWidth * newHeight);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < newWidth; x += 1) {
      const { from, share } = across[x];
      let sum = 0;
      for (let k = 0; k < share.length; k += 1) sum += share[k] * map[y * width + from + k];
      rows[y * newWidth + x] = sum;
    }
  }
  for (let y = 0; y < newHeight; y += 1) {
    const { from, share } = down[y];
    for (let x = 0; x < newWidth; x += 1) {
      let sum = 0;
      for (let k = 0; k < share.length; k += 1) sum += share[k] * rows[(from + k) * newWidth + x];
      out[y * newWidth + x] = Math.min(Math.max(sum, 0), 1);
    }
  }
  return out;
}

/** For each new place, the first old one that counts and the shares from there on. */
function weights(size, newSize) {
  const scale = size / newSize, wide = Math.max(scale, 1);
  return Array.from({ length: newSize }, (_, at) => {
    const centre = (at + 0.5) * scale, from = Math.max(Math.trunc(centre - 2 * wide + 0.5), 0);
    const until = Math.min(Math.trunc(centre + 2 * wide + 0.5), size);
    const share = Array.from({ length: until - from }, (__, k) => cubic((k + from - centre + 0.5) / wide));
    const sum = share.reduce((a, b) => a + b, 0);
    return { from, share: share.map((value) => value / sum) };
  });
}

function cubic(x) {
  const t = Math.abs(x), a = -0.5;
  if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  return t < 2 ? (((t - 5) * t + 8) * t - 4) * a : 0;
}

/** Draws `picture`, `full` pixels wide when upright, with a heatmap of the server's over it. */
export function drawLit(canvas, picture, heatmap, full) {
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const frame = heatmap.frame.map((value) => Math.round((value * canvas.width) / full));
  const [left, top] = frame, width = Math.max(frame[2], 1), height = Math.max(frame[3], 1);
  const map = numbers(heatmap), light = enlarged(map, [heatmap.width, heatmap.height], [width, height]);
  const pixels = pen.getImageData(0, 0, canvas.width, canvas.height);
  dim(pixels, light, { left, top, width, height });
  pen.putImageData(pixels, 0, 0);
  if (map.some((value) => value > LEVELS[0])) drawLines(pen, light, { left, top, width, height });
}

function dim({ data, width: wide, height: high }, light, { left, top, width, height }) {
  for (let y = 0, at = 0; y < high; y += 1) {
    for (let x = 0; x < wide; x += 1, at += 4) {
      const u = x - left, v = y - top;
      const inside = u >= 0 && v >= 0 && u < width && v < height;
      const root = inside ? Math.sqrt(light[v * width + u]) : 0, gain = DARKEST + (1 - DARKEST) * root;
      const grey = GREYS[0] * data[at] + GREYS[1] * data[at + 1] + GREYS[2] * data[at + 2];
      for (let c = at; c < at + 3; c += 1) data[c] = (grey + (data[c] - grey) * root) * gain + 0.5;
    }
  }
}

function drawLines(pen, light, { left, top, width, height }) {
  const thin = Math.max(pen.canvas.width / 480, 1);
  pen.lineCap = "round";
  LEVELS.forEach((level, at) => {
    const path = new Path2D();
    for (const [a, b] of segments(light, [width, height], level)) {
      path.moveTo(left + a[0], top + a[1]);
      path.lineTo(left + b[0], top + b[1]);
    }
    pen.strokeStyle = "rgb(0 0 0 / 0.6)";
    pen.lineWidth = 2.6 * thin;
    pen.stroke(path);
    pen.strokeStyle = COLOURS[at];
    pen.lineWidth = 1.5 * thin;
    pen.stroke(path);
  });
}

/** The pieces of the line where a field crosses a level, by marching squares. */
export function segments(field, [width, height], level) {
  const found = [], step = Math.max(1, Math.min(STEP, Math.floor(Math.min(width, height) / 8)));
  const value = (x, y) => field[y * width + x];
  for (let y = 0; y + step < height; y += step) {
    for (let x = 0; x + step < width; x += step) {
      const corners = [[x, y], [x + step, y], [x + step, y + step], [x, y + step]];
      const over = corners.map(([u, v]) => value(u, v) - level);
      const crossed = [];
      for (let side = 0; side < 4; side += 1) {
        const next = (side + 1) % 4;
        if (over[side] >= 0 === over[next] >= 0) continue;
        const share = over[side] / (over[side] - over[next]), [a, b] = [corners[side], corners[next]];
        crossed.push([a[0] + share * (b[0] - a[0]) + 0.5, a[1] + share * (b[1] - a[1]) + 0.5]);
      }
      for (let k = 0; k + 1 < crossed.length; k += 2) found.push([crossed[k], crossed[k + 1]]);
    }
  }
  return found;
}
