// One device: how it does, and its channels.

import { el, patch, setChildren, setStatus, soon } from './dom.js';
import { ago, count } from './format.js';

const UNKNOWN = {
  status: '',
  reason: 'Nothing but its readings is known.', // e.g. its name is a pseudonym
  last_success_age_ms: null,
  lost_total: 0,
};

export class DeviceCard {
  #device = UNKNOWN;
  #lastMs = null; // when it last brought something
  #head = el('div');
  #channels = el('ul', { class: 'channels' });
  element = el('article', { class: 'card device' }, this.#head, this.#channels);

  constructor(name) {
    this.element.dataset.device = name;
  }

  /** Take what /api/v1/devices says of it, if it does, at `timeMs`. */
  update(device, timeMs, rows) {
    this.#device = device ?? UNKNOWN;
    const age = this.#device.last_success_age_ms;
    this.#lastMs = age === null ? null : timeMs - age;
    setChildren(this.#channels, rows.map((row) => row.element));
    soon(this);
  }

  sawReadings(timeMs) {
    this.#lastMs = Math.max(this.#lastMs, timeMs);
    soon(this);
  }

  render() {
    const { ingest_type: type = '', status, reason, state = '', lost_total: lost } = this.#device;
    const badge = el('p', { class: 'badge' });
    setStatus(badge, status);
    const last = this.#lastMs === null ? 'none since the start' : `last ${ago(this.#lastMs)}`;
    const facts = [type, type === 'serial' ? `link ${state}` : state, last, `${count(lost)} lost`];
    patch(this.#head, [
      el('div', { class: 'title' }, el('h3', {}, this.element.dataset.device), badge),
      el('p', { class: 'facts' }, facts.filter(Boolean).join(' · ')),
      el('p', { class: 'reason' }, reason),
    ]);
    Object.assign(this.element.dataset, { status, state, lost });
  }
}
