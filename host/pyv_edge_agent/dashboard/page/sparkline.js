// The last five minutes of a sensor, as a sketch: the chart is exact, this is not.

import { get } from './api.js';
import { svg } from './dom.js';
import { MINUTE, now } from './format.js';

const SPAN_MS = 5 * MINUTE;
const POINTS = 60;
const SPACING_MS = 500; // a nearer point is left out
const BREAK_MS = 15_000; // without a reading; or three times as long as is usual
const [WIDTH, HEIGHT] = [100, 24];
const AT_A_TIME = 4; // requests

export class Sparkline {
  #points = []; // [time_ms, value or null], oldest first
  #line = svg('path');
  element = svg('svg', {
    class: 'spark',
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: 'none',
    'aria-hidden': true,
  }, this.#line);

  /** Load what is stored; return the time of the last measurement, or null. */
  async load(sensor) {
    const end = now();
    const times = { start_ms: end - SPAN_MS, end_ms: end };
    const chart = await get('/api/v1/readings', { sensor, ...times, points: POINTS });
    const last = chart.times_ms.at(-1) ?? 0;
    this.#points = [
      ...chart.times_ms.map((time, index) => [time, chart.mean[index]]),
      ...chart.holes.map((hole) => [hole.start_ms, null]),
      ...this.#points.filter(([time]) => time > last),
    ].sort(([one], [other]) => one - other);
    return chart.times_ms.findLast((_, index) => chart.mean[index] !== null) ?? null;
  }

  /** Add a reading; one that comes late is inserted. */
  append(time, value) {
    const points = this.#points;
    let place = points.length;
    while (place > 0 && points[place - 1][0] > time) place -= 1;
    const [before, valueBefore] = points[place - 1] ?? [0, null];
    const isChange = (value === null) !== (valueBefore === null);
    if (isChange || time - before >= SPACING_MS) points.splice(place, 0, [time, value]);
  }

  draw() {
    const end = now();
    const first = this.#points.findIndex(([time]) => time >= end - SPAN_MS);
    this.#points.splice(0, first < 0 ? Infinity : first);
    const values = this.#points.map(([, value]) => value).filter((value) => value !== null);
    const low = Math.min(...values);
    const range = Math.max(...values) - low;
    const y = (value) => (range > 0 ? 2 + (1 - (value - low) / range) * (HEIGHT - 4) : HEIGHT / 2);
    let path = '';
    let before = 0; // time of the point before, 0 after a break
    let usual = 0;
    for (const [time, value] of this.#points) {
      const isNear = before > 0 && time - before <= Math.max(BREAK_MS, 3 * usual);
      if (value !== null) {
        const x = WIDTH * (1 - (end - time) / SPAN_MS);
        path += `${isNear ? 'L' : 'M'}${x.toFixed(1)} ${y(value).toFixed(1)}`;
        if (isNear) usual = time - before;
        else path += 'h.1'; // a lone point is to be seen, too
      }
      before = value === null ? 0 : time;
    }
    this.#line.setAttribute('d', path);
    this.element.dataset.points = values.length;
  }
}

const owners = new WeakMap(); // of elements; an owner has `load`, `isInSight`, `isLoaded`
const waiting = new Set();
let running = 0;

const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const owner = owners.get(target);
    owner.isInSight = isIntersecting;
    if (!isIntersecting) waiting.delete(owner); // what leaves before its turn
    else if (!owner.isLoaded) waiting.add(owner);
  }
  loadWaiting();
}, { rootMargin: '200px' });

/** Load `owner` whenever `element` comes into sight, and it is not loaded. */
export function loadInSight(element, owner) {
  owners.set(element, owner);
  observer.observe(element);
}

/** Load `owner` again, now or once it is in sight. */
export function loadAgain(owner) {
  owner.isLoaded = false;
  if (owner.isInSight) waiting.add(owner);
  loadWaiting();
}

function loadWaiting() {
  for (const owner of waiting) {
    if (running >= AT_A_TIME) return;
    waiting.delete(owner);
    owner.isLoaded = true;
    running += 1;
    owner.load().finally(() => {
      running -= 1;
      loadWaiting();
    });
  }
}
