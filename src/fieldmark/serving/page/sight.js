// A photo as it is shown: the picture itself, and heatmaps over it to switch between. What is kept of each is a small
// picture, compressed; for a heatmap the file is read once more.

import { element, newId } from "./elements.js";
import { drawLit } from "./heatmaps.js";

const SIDE = 960;  // the most pixels that are shown of a side
const QUALITY = 0.9;

/** A small picture of a file: its address, its size, how wide the file's own picture is, and the file. */
export async function smallOf(file) {
  const { canvas, full } = await pictureOf(file), { width, height } = canvas;
  const content = await canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
  canvas.width = canvas.height = 0;  // gives its memory back now
  return { file, address: URL.createObjectURL(content), width, height, full };
}

/** The picture of a file, upright and small enough to show: a canvas, and how wide the file's own picture is. */
async function pictureOf(file) {
  const whole = await createImageBitmap(file, { imageOrientation: "from-image" });
  const full = whole.width, share = Math.min(1, SIDE / Math.max(full, whole.height));
  const canvas = new OffscreenCanvas(Math.max(1, Math.round(full * share)), Math.max(1, Math.round(whole.height * share)));
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.fillStyle = "#fff";  // where the picture is clear, as the network sees it
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(whole, 0, 0, canvas.width, canvas.height);
  whole.close();
  return { canvas, full };
}

/** Shows a photo in a figure: `picture`, as `smallOf` has it, is null where the browser cannot read the file. */
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
    const { address, width, height } = picture;
    this.image = element("img", { src: address, width, height, alt: `The photo ${this.name}` });
    this.frame.replaceChildren(this.image);
  }

  /** Views to choose from: `{key, label, heatmap, said}`, of which one is chosen at first; resolves when it is drawn. */
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
    return this.turn(this.offered.has(chosen) ? chosen : "photo");
  }

  async turn(key) {
    const view = this.offered.get(key);
    if (!this.picture || !view) return;
    this.view = view;
    this.said.replaceChildren(...(view.said ? [view.said, scale()] : []));
    this.frame.setAttribute("aria-busy", "true");
    const shown = view.heatmap ? await this.lit(view) : this.image;
    if (this.view !== view) return;  // another one was chosen meanwhile
    this.frame.replaceChildren(shown);
    this.frame.removeAttribute("aria-busy");
  }

  /** The photo with a heatmap over it, drawn from its file, or from the small picture if that is gone. */
  async lit({ heatmap, said }) {
    const { file, width, height, full } = this.picture;
    const canvas = element("canvas", { role: "img", "aria-label": `The photo ${this.name}. ${said}` });
    Object.assign(canvas, { width, height });
    const source = await pictureOf(file).then((picture) => picture.canvas, () => this.image);
    drawLit(canvas, source, heatmap, full);
    return canvas;
  }
}

/** What the lines mean. */
function scale() {
  const shares = [25, 50, 75].map((share) => element("span", { kind: `line line-${share}`, text: String(share) }));
  return element("span", { kind: "scale" }, "Lines: ", ...shares, " % of the strongest");
}
