// Two photos side by side: what in each speaks for its class and not for the other.

import { announce, byId, element } from "./elements.js";
import { Sight } from "./sight.js";
import { headline, percent } from "./words.js";

/** Shows the server's answer about two cards, and takes the focus there. */
export async function showComparison(answer, cards) {
  const { pair, results } = answer, [first, second] = pair.classes;
  byId("comparison-said").textContent = sentence(pair.classes, results);
  byId("comparison-sides").replaceChildren(...await Promise.all(cards.map((card, at) => sideOf(card, results[at], pair, at))));
  fillTable(pair.classes, results, cards);
  byId("comparison").hidden = false;
  byId("comparison-title").focus();
  byId("comparison").scrollIntoView({ block: "start" });
  announce(`Side by side: ${first} and ${second}.`);
}

/** Takes the comparison away. */
export function closeComparison() {
  byId("comparison").hidden = true;
  byId("comparison-sides").replaceChildren();
}

function sentence([first, second], results) {
  const [one, other] = results.map((result) => result.classes[0].class);
  if (one !== other) return `What tells ${first} from ${second} in these two photos.`;
  const next = first === one ? second : first;
  return next === one ? `Both photos look like ${one}.` : `Both photos look like ${one}; the class to tell it from is ${next}.`;
}

async function sideOf(card, result, pair, at) {
  const isPair = pair.classes[0] !== pair.classes[1], heatmap = isPair ? pair.heatmaps?.[at] : null, figure = element("figure", { kind: "sight" });
  const views = element("fieldset", { kind: "views" }, element("legend", { kind: "unseen", text: "Show" }));
  views.hidden = true;
  figure.append(element("div", { kind: "frame" }), views, element("figcaption", { kind: "view-said quiet" }));
  const sight = new Sight(figure, card.entry.name);
  sight.show(card.picture);
  const said = heatmap ? `Bright is what speaks for ${heatmap.of} and not for ${heatmap.against}.` : "";
  await sight.offer([{ key: "pair", label: heatmap ? `Why ${heatmap.of}?` : "", heatmap, said }], "pair");
  if (isPair && !heatmap) figure.querySelector(".view-said").textContent = "This model has no exact heatmaps, so what speaks for a class cannot be shown.";
  return element("article", { kind: "side" }, element("p", { kind: "file", text: card.entry.name }), element("h3", { kind: "answer", text: headline(result) }), figure);
}

function fillTable(classes, results, cards) {
  const head = byId("comparison-table").tHead, body = byId("comparison-table").tBodies[0];
  const corner = element("th", { scope: "col", text: "Photo" });
  head.replaceChildren(element("tr", {}, corner, ...[...new Set(classes)].map((name) => element("th", { scope: "col", text: name }))));
  body.replaceChildren(...results.map((result, at) => {
    const share = (name) => result.classes.find((one) => one.class === name)?.probability;
    const least = percent(result.classes.at(-1).probability).replace(/^< /, "");
    const cells = [...new Set(classes)].map((name) => element("td", { text: share(name) === undefined ? `< ${least}` : percent(share(name)) }));
    return element("tr", {}, element("th", { scope: "row", text: cards[at].entry.name }), ...cells);
  }));
}
