// Photos that come in: dropped, pasted, taken or chosen, one by one or as folders.

import { byId } from "./elements.js";
import { counted } from "./words.js";

const MOST = 500;  // photos at once
const KINDS = /\.(jpe?g|jfif|png|webp|gif|bmp|tiff?|avif|heic|heif|ppm|pgm|jp2)$/i;
let pasted = 0;

/** A file and its path below what was chosen ("" where there is no folder). */
const entry = (file, path = "") => ({ file, path, name: path || file.name });

/** Calls `take` with the photos of every way in: a list of `{file, path, name}`, and what is to be said of files that
 * were passed over. */
export function listen(take) {
  const give = (entries) => {
    const wanted = entries.filter(({ file, path }) => !path || file.type.startsWith("image/") || KINDS.test(file.name));
    const beyond = Math.max(wanted.length - MOST, 0);
    if (entries.length) take(wanted.slice(0, MOST), passedOver(entries.length - wanted.length, beyond));
  };
  for (const [button, input] of [["choose", "files"], ["take", "camera"], ["choose-folder", "folder"]]) {
    byId(button).addEventListener("click", () => byId(input).click());
    byId(input).addEventListener("change", ({ target }) => {
      give([...target.files].map((file) => entry(file, file.webkitRelativePath)));
      target.value = "";  // so that the same photo may be chosen again
    });
  }
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    give(files.map((file) => entry(named(file))));
  });
  listenToDrops(give);
}

/** What is said of files that are no pictures, and of photos beyond those that are taken at once. */
function passedOver(others, beyond) {
  const reasons = [
    others && `${counted(others, "file")} passed over: no ${others === 1 ? "picture" : "pictures"}.`,
    beyond && `${counted(beyond, "photo")} passed over: this page takes ${MOST} at once. Choose ${beyond === 1 ? "it" : "them"} next.`,
  ];
  return reasons.filter(Boolean).join(" ");
}

/** A pasted picture under a name of its own: browsers call them all the same. */
function named(file) {
  if (!/^image\.\w+$/.test(file.name)) return file;
  pasted += 1;
  return new File([file], `pasted-${pasted}.${file.name.split(".").pop()}`, { type: file.type });
}

function listenToDrops(give) {
  const veil = byId("drop");
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  let over = 0;
  const end = () => { over = 0; veil.hidden = true; };
  addEventListener("dragenter", (event) => { if (holdsFiles(event)) { over += 1; veil.hidden = false; } });
  addEventListener("dragleave", () => { over -= 1; if (over <= 0) end(); });
  addEventListener("dragover", (event) => { if (holdsFiles(event)) event.preventDefault(); });
  addEventListener("drop", async (event) => {
    end();
    if (!holdsFiles(event)) return;
    event.preventDefault();
    // both must be read before the event is over
    const trees = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const files = [...event.dataTransfer.files];
    give(trees.some((tree) => tree.isDirectory) ? (await Promise.all(trees.map(below))).flat() : files.map((file) => entry(file)));
  });
}

/** All files below what was dropped, with their paths. */
async function below(tree, path = "") {
  const here = path ? `${path}/${tree.name}` : tree.name;
  if (tree.isFile) return [entry(await new Promise((done, fail) => tree.file(done, fail)), path ? here : "")];
  const reader = tree.createReader(), found = [];
  for (;;) {  // a browser gives a hundred at a time
    const more = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!more.length) return (await Promise.all(found.map((inner) => below(inner, here)))).flat();
    found.push(...more);
  }
}
