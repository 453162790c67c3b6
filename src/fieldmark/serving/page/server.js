// The server's interface, and what goes wrong with it in plain words.

import { megabytes, percent } from "./words.js";

const LIMIT = 10;  // megabytes of a request, where the server does not say
const PATIENCE = 60_000;  // milliseconds for one answer
const AWAY = 2;  // seconds until a server that cannot be reached is tried again
const STORED = "fieldmark-token";

/** Why there is no answer: words for people, the status, the seconds after which to try again (null: nobody said),
 * whether that is no use, and whether the server cannot be reached at all. */
export class Failure extends Error {
  constructor(message, { status = 0, after = null, isAway = false } = {}) {
    super(message);
    Object.assign(this, { status, after, isAway, isFinal: [400, 413, 415, 422].includes(status) });
  }
}

/** Where photos are answered: `classes`, `predict`, `compare`, with requests of at most `limit` megabytes. `askToken`
 * resolves to a token or "" for none. */
export class Server {
  constructor(askToken) {
    this.askToken = askToken;
    this.asking = null;
    this.limit = LIMIT;
    try { this.token = sessionStorage.getItem(STORED) ?? ""; } catch { this.token = ""; }
  }

  /** The bytes of a request that are left for photos. */
  get room() {
    return this.limit * 1e6 - 1000;
  }

  /** What becomes of a photo. */
  get promise() {
    return `JPEG, PNG, WebP and other pictures, up to ${this.limit} MB each. A photo goes to this server as it is, to be answered; the server keeps none.`;
  }

  /** Why a photo is not sent at all. */
  tooLarge(file) {
    return `This photo has ${megabytes(file.size)}; the server takes ${this.limit} MB at most. Save it smaller, then choose it again.`;
  }

  /** What the model is and offers, and what the server takes. */
  async classes() {
    const told = await this.answer("GET", "v1/classes");
    this.limit = told.limits?.megabytes ?? LIMIT;
    return told;
  }

  /** The answer to one photo. `told` gets the share that is sent; `signal` stops. */
  async predict(file, asked, { told, signal }) {
    const form = new FormData();
    form.append("image", file, "photo");  // its name is nobody's business
    const { results } = await this.answer("POST", `v1/predict?${queryOf(asked)}`, { body: form, told, signal });
    const [result] = results;
    if (result.error) throw new Failure(`${result.error}. ${OTHER_PHOTO}`, { status: 422 });
    return result;
  }

  /** Two photos, each against the other. */
  compare(first, second, { signal }) {
    const form = new FormData();
    form.append("image", first, "first");
    form.append("image", second, "second");
    return this.answer("POST", "v1/compare?top=20", { body: form, signal });
  }

  /** Whether it can be reached. */
  async isThere() {
    try {
      await this.answer("GET", "healthz");
      return true;
    } catch (error) {
      return !error.isAway;
    }
  }

  async answer(method, place, { body = null, told = () => {}, signal } = {}) {
    for (;;) {
      const used = this.token;
      try {
        return await sent(method, place, { body, told, signal, token: used, limit: this.limit });
      } catch (error) {
        if (error.status !== 401 || !(await this.newToken(used))) throw error;
      }
    }
  }

  /** Asks once for a token, however many answers wait for it; whether there is one to try. */
  async newToken(refused) {
    if (this.token !== refused) return true;
    this.asking ??= this.askToken(Boolean(refused)).finally(() => { this.asking = null; });
    const token = await this.asking;
    if (token) this.remember(token);
    return Boolean(token);
  }

  remember(token) {
    this.token = token;
    try { sessionStorage.setItem(STORED, token); } catch { /* then it holds until the page is left */ }
  }
}

const OTHER_PHOTO = "Try another photo, or save this one as JPEG first.";

/** What is asked beside the photo, as the query of an address; what was not asked for is left out. */
function queryOf(asked) {
  const given = Object.entries(asked).filter(([, value]) => value !== null && value !== false && value !== 0);
  return new URLSearchParams(given.map(([name, value]) => [name, value === true ? "1" : String(value)]));
}

/** One request. XMLHttpRequest, because fetch does not tell how much is sent. */
function sent(method, place, { body, told, signal, token, limit }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, new URL(place, document.baseURI));
    request.responseType = "text";
    request.timeout = PATIENCE;
    request.setRequestHeader("Accept", "application/json");
    if (token) request.setRequestHeader("Authorization", `Bearer ${token}`);
    const stop = () => request.abort();
    signal?.addEventListener("abort", stop, { once: true });
    request.addEventListener("loadend", () => signal?.removeEventListener("abort", stop));
    request.upload.addEventListener("progress", (event) => told(event.lengthComputable ? event.loaded / event.total : 0));
    request.upload.addEventListener("load", () => told(1));
    request.addEventListener("load", () => settle(request, { resolve, reject, limit }));
    request.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
    request.addEventListener("timeout", () => reject(new Failure("The server took longer than a minute. Try again.")));
    request.addEventListener("error", () => reject(new Failure(
      "The server cannot be reached. See that it runs and that you are connected.", { after: AWAY, isAway: true },
    )));
    request.send(body);
  });
}

function settle(request, { resolve, reject, limit }) {
  let value = null;
  try { value = JSON.parse(request.responseText); } catch { /* told below */ }
  if (request.status === 200 && value) resolve(value);
  else reject(failureOf(request, value, limit));
}

function failureOf(request, value, limit) {
  const { status } = request, said = value?.error?.message ?? "", seconds = Number(request.getResponseHeader("Retry-After"));
  const asked = [429, 503].includes(status) ? Math.min(Math.max(Math.ceil(seconds) || 1, 1), 60) : null;
  const isAway = status === 502, after = isAway ? AWAY : asked;
  return new Failure(inWords(status, { said, id: value?.request_id ?? "", limit }), { status, after, isAway });
}

function inWords(status, { said, id, limit }) {
  const quoted = said ? `${said.replace(/^(photo|first|second): /, "The server cannot read it: ").replace(/[.\s]*$/, "")}. ` : "";
  switch (status) {
    case 200: return "What came back is no answer of this server. Try again.";
    case 401: return "The server wants a token. Try again to enter it.";
    case 408: case 504: return "Sending took too long for the server. Try again, or send a smaller photo.";
    case 413: return `The photo is too large for this server: ${limit} MB at most. Save it smaller, then choose it again.`;
    case 400: case 415: case 422: return quoted ? `${quoted}${OTHER_PHOTO}` : `The server cannot read this photo. ${OTHER_PHOTO}`;
    case 429: return "You asked more than the server answers one person at once.";
    case 502: return "The server cannot be reached at the moment.";
    case 503: return "The server has more to do than it can at the moment.";
    default: return `The server failed (${status})${id ? `, request ${id}` : ""}. Try again; if it stays so, tell whoever runs it.`;
  }
}

/** How far a photo is on its way. */
export const onItsWay = (share) => (share < 1 ? `Sending: ${percent(share)}` : "Looking at it");
