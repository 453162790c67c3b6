// Corrected answers as the list that `fieldmark check PHOTOS --apply corrections.csv` reads (data/corrections.py).

const FORMULA = /^[=+\-@\t\r]/;
const WORDS = ["drop", "keep", "suggested"];

/** What a list says of a photo: its name in the data, the class that its folder gives it (or ""), and the decision. */
export function rowOf({ path, file }, label, classes) {
  const parts = (path || file.name).split("/"), known = new Set(classes);
  // what was chosen is the folder of all photos, or that of a single class
  const inside = path && !(parts.length === 2 && known.has(parts[0])) ? parts.slice(1) : parts;
  const folder = inside.length > 1 ? inside.at(-2) : "";
  return { file: inside.join("/"), given: known.has(folder) ? folder : "", decision: decisionOf(label) };
}

function decisionOf(label) {
  if (label === null) return "drop";
  return WORDS.includes(label.toLowerCase()) || label.startsWith("class:") ? `class:${label}` : label;
}

/** Photos of one name with different decisions, which no list can tell apart: their names. */
export function unclear(rows) {
  const decided = new Map();
  for (const { file, decision } of rows) decided.set(file, (decided.get(file) ?? new Set()).add(decision));
  return [...decided].filter(([, decisions]) => decisions.size > 1).map(([file]) => file);
}

/** The list as CSV, a row for each photo. */
export function tableOf(rows) {
  const left = new Set(unclear(rows));
  const seen = new Map(rows.filter(({ file }) => !left.has(file)).map((row) => [row.file, row]));
  const lines = [["file", "given", "decision"], ...[...seen.values()].map(({ file, given, decision }) => [file, given, decision])];
  return lines.map((cells) => `${cells.map(cellOf).join(",")}\r\n`).join("");
}

/** A cell that spreadsheet programs show and do not compute. */
function cellOf(text) {
  const shielded = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(shielded) ? `"${shielded.replaceAll('"', '""')}"` : shielded;
}
