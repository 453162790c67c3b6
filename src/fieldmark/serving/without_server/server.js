// In the place of a server: the model in this browser. The same words as the page's own server.js has.

const LIMIT = 100;  // megabytes of all photos that are answered at once

/** Why there is no answer, in words for people, and whether another try is no use. */
export class Failure extends Error {
  constructor(message, { isFinal = false } = {}) {
    super(message);
    Object.assign(this, { after: null, status: 0, isFinal });
  }
}

/** Answers as the server does, one photo at a time, of at most `limit` megabytes. */
export class Server {
  constructor() {
    this.waiting = new Map();
    this.count = 0;
    this.limit = LIMIT;
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => this.settle(data);
    this.worker.onerror = () => {
      for (const id of this.waiting.keys()) this.settle({ id, problem: "the model did not start" });
    };
  }

  /** The bytes of all photos that are answered at once. */
  get room() {
    return this.limit * 1e6;
  }

  /** What becomes of a photo. */
  get promise() {
    return "JPEG, PNG, WebP and whatever else this browser shows. No photo leaves this device: the model answers here.";
  }

  /** Why a photo is not answered at all. */
  tooLarge() {
    return `This photo has more than ${this.limit} MB. Save it smaller, then choose it again.`;
  }

  classes() {
    return this.ask("classes", {}, "The model cannot be opened: the folder's files must come from a web server, complete. ");
  }

  async predict(file, asked, { told, signal }) {
    told(1);
    const result = await this.ask("predict", { file, asked }, "This photo cannot be answered. ");
    if (signal.aborted) throw new DOMException("stopped", "AbortError");
    return result;
  }

  compare(first, second) {
    return this.ask("compare", { files: [first, second], asked: { top: 20 } }, "These photos cannot be compared. ");
  }

  ask(task, given, otherwise) {
    this.count += 1;
    this.worker.postMessage({ id: this.count, task, given });
    return new Promise((resolve, reject) => this.waiting.set(this.count, { resolve, reject, otherwise }));
  }

  settle({ id, value, problem, isPicture }) {
    const { resolve, reject, otherwise } = this.waiting.get(id) ?? {};
    this.waiting.delete(id);
    if (!resolve) return;
    if (problem === undefined) resolve(value);
    else if (isPicture) reject(new Failure("This browser cannot read the photo. Try another one, or save this one as JPEG first.", { isFinal: true }));
    else reject(new Failure(`${otherwise}(${problem})`));
  }
}

/** How far a photo is on its way. */
export const onItsWay = () => "Looking at it";
