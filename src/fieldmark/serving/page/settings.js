// How photos are to be answered: what the page asks the server beside the photo.

import { byId } from "./elements.js";

const EXAMPLES = 4;  // nearest photos of a card
const LEAST_REFUSAL = 0.05;

/** Shows the settings that this model offers; `changed` is called when one is changed. */
export function offerSettings(model, changed) {
  const { refuse = null, coverage = null } = model.offers ?? {};
  byId("refuse-setting").hidden = refuse === null;
  byId("certainty-setting").hidden = !model.calibrated;
  byId("coverage-setting").hidden = coverage === null;
  byId("refuse").checked = refuse !== null;
  if (refuse !== null) bound("refuse-share", Math.ceil(100 * refuse - 1e-9), 50, 100 * Math.max(refuse, LEAST_REFUSAL));
  if (coverage !== null) bound("coverage-share", 50, Math.floor(100 * coverage + 1e-9), 100 * Math.min(coverage, 0.9));
  bound("top", 1, Math.min(20, model.classes.length), Math.min(5, model.classes.length));
  byId("settings").hidden = false;
  for (const input of byId("settings").querySelectorAll("input")) input.addEventListener("change", changed);
}

function bound(id, least, most, value) {
  Object.assign(byId(id), { min: String(Math.max(least, 1)), max: String(most), value: String(Math.round(value)) });
}

/** The questions as the server takes them. */
export function asked(model) {
  const { maps = false, neighbours = false } = model.offers ?? {};
  return {
    top: number("top"),
    maps,
    rival: maps,
    neighbours: neighbours ? EXAMPLES : 0,
    refuse: share("refuse"),
    certainty: share("certainty"),
    coverage: share("coverage"),
  };
}

/** A share that is asked for, or null. */
const share = (id) => (byId(id).checked && !byId(`${id}-setting`).hidden ? number(`${id}-share`) / 100 : null);

/** What stands in a field, within its bounds. */
function number(id) {
  const field = byId(id), value = Math.round(Number(field.value)) || Number(field.min);
  const kept = Math.min(Math.max(value, Number(field.min)), Number(field.max));
  field.value = String(kept);
  return kept;
}
