// Elements by hand. Names of classes and files are always text (`textContent`), never markup.

/** The element of an id, which index.html has. */
export const byId = (id) => document.getElementById(id);

/** A new element with a class, text, and children. */
export function element(tag, { kind = "", text = null, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text !== null) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** What a template of index.html holds, once more. */
export const copyOf = (id) => byId(id).content.cloneNode(true);

/** Text in place of what an element says; hidden where there is none. */
export function say(where, text) {
  where.textContent = text;
  where.hidden = !text;
}

let counted = 0;
/** An id that no other element has. */
export const newId = (stem) => `${stem}-${(counted += 1)}`;

let spoken;
/** Says something to those who do not see the page; what comes quickly one after the other is said together. */
export function announce(text) {
  const live = byId("live");
  spoken = spoken ? `${spoken} ${text}` : text;
  setTimeout(() => { if (spoken) { live.textContent = spoken; spoken = ""; } }, 400);
}
