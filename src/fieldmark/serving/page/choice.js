// A class chosen from a list that is searched by typing.

import { copyOf, element, newId } from "./elements.js";

const SHOWN = 60;  // classes at once

/** Fills `place` with the search; `first` are classes to offer before all others. `chosen` gets a class, or null to leave the photo out. */
export function openChoice(place, { classes, first, chosen, closed }) {
  place.replaceChildren(copyOf("choice-template"));
  place.hidden = false;
  const box = new Box(place, [...new Set([...first, ...classes])], chosen);  // its list stays open: what moves is missed
  place.querySelector(".leave-out").addEventListener("click", () => chosen(null));
  place.querySelector(".cancel").addEventListener("click", closed);
  place.onkeydown = (event) => { if (event.key === "Escape") closed(); };
  box.input.focus();
  place.scrollIntoView({ block: "nearest" });
}

class Box {
  constructor(place, classes, chosen) {
    Object.assign(this, { classes, chosen, at: -1, found: [] });
    this.input = place.querySelector("input");
    this.list = place.querySelector("ul");
    this.said = place.querySelector(".choice-said");
    this.input.id = newId("choice");
    this.list.id = newId("choices");
    place.querySelector("label").htmlFor = this.input.id;
    this.list.setAttribute("aria-label", "Classes");
    this.input.setAttribute("aria-controls", this.list.id);
    this.input.addEventListener("input", () => this.search());
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.search();
  }

  search() {
    const words = this.input.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
    const all = this.classes.filter((name) => words.every((word) => name.toLocaleLowerCase().includes(word)));
    this.found = all.slice(0, SHOWN);
    const options = this.found.map((name, at) => {
      const option = element("li", { role: "option", id: `${this.list.id}-${at}`, text: name });
      option.addEventListener("pointerdown", (event) => event.preventDefault());  // the search keeps the focus
      option.addEventListener("click", () => this.chosen(name));
      return option;
    });
    this.list.replaceChildren(...options);
    const more = all.length - this.found.length;
    this.said.textContent = all.length ? (more ? `${more.toLocaleString("en")} more: type to find them` : "") : "No class has these words in its name.";
    this.list.hidden = !all.length;
    this.input.setAttribute("aria-expanded", String(all.length > 0));
    this.move(words.length && all.length ? 0 : -1);
  }

  move(to) {
    this.at = to;
    [...this.list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === to)));
    const active = this.list.children[to];
    if (!active) this.input.removeAttribute("aria-activedescendant");
    else {
      this.input.setAttribute("aria-activedescendant", active.id);
      active.scrollIntoView({ block: "nearest" });
    }
  }

  key(event) {
    const last = this.found.length - 1;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      this.move(event.key === "ArrowDown" ? (this.at >= last ? 0 : this.at + 1) : (this.at <= 0 ? last : this.at - 1));
    } else if (event.key === "Enter" && this.found[this.at]) {
      event.preventDefault();
      this.chosen(this.found[this.at]);
    }
  }
}
