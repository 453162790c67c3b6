// What a network's outputs say of a photo, in the server's form.

const CELL = 4;  // pixels of the view for a cell of a heatmap

/** The answer to a photo from `probabilities` (C) and `maps` {data, dims [1, C, h, w]} or null. */
export function answerOf(model, asked, { probabilities, maps, frame }) {
  const order = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a] || a - b);
  const classes = order.slice(0, asked.top).map((label) => ({ class: model.classes[label], probability: probabilities[label] }));
  const empty = { answer: null, level: null, answer_probability: null, nearest: null, distance: null, set: null, error: null };
  const heatmaps = maps && asked.maps ? { class: heatmapOf(model, maps, frame, order[0]), rival: heatmapOf(model, maps, frame, order[0], order[1]) } : null;
  return { name: "photo", classes, ...empty, heatmaps };
}

/** Two photos, what in each speaks for its class and not for the other's; where both have one, against the next likely. */
export function pairOf(model, [first, second]) {
  let [one, other] = [best(first.probabilities), best(second.probabilities)];
  if (one === other) other = best(first.probabilities.map((value, at) => (at === one ? 0 : value * second.probabilities[at])));
  const heatmaps = [[first, one, other], [second, other, one]]
    .map(([{ maps, frame }, own, rival]) => (maps ? heatmapOf(model, maps, frame, own, rival) : null));
  return { classes: [model.classes[one], model.classes[other]], heatmaps: heatmaps[0] ? heatmaps : [] };
}

const best = (values) => values.reduce((at, value, label) => (value > values[at] ? label : at), 0);

/** What speaks for a class, or for it rather than another, as fieldmark/ship/heatmaps.py has it. */
function heatmapOf(model, { data, dims: [, , height, width] }, frame, label, against = null) {
  const size = height * width, cells = Math.floor(model.pixels.eval_size / CELL);
  const response = Float32Array.from({ length: size }, (_, at) => data[label * size + at] - (against === null ? 0 : data[against * size + at]));
  const found = across(down(response, width, height, cells), width, cells).map((value) => Math.max(value, 0));
  const most = found.reduce((a, b) => Math.max(a, b), 0) || 1;
  const letters = Array.from(found, (value) => String.fromCharCode(Math.round((255 * value) / most))).join("");
  const words = against === null ? { of: model.classes[label] } : { of: model.classes[label], against: model.classes[against] };
  return { ...words, width: cells, height: cells, values: btoa(letters), frame };
}

/** Two neighbours and the share of the second, for each new cell. */
function between(count, cells) {
  return Array.from({ length: cells }, (_, at) => {
    const place = Math.min(Math.max(((at + 0.5) * count) / cells - 0.5, 0), count - 1), first = Math.floor(place);
    return [first, Math.min(first + 1, count - 1), place - first];
  });
}

function down(values, width, height, cells) {
  return Float32Array.from(between(height, cells).flatMap(([near, far, share]) =>
    Array.from({ length: width }, (_, x) => values[near * width + x] * (1 - share) + values[far * width + x] * share)));
}

function across(values, width, cells) {
  const places = between(width, cells), rows = values.length / width;
  return Float32Array.from({ length: rows * cells }, (_, at) => {
    const [near, far, share] = places[at % cells], row = Math.floor(at / cells) * width;
    return values[row + near] * (1 - share) + values[row + far] * share;
  });
}
