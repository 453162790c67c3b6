// Numbers and answers in words.

export const NONE = "none of these";
export const UNSURE = "unsure";

/** A share in whole percents; what is not all or nothing is never rounded to it. */
export function percent(share) {
  if (share > 0.995 && share < 1) return "> 99 %";
  if (share > 0 && share < 0.005) return "< 1 %";
  return `${Math.round(100 * share)} %`;
}

/** Bytes as megabytes. */
export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

/** One or several of something. */
export const counted = (count, noun, several = `${noun}s`) => `${count.toLocaleString("en")} ${count === 1 ? noun : several}`;

/** The headline of an answer. */
export function headline(result) {
  if (result.level === NONE) return "None of these";
  if (result.level === UNSURE) return "Unsure";
  return result.answer || result.classes[0].class;
}

/** What is said below the headline. `model` is what the server says of itself. */
export function certainty(result, model) {
  const first = result.classes[0];
  if (result.level === NONE) {
    const near = result.nearest ? `It looks like no class of this model. The nearest is ${result.nearest}` : "It looks like no class of this model";
    return `${near}${result.distance === null || result.distance === undefined ? "" : `, at a distance of ${result.distance.toFixed(2)}`}.`;
  }
  if (result.level === UNSURE) return "No class and no group is certain enough.";
  const isGroup = result.answer && !model.classes.includes(result.answer);
  const share = result.answer_probability ?? first.probability;
  const odds = model.calibrated ? `Probability ${percent(share)}` : `Score ${percent(share)}, not calibrated`;
  if (isGroup) return `${odds}. A group${result.level ? ` (${result.level})` : ""}: which one of it is not certain.`;
  return `${odds}.`;
}

/** What all numbers on the page are worth. */
export const worth = (model) => (model.calibrated
  ? "Probabilities are calibrated: of photos like those kept out of training, about 80 in 100 of the answers given with 80 % are right."
  : "These numbers are not calibrated: they put the classes in order, but do not say how often an answer is right. fieldmark calibrate, before the export, makes them do so.");

/** Who is likeliest after the answer itself. */
export function runnerUp(result) {
  return result.heatmaps?.rival?.against ?? result.classes[1]?.class ?? "";
}
