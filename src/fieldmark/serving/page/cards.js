// One card for each photo: on its way, answered, failed, corrected.

import { openChoice } from "./choice.js";
import { announce, copyOf, element, newId, say } from "./elements.js";
import { onItsWay } from "./server.js";
import { Sight, smallOf } from "./sight.js";
import { certainty, headline, NONE, percent, runnerUp, UNSURE } from "./words.js";

/** A card for an entry of the intake; `on` are the calls that it makes: retry, remove, mark, correct. */
export class Card {
  constructor(entry, { number, model, on }) {
    Object.assign(this, { entry, model, on, result: null, picture: null, corrected: undefined });
    this.stop = new AbortController();
    this.item = copyOf("card-template").querySelector("li");
    this.part = (kind) => this.item.querySelector(`.${kind}`);
    this.part("file").textContent = entry.name;
    this.part("file").dataset.number = number;
    this.sight = new Sight(this.part("sight"), entry.name);
    this.name();
    this.listen();
    this.wait("Waiting");
  }

  /** The card is named by its photo, and every button says which photo it is for. */
  name() {
    const file = this.part("file"), card = this.part("card");
    file.id = newId("photo");
    card.setAttribute("aria-labelledby", file.id);
    this.part("answer").setAttribute("aria-describedby", file.id);
    for (const button of this.item.querySelectorAll(".actions button, .retry, .undo")) {
      button.setAttribute("aria-describedby", file.id);
    }
    this.part("course").querySelector("progress").setAttribute("aria-labelledby", file.id);
  }

  listen() {
    this.part("retry").addEventListener("click", () => { this.part("answer").focus(); this.on.retry(this); });
    this.part("remove").addEventListener("click", () => this.on.remove(this));
    this.part("compare").addEventListener("click", () => this.on.mark(this));
    this.part("correct").addEventListener("click", () => (this.part("choice").hidden ? this.open() : this.close()));
    this.part("undo").addEventListener("click", () => { this.correct(undefined); this.part("correct").focus(); });
  }

  /** Reads the picture and shows it, once: when the card comes into view, or when there is time. */
  see() {
    return (this.seen ??= this.look());
  }

  async look() {
    try {
      this.picture = await smallOf(this.entry.file);
    } catch {
      this.picture = null;  // the server may know the kind
    }
    if (this.stop.signal.aborted) return this.forget();
    this.sight.show(this.picture);
    if (this.result) this.offerViews();
    return undefined;
  }

  /** The card goes: what it waits for is stopped, and the memory of its picture given back. */
  leave() {
    this.stop.abort();
    this.item.remove();
    this.forget();
  }

  forget() {
    if (this.picture) URL.revokeObjectURL(this.picture.address);
  }

  get state() {
    return this.part("card").dataset.state;
  }

  turn(state) {
    this.part("card").dataset.state = state;
    this.part("course").hidden = state !== "waiting";
    this.part("failed").hidden = state !== "failed";
    this.part("correct").hidden = this.part("compare").hidden = state !== "answered";
  }

  wait(words) {
    this.turn("waiting");
    this.part("state").textContent = words;
    this.part("course").querySelector("progress").removeAttribute("value");
  }

  sending(share) {
    this.wait(onItsWay(share));
    if (share < 1) this.part("course").querySelector("progress").value = share;
  }

  fail(message, { again = true } = {}) {
    this.turn("failed");
    this.result = null;
    this.mayTryAgain = again;
    for (const kind of ["answer", "sure", "classes"]) this.part(kind).textContent = "";
    this.part("near").hidden = this.part("set").hidden = this.part("all-the-same").hidden = true;
    this.sight.offer([]);
    this.part("answer").textContent = "No answer";
    this.part("why").textContent = message;
    this.part("retry").hidden = !again;
    this.on.tell(`${this.entry.name}: no answer. ${message}`);
  }

  show(result) {
    this.result = result;
    this.turn("answered");
    this.part("answer").textContent = headline(result);
    this.part("sure").textContent = certainty(result, this.model);
    const isNone = [NONE, UNSURE].includes(result.level);
    this.part("card").dataset.answer = isNone ? "none" : "some";
    say(this.part("all-the-same"), isNone ? "The likeliest of its classes, all the same:" : "");
    this.part("classes").replaceChildren(...result.classes.map(oddsOf));
    const among = result.set && (result.set.length ? `The set that was asked for: ${result.set.join(", ")}.` : "The set that was asked for is empty: no class is likely enough.");
    say(this.part("set"), among || "");
    this.showNear(result.neighbours ?? []);
    this.offerViews();
    this.on.tell(`${this.entry.name}: ${headline(result)}. ${certainty(result, this.model)}`);
  }

  showNear(neighbours) {
    this.part("near").hidden = !neighbours.length;
    this.part("near").querySelector("ul").replaceChildren(...neighbours.map(exampleOf));
  }

  offerViews() {
    const { class: whole, rival } = this.result.heatmaps ?? {}, other = runnerUp(this.result);
    this.sight.offer([
      { key: "class", label: "Where it shows", heatmap: whole, said: whole && `Bright is where ${whole.of} is seen.` },
      { key: "rival", label: `Why not ${other}?`, heatmap: rival, said: rival && `Bright is what speaks for ${rival.of} and not for ${other}.` },
    ]);
  }

  open() {
    const { entry, model, result } = this, near = result.classes.map((one) => one.class);
    this.part("correct").setAttribute("aria-expanded", "true");
    openChoice(this.part("choice"), {
      classes: model.classes,
      first: near,
      chosen: (label) => { this.close(); this.correct(label); announce(`${entry.name}: ${spoken(label)}.`); },
      closed: () => this.close(),
    });
  }

  close() {
    this.part("choice").hidden = true;
    this.part("choice").replaceChildren();
    this.part("correct").setAttribute("aria-expanded", "false");
    this.part("correct").focus();
  }

  /** A class, null to leave the photo out, or undefined for no correction. */
  correct(label) {
    this.corrected = label;
    this.part("corrected").hidden = label === undefined;
    this.part("corrected").querySelector("span").textContent = label === undefined ? "" : spoken(label);
    this.on.correct();
  }

  mark(isMarked) {
    this.part("compare").setAttribute("aria-pressed", String(isMarked));
  }
}

const spoken = (label) => (label === null ? "Left out" : `Corrected to ${label}`);

/** A class with its probability as a bar and a number. */
function oddsOf({ class: name, probability }) {
  const bar = element("span", { kind: "bar", "aria-hidden": "true" }, element("span"));
  bar.firstChild.style.width = `${100 * Math.min(Math.max(probability, 0), 1)}%`;
  return element("li", {}, element("span", { kind: "class", text: name }), bar, element("span", { kind: "share", text: percent(probability) }));
}

/** One of the nearest training photos; only pictures that came with the answer are shown. */
function exampleOf({ class: name, similarity, thumbnail }) {
  const isPicture = typeof thumbnail === "string" && /^data:image\/(jpeg|png|webp);base64,/.test(thumbnail);
  const picture = isPicture
    ? element("img", { src: thumbnail, alt: "", width: "96", height: "96" })
    : element("img", { kind: "stand-in", src: "bird.svg", alt: "", width: "96", height: "96" });
  return element("li", {}, picture, element("span", { kind: "class", text: name }), element("span", { kind: "quiet", text: `likeness ${similarity.toFixed(2)}` }));
}
