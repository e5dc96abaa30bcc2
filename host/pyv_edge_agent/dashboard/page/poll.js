// Something that is asked for again and again.

import { ApiError } from './api.js';
import { byId, setText } from './dom.js';

const RETRY_MS = 3000;

/** Runs `task` when woken and then every `everyMs`, once at a time, while the page is seen. */
export class Poll {
  #task;
  #note;
  #timer = 0;
  #isAwake = false;
  #isRunning = false;
  #isWanted = false;

  /** The element `note` tells of failures. */
  constructor(task, everyMs, note) {
    this.#task = task;
    this.everyMs = everyMs;
    this.#note = byId(note);
  }

  /** Run now, or again once what runs is done; and go on. */
  async wake() {
    if (document.hidden) return;
    this.#isAwake = this.#isWanted = true;
    if (this.#isRunning) return;
    this.#isRunning = true;
    clearTimeout(this.#timer);
    let waitMs = this.everyMs;
    while (this.#isWanted) {
      this.#isWanted = false;
      try {
        await this.#task();
        waitMs = this.everyMs;
      } catch (error) {
        if (!(error instanceof ApiError)) console.error(error); // a fault of this page
        setText(this.#note, `This can't be loaded: ${error.message}`);
        waitMs = RETRY_MS;
      }
    }
    this.#isRunning = false;
    // A timer can't wait for ever: it would not wait at all.
    if (this.#isAwake && waitMs < Infinity) this.#timer = setTimeout(() => this.wake(), waitMs);
  }

  sleep() {
    this.#isAwake = false;
    clearTimeout(this.#timer);
  }
}
