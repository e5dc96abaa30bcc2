// One channel of a device: a button with its name, its sparkline and its live value.

import { ApiError } from './api.js';
import { el, setText, soon } from './dom.js';
import { MINUTE, ago, now, number, unitText } from './format.js';
import { Sparkline, loadInSight } from './sparkline.js';

const OLD_MS = MINUTE; // from then on a value's age is told

export class ChannelRow {
  isInSight = false; // these two are for loadInSight
  isLoaded = false;
  info = {}; // what /api/v1/channels says, with the latest reading
  #goodMs = 0; // when the last good reading was taken
  #sparkline = new Sparkline();
  #name = el('span', { class: 'name' });
  #note = el('span', { class: 'note' });
  #figure = el('span', { class: 'figure' });
  #unit = el('span', { class: 'unit' });
  button = el(
    'button',
    { class: 'channel', 'aria-expanded': false, 'aria-controls': 'chart' },
    el('span', {}, this.#name, ' ', this.#note),
    this.#sparkline.element,
    el('span', { class: 'value' }, this.#figure, ' ', this.#unit),
  );
  element = el('li', {}, this.button);

  constructor(onChoose) {
    this.button.addEventListener('click', () => onChoose(this.info));
    loadInSight(this.button, this);
  }

  /** Take what /api/v1/channels says; the stream may have told of a later reading. */
  update(info) {
    const { time_ms: time, value, quality } = this.info;
    this.info = time > info.time_ms ? { ...info, time_ms: time, value, quality } : info;
    this.#see(info.time_ms, info.value);
  }

  /** Take a reading of the stream; one that comes late changes no value. */
  take(time, value, quality) {
    this.#sparkline.append(time, value);
    if (time >= this.info.time_ms) Object.assign(this.info, { time_ms: time, value, quality });
    this.#see(time, value);
  }

  async load() {
    if (this.info.is_summary) return;
    try {
      const time = await this.#sparkline.load(this.info.sensor);
      this.#see(time, time);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.isLoaded = false; // for the next time it comes into sight
    }
  }

  render() {
    const { sensor, channel, unit, time_ms: time, value, quality } = this.info;
    setText(this.#name, channel || sensor);
    setText(this.#note, this.#noteText());
    setText(this.#figure, this.#figureText());
    setText(this.#unit, value === null ? '' : unitText(unit));
    const data = { sensor, value: value ?? '', time: time ?? '', quality: quality ?? '' };
    Object.assign(this.button.dataset, data);
    if (this.isInSight) this.#sparkline.draw();
  }

  #see(time, value) {
    if (value !== null) this.#goodMs = Math.max(this.#goodMs, time);
    soon(this);
  }

  #figureText() {
    const { time_ms: time, value, quality, is_summary: isSummary } = this.info;
    if (quality === 'bad') return 'bad';
    if (value !== null) return number(value);
    return time === null || isSummary ? '–' : 'withheld';
  }

  #noteText() {
    const { time_ms: time, quality, is_summary: isSummary } = this.info;
    if (isSummary) return 'summaries only';
    if (time === null) return 'no reading yet';
    if (quality === 'bad') return this.#goodMs ? `last good ${ago(this.#goodMs)}` : 'no good one';
    const age = now() - time > OLD_MS ? ago(time) : '';
    return [quality === 'uncertain' ? 'uncertain' : '', age].filter(Boolean).join(', ');
  }
}
