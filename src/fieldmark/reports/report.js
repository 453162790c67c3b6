"use strict";
(() => {
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const one = (id) => document.getElementById(id);
  document.documentElement.classList.add("scripted");

  // The table of classes: each head's button sorts; what is typed above leaves rows whose class holds all of its words.
  const table = one("classes-table");
  if (table) {
    const body = table.tBodies[0];
    const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
    const value = (row, at) => row.cells[at].dataset.value ?? row.cells[at].textContent.trim();
    const compare = (a, b) => {
      if (a === "" || b === "") return (a === "") - (b === "");
      return isNaN(a) || isNaN(b) ? collator.compare(a, b) : a - b;
    };
    all("th button", table).forEach((button) => button.addEventListener("click", () => {
      const head = button.closest("th");
      const at = head.cellIndex;
      const up = head.getAttribute("aria-sort") !== "ascending";
      all("th", table.tHead).forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].map((row) => [value(row, at), row]);
      const missing = (pair) => pair[0] === "";
      rows.sort((a, b) => (missing(a) || missing(b) ? compare(a[0], b[0]) : (up ? 1 : -1) * compare(a[0], b[0])));
      body.append(...rows.map((pair) => pair[1]));
    }));
    const search = one("classes-search");
    const found = one("classes-found");
    search.addEventListener("input", () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let left = 0;
      for (const row of body.rows) {
        const text = row.cells[0].textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        left += !row.hidden;
      }
      found.textContent = words.length ? `${left} of ${body.rows.length} classes` : `${body.rows.length} classes`;
    });
  }

  // The matrix: one stop of the Tab key, arrows go from number to number, and a number shows its photos below.
  const matrix = one("matrix");
  const cells = all(".cell");
  const every = one("all-cells");
  const first = 8;
  const show = (chosen) => {
    cells.forEach((cell) => { cell.hidden = chosen ? cell !== chosen : false; cell.open = cell === chosen; });
    every.hidden = !chosen || cells.length < 2;
  };
  if (cells.length > first) {
    cells.slice(first).forEach((cell) => { cell.hidden = true; });
    every.hidden = false;
  }
  if (matrix && cells.length) {
    const buttons = all("button[data-cell]", matrix);
    const focus = (button) => {
      buttons.forEach((other) => { other.tabIndex = other === button ? 0 : -1; });
      button.focus();
    };
    buttons.forEach((button, at) => {
      button.tabIndex = at ? -1 : 0;
      button.addEventListener("click", () => {
        buttons.forEach((other) => other.setAttribute("aria-expanded", String(other === button)));
        const cell = one(button.dataset.cell);
        focus(button);
        show(cell);
        cell.querySelector("summary").focus();
      });
    });
    matrix.addEventListener("keydown", (event) => {
      const at = buttons.indexOf(document.activeElement);
      if (at < 0) return;
      const column = (button) => button.closest("td").cellIndex;
      const same = buttons.filter((button) => column(button) === column(buttons[at]));
      const inside = same.indexOf(buttons[at]);
      const next = {
        ArrowRight: buttons[at + 1], ArrowLeft: buttons[at - 1], ArrowDown: same[inside + 1], ArrowUp: same[inside - 1],
        Home: buttons[0], End: buttons.at(-1),
      }[event.key];
      if (next) { event.preventDefault(); focus(next); }
    });
    every.addEventListener("click", () => {
      show(null);
      every.hidden = true;
      buttons.forEach((button) => button.setAttribute("aria-expanded", "false"));
      cells[0].querySelector("summary").focus();
    });
  }
  all("a[data-cell]").forEach((link) => link.addEventListener("click", () => show(one(link.dataset.cell))));

  // On paper everything is open.
  let closed = [];
  let hidden = [];
  addEventListener("beforeprint", () => {
    hidden.push(...cells.filter((cell) => cell.hidden));
    closed.push(...all("details:not([open])"));
    hidden.forEach((cell) => { cell.hidden = false; });
    closed.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => {
    hidden.forEach((cell) => { cell.hidden = true; });
    closed.forEach((details) => { details.open = false; });
    hidden = [];
    closed = [];
  });
})();
