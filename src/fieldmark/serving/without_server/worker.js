// The network, away from the page, so that the page stays quick.

import * as ort from "./ort.js";
import { answerOf, pairOf } from "./answers.js";
import { frameOf, normalised, viewOf } from "./pixels.js";

ort.env.wasm.numThreads = 1;  // more need headers that a plain web server does not send
ort.env.wasm.wasmPaths = { wasm: new URL("ort-wasm-simd-threaded.wasm", import.meta.url).href };
ort.env.logLevel = "error";
const model = fetched("model.json").then((response) => response.json());
const session = fetched("model.onnx").then((response) => response.arrayBuffer())
  .then((content) => ort.InferenceSession.create(new Uint8Array(content), { executionProviders: ["wasm"] }));
let turn = Promise.resolve();  // the network answers one photo at a time

async function fetched(name) {
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok) throw new Error(`${name}: ${response.status}`);
  return response;
}

/** A file as upright pixels, three bytes each, colour profiles left aside as in training; what is clear is white. */
async function pictureOf(file) {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const { width, height } = bitmap, pen = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  pen.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = pen.getImageData(0, 0, width, height), out = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    const alpha = data[from + 3];
    for (let c = 0; c < 3; c += 1) out[to + c] = alpha === 255 ? data[from + c] : Math.round((data[from + c] * alpha + 255 * (255 - alpha)) / 255);
  }
  return { data: out, width, height };
}

/** A photo's probabilities, maps, and the frame of the picture that the network saw. */
async function look(file) {
  const told = await model, picture = await pictureOf(file);
  const frame = frameOf([picture.width, picture.height], told.pixels), side = told.pixels.eval_size;
  const images = new ort.Tensor("float32", normalised(viewOf(picture, frame, side), told), [1, 3, side, side]);
  const network = await session, names = ["probabilities", ...(told.offers.maps ? ["maps"] : [])];
  const { probabilities, maps = null } = await network.run({ images }, names);
  return { probabilities: Array.from(probabilities.data), maps, frame };
}

const TASKS = {
  classes: async () => { await session; return model; },
  predict: async ({ file, asked }) => answerOf(await model, asked, await look(file)),
  compare: async ({ files, asked }) => {
    const told = await model, seen = [await look(files[0]), await look(files[1])];
    return { results: seen.map((one) => answerOf(told, { ...asked, maps: false }, one)), pair: pairOf(told, seen) };
  },
};

onmessage = ({ data: { id, task, given } }) => {
  turn = turn.then(() => TASKS[task](given)).then(
    (value) => postMessage({ id, value }),
    (error) => postMessage({ id, problem: String(error.message ?? error), isPicture: error.name === "InvalidStateError" || error.name === "EncodingError" }),
  );
};
