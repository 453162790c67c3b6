// The page: photos come in, a few at a time are answered, answers are compared and corrected.

import { Card } from "./cards.js";
import { closeComparison, showComparison } from "./comparing.js";
import { rowOf, tableOf, unclear } from "./corrections.js";
import { announce, byId, element, say } from "./elements.js";
import { listen } from "./intake.js";
import { Failure, Server } from "./server.js";
import { asked, offerSettings } from "./settings.js";
import { askToken } from "./token.js";
import { counted, megabytes, worth } from "./words.js";

const AT_ONCE = 2;  // photos on their way
const SPOKEN = 5;  // photos whose answers are said one by one
const TRIES = 5;  // of a photo, while the server asks for patience

class Page {
  constructor(server) {
    Object.assign(this, { server, model: null, cards: [], marked: [], queue: [], busy: 0, count: 0 });
    this.on = {
      retry: (card) => this.enqueue([card]),
      remove: (card) => this.remove(card),
      mark: (card) => this.mark(card),
      correct: () => this.showTray(),
      tell: (text) => { if (this.cards.length <= SPOKEN) announce(text); },
    };
    this.view = new IntersectionObserver((entries) => this.look(entries), { rootMargin: "50%" });
    byId("limits").textContent = server.promise;
    listen((entries, passed) => this.take(entries, passed));
    byId("clear").addEventListener("click", () => this.clear());
    byId("again").addEventListener("click", () => { byId("again-line").hidden = true; this.enqueue(this.cards.filter((card) => card.state !== "waiting")); });
    byId("retry-all").addEventListener("click", () => { byId("results-title").focus(); this.enqueue(this.failed()); });
    byId("compare-two").addEventListener("click", () => this.compare(this.answered()));
    byId("comparison-close").addEventListener("click", () => { closeComparison(); byId("results-title").focus(); });
    byId("tray-compare-stop").addEventListener("click", () => this.unmark());
    byId("download").addEventListener("click", () => this.download());
    byId("trouble-again").addEventListener("click", () => this.begin());
  }

  /** Learns what the model is; photos that came earlier wait for that. */
  async begin() {
    say(byId("trouble-text"), "");
    byId("trouble").hidden = true;
    try {
      this.model = await this.server.classes();
    } catch (error) {
      say(byId("trouble-text"), error instanceof Failure ? error.message : "The page and the server do not fit each other. Load the page again.");
      byId("trouble").hidden = false;
      return;
    }
    byId("limits").textContent = this.server.promise;
    byId("model").textContent = `${counted(this.model.classes.length, "class", "classes")}, model ${this.model.model.slice(0, 8)}`;
    byId("calibration").textContent = worth(this.model);
    offerSettings(this.model, () => { byId("again-line").hidden = !this.cards.length; });
    for (const card of this.cards) card.model = this.model;
    this.next();
  }

  take(entries, passed) {
    const cards = entries.map((entry) => new Card(entry, { number: (this.count += 1), model: this.model, on: this.on }));
    say(byId("passed"), passed);
    if (passed) announce(passed);
    if (!cards.length) return;
    document.body.classList.add("has-photos");
    byId("results").hidden = false;
    byId("cards").prepend(...cards.map((card) => card.item));
    this.cards = [...cards, ...this.cards];
    for (const card of cards) this.view.observe(card.item);
    this.enqueue(cards);
    byId(passed ? "passed" : "results").scrollIntoView({ block: "start" });
  }

  /** Cards that come into view, or nearly, show their pictures. */
  look(entries) {
    const near = new Set(entries.filter((entry) => entry.isIntersecting).map((entry) => entry.target));
    for (const card of this.cards.filter((each) => near.has(each.item))) {
      this.view.unobserve(card.item);
      card.see();
    }
  }

  enqueue(cards) {
    for (const card of cards) card.wait("Waiting");
    this.queue.push(...cards);
    this.showCourse();
    this.next();
  }

  next() {
    while (this.model && this.busy < AT_ONCE && this.queue.length) {
      this.busy += 1;
      this.answer(this.queue.shift()).finally(() => { this.busy -= 1; this.showCourse(); this.next(); });
    }
    if (!this.busy && !this.queue.length) this.seeRest();
  }

  /** Shows the pictures of cards that were not in view yet, one by one, while there is nothing else to do. */
  async seeRest() {
    for (const card of this.cards) {
      if (this.busy) return;
      if (!card.stop.signal.aborted) await card.see();
    }
  }

  async answer(card) {
    const { file } = card.entry;
    if (file.size > this.server.room) return card.fail(this.server.tooLarge(file), { again: false });
    for (let tries = 1; ; tries += 1) {
      try {
        card.sending(0);
        const ask = { told: (share) => card.sending(share), signal: card.stop.signal };
        return card.show(await this.server.predict(file, asked(this.model), ask));
      } catch (error) {
        if (error.name === "AbortError") return undefined;
        if (!(error instanceof Failure)) return card.fail("The page and the server do not fit each other. Load the page again.");
        if (error.after === null || tries === TRIES) return this.giveUp(card, error);
        await countDown(card, error, tries);
        if (card.stop.signal.aborted) return undefined;
      }
    }
  }

