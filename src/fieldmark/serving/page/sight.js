// A photo as it is shown: the picture itself, and heatmaps over it to switch between.

import { element, newId } from "./elements.js";
import { drawLit } from "./heatmaps.js";

const SIDE = 960;  // the most pixels that are shown of a side

/** The picture of a file, upright and small enough to show: a canvas, and how wide the file's own picture is. */
export async function pictureOf(file) {
  const address = URL.createObjectURL(file), image = new Image();
  try {
    image.src = address;
    await image.decode();
    const full = image.naturalWidth, share = Math.min(1, SIDE / Math.max(full, image.naturalHeight));
    const canvas = element("canvas");
    canvas.width = Math.max(1, Math.round(full * share));
    canvas.height = Math.max(1, Math.round(image.naturalHeight * share));
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return { canvas, full };
  } finally {
    URL.revokeObjectURL(address);
  }
}

/** Shows a photo in a figure: `picture` null where the browser cannot read the file. */
export class Sight {
  constructor(figure, name) {
    this.name = name;
    this.frame = figure.querySelector(".frame");
    this.views = figure.querySelector(".views");
    this.said = figure.querySelector(".view-said");
    this.offered = new Map();
  }

  show(picture) {
    this.picture = picture;
    if (!picture) {
      const words = element("p", { kind: "quiet", text: "No picture: this browser cannot show files of this kind." });
      this.frame.replaceChildren(element("img", { kind: "stand-in", src: "bird.svg", alt: "", width: "96", height: "96" }), words);
      return;
    }
    this.canvas = element("canvas", { role: "img", "aria-label": `The photo ${this.name}` });
    this.canvas.width = picture.canvas.width;
    this.canvas.height = picture.canvas.height;
    this.canvas.getContext("2d", { willReadFrequently: true }).drawImage(picture.canvas, 0, 0);
    this.frame.replaceChildren(this.canvas);
  }

  /** Views to choose from: `{key, label, heatmap, said}`, of which one is chosen at first. */
  offer(views, chosen = "photo") {
    const all = [{ key: "photo", label: "Photo", heatmap: null, said: "" }, ...views.filter((view) => view.heatmap)];
    this.offered = new Map(all.map((view) => [view.key, view]));
    const group = newId("view");
    const buttons = all.map(({ key, label }) => {
      const button = element("input", { type: "radio", name: group, value: key });
      button.checked = key === (this.offered.has(chosen) ? chosen : "photo");
      button.addEventListener("change", () => this.turn(key));
      return element("label", {}, button, element("span", { text: label }));
    });
    this.views.replaceChildren(this.views.querySelector("legend"), ...buttons);
    this.views.hidden = all.length < 2 || !this.picture;
    this.turn(this.offered.has(chosen) ? chosen : "photo");
  }

  turn(key) {
    const view = this.offered.get(key);
    if (!this.picture || !view) return;
    const { canvas, full } = this.picture;
    if (view.heatmap) drawLit(this.canvas, canvas, view.heatmap, full);
    else this.canvas.getContext("2d").drawImage(canvas, 0, 0);
    this.canvas.setAttribute("aria-label", view.said ? `The photo ${this.name}. ${view.said}` : `The photo ${this.name}`);
    this.said.replaceChildren(...(view.said ? [view.said, scale()] : []));
  }
}

/** What the lines mean. */
function scale() {
  const shares = [25, 50, 75].map((share) => element("span", { kind: `line line-${share}`, text: String(share) }));
  return element("span", { kind: "scale" }, "Lines: ", ...shares, " % of the strongest");
}