  /** No answer to a photo; where the server cannot be reached, none to those that wait for it, either. */
  async giveUp(card, error) {
    const isThere = !error.isAway || await this.server.isThere();
    const later = `${error.message}${error.after === null ? "" : " Try again in a while."}`;
    const words = error.isAway && isThere ? "This photo cannot be sent. If it was moved or changed since it was chosen, choose it again." : later;
    for (const each of isThere ? [card] : [card, ...this.queue.splice(0)]) each.fail(words, { again: !error.isFinal });
  }

  answered() {
    return this.cards.filter((card) => card.state === "answered");
  }

  /** Photos that had no answer and may have one yet. */
  failed() {
    return this.cards.filter((card) => card.state === "failed" && card.mayTryAgain);
  }

  showCourse() {
    const total = this.cards.length, open = this.cards.filter((card) => card.state === "waiting").length;
    byId("progress").max = Math.max(total, 1);
    byId("progress").value = total - open;
    byId("progress-text").textContent = open ? `${total - open} of ${counted(total, "photo")} done` : "";
    byId("course").hidden = !open;
    byId("compare-two").hidden = this.cards.length !== 2 || this.answered().length !== 2;
    const failed = this.failed().length;
    say(byId("retry-all"), failed > 1 ? `Try all ${failed.toLocaleString("en")} failed photos again` : "");
    if (total > 1 && !open) announce(`All ${total} photos are done.`);
    this.showTray();
  }

  mark(card) {
    const isMarked = this.marked.includes(card);
    this.marked = isMarked ? this.marked.filter((other) => other !== card) : [...this.marked, card];
    card.mark(!isMarked);
    if (this.marked.length === 2) {
      const pair = this.marked;
      this.unmark();
      this.compare(pair);
    } else this.showTray();
  }

  unmark() {
    for (const card of this.marked) card.mark(false);
    this.marked = [];
    this.showTray();
  }

  async compare(pair) {
    announce("Comparing");
    byId("tray").hidden = byId("tray-compare").hidden = false;
    byId("tray-compare-text").textContent = "Comparing the two photos";
    byId("tray-compare-stop").hidden = true;
    try {
      const [first, second] = pair.map((card) => card.entry.file);
      if (first.size + second.size > this.server.room) throw new Failure(`Both photos together may have ${this.server.limit} MB; these have ${megabytes(first.size + second.size)}.`);
      const answer = await this.server.compare(first, second, {});
      await Promise.all(pair.map((card) => card.see()));
      await showComparison(answer, pair);
      this.showTray();
    } catch (error) {
      const wait = error.after ? ` Try again in ${counted(error.after, "second")}.` : "";
      const words = error instanceof Failure ? error.message + wait : "The page and the server do not fit each other. Load the page again.";
      byId("tray-compare-text").textContent = `Not compared: ${words}`;
      announce(`Not compared: ${words}`);
      byId("tray-compare-stop").hidden = false;
    }
  }

  remove(card) {
    const at = this.cards.indexOf(card);
    card.leave();
    this.cards = this.cards.filter((other) => other !== card);
    this.queue = this.queue.filter((other) => other !== card);
    this.marked = this.marked.filter((other) => other !== card);
    this.showCourse();
    if (!this.cards.length) this.clear();
    else this.cards[Math.min(at, this.cards.length - 1)].part("remove").focus();
  }

  clear() {
    for (const card of this.cards) card.leave();
    Object.assign(this, { cards: [], queue: [], marked: [] });
    byId("results").hidden = true;
    say(byId("passed"), "");
    document.body.classList.remove("has-photos");
    closeComparison();
    this.showTray();
    byId("choose").focus();
  }

  corrections() {
    const corrected = this.cards.filter((card) => card.corrected !== undefined);
    return corrected.map((card) => rowOf(card.entry, card.corrected, this.model.classes));
  }

  showTray() {
    const [first] = this.marked, rows = this.model ? this.corrections() : [], twice = unclear(rows);
    byId("tray-compare").hidden = !first;
    byId("tray-compare-stop").hidden = false;
    byId("tray-compare-text").textContent = first ? `${first.entry.name}: now choose the photo to compare it with` : "";
    byId("tray-corrections").hidden = !rows.length;
    byId("tray-corrections-text").textContent = counted(rows.length, "correction");
    say(byId("tray-corrections-trouble"), twice.length ? `Left out of the file, because several photos have this name and different corrections: ${twice.join(", ")}. Choose their folder in place of single photos, and folders tell them apart.` : "");
    byId("tray").hidden = !first && !rows.length;
  }

  download() {
    const address = URL.createObjectURL(new Blob([tableOf(this.corrections())], { type: "text/csv;charset=utf-8" }));
    element("a", { href: address, download: "corrections.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
    byId("how-to").classList.add("now");
    announce("corrections.csv is in your downloads.");
  }
}

/** Waits as long as the server wants, or longer each time if it cannot be reached, telling it. */
async function countDown(card, { message, after, isAway }, tries) {
  for (let left = isAway ? after * 2 ** (tries - 1) : after; left > 0 && !card.stop.signal.aborted; left -= 1) {
    card.wait(`${message} Trying again in ${counted(left, "second")}.`);
    await new Promise((done) => setTimeout(done, 1000));
  }
}

new Page(new Server(askToken)).begin();
