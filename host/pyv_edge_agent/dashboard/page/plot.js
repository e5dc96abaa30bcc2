// Draws a chart: line, band, holes, bad readings, and a time line of events and gaps below.

import { svg } from './dom.js';
import { count, dateTime, holeText, unitText } from './format.js';
import { timeTicks, valueTicks } from './scale.js';

const HEIGHT = 260;
const TOP = 24;
const AXIS = HEIGHT - 48; // y of the time axis
const MARKS = HEIGHT - 10; // y of events and gaps
const RIGHT = 12;
const FIGURE = 6.5; // width of a letter, about
const SHAPES = {
  info: 'M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0',
  warning: 'M0-5L5 4H-5z',
  critical: 'M-4-4H4V4H-4z',
  gap: 'M0-5L5 0L0 5L-5 0z',
};

/** Return `drawing`, its `cursor`, and how to go from times and values to pixels and back. */
export function draw({ chart, marks, start, end }, width) {
  const [low, high] = domain(chart);
  const values = valueTicks(low, high, 5);
  const left = 14 + FIGURE * Math.max(...values.map((tick) => tick.text.length));
  const right = width - RIGHT;
  const inside = (px) => Math.min(Math.max(px, left), right);
  const x = (time) => inside(left + ((time - start) / (end - start)) * (right - left));
  const y = (value) => AXIS - ((value - low) / (high - low)) * (AXIS - TOP);
  const time = (px) => start + ((px - left) / (right - left)) * (end - start);
  const middle = (index) => x(chart.times_ms[index] + chart.bucket_ms / 2);
  const cursor = svg('g', { class: 'cursor' });
  const drawing = svg(
    'svg',
    { width, height: HEIGHT, 'aria-hidden': true },
    hatch(),
    text(4, 12, 'start', unitText(chart.unit)),
    ...values.flatMap((tick) => [
      svg('path', { class: 'grid', d: `M${left} ${y(tick.at)}H${right}` }),
      text(left - 6, y(tick.at) + 4, 'end', tick.text),
    ]),
    ...timeTicks(start, end, width / 90).flatMap(({ at, text: label }) => [
      svg('path', { class: 'axis', d: `M${x(at)} ${AXIS}v5` }),
      text(Math.min(x(at), right - 14), AXIS + 18, 'middle', label),
    ]),
    ...chart.holes.map((hole) => drawHole(hole, x)),
    ...drawLines(chart, middle, y),
    svg('path', { class: 'axis', d: `M${left} ${AXIS}H${right}` }),
    ...marks.filter(({ timeMs }) => timeMs >= start).map((mark) => drawMark(mark, x)),
    cursor,
  );
  return { drawing, cursor, x, y, time, top: TOP, bottom: AXIS };
}

const text = (x, y, anchor, label) => svg('text', { x, y, 'text-anchor': anchor }, label);

/** Lowest and highest value of the axis: a little more than there is. */
function domain({ min, max }) {
  const measured = [...min, ...max].filter((value) => value !== null);
  if (measured.length === 0) return [0, 1];
  const [low, high] = [Math.min(...measured), Math.max(...measured)];
  const margin = (high - low) * 0.06 || Math.abs(low) * 0.02 || 1;
  return [low - margin, high + margin];
}

function hatch() {
  const size = { width: 7, height: 7, patternUnits: 'userSpaceOnUse' };
  const stroke = svg('path', { d: 'M0 0V7', class: 'hatch' });
  return svg('pattern', { id: 'hatch', ...size, patternTransform: 'rotate(45)' }, stroke);
}

function drawHole(hole, toX) {
  const x = toX(hole.start_ms);
  const width = Math.max(2, toX(hole.end_ms) - x);
  const full = holeText(hole);
  const short = hole.lost === null ? full : `${count(hole.lost)} lost`;
  const label = [full, short, ''].find((one) => one.length * FIGURE < width);
  const title = `${full}, ${dateTime(hole.start_ms)} to ${dateTime(hole.end_ms)}`;
  const group = svg(
    'g',
    { class: 'hole', 'data-start': hole.start_ms, 'data-lost': hole.lost ?? '' },
    svg('title', {}, title),
    svg('rect', { x, y: TOP, width, height: AXIS - TOP, fill: 'url(#hatch)' }),
  );
  if (label) group.append(text(x + width / 2, TOP - 6, 'middle', label));
  return group;
}

/** Yield the indexes of points that a line joins: it ends at what is bad, and at holes. */
function* runs({ times_ms: times, mean, holes }) {
  let run = [];
  for (let index = 0; index < times.length; index += 1) {
    const isInHole = (hole) => hole.start_ms < times[index] && hole.end_ms > times[index - 1];
    if (run.length > 0 && (mean[index] === null || holes.some(isInHole))) {
      yield run;
      run = [];
    }
    if (mean[index] !== null) run.push(index);
  }
  if (run.length > 0) yield run;
}

function drawLines(chart, middle, y) {
  let [mean, band, bad] = ['', '', ''];
  for (const run of runs(chart)) {
    const along = (values, indexes) => indexes
      .map((index) => `${middle(index).toFixed(1)} ${y(values[index]).toFixed(1)}`)
      .join('L');
    mean += `M${along(chart.mean, run)}h.1`; // a lone point is a dot
    band += `M${along(chart.max, run)}L${along(chart.min, run.toReversed())}z`;
  }
  chart.bad.forEach((total, index) => {
    if (total > 0) bad += `M${middle(index) - 3} ${AXIS - 3}l6 6m0-6l-6 6`;
  });
  return Object.entries({ band, mean, bad }).map(([name, d]) => svg('path', { class: name, d }));
}

function drawMark({ kind, timeMs, text: label, word }, x) {
  return svg(
    'g',
    { class: 'mark', 'data-kind': kind, transform: `translate(${x(timeMs)} ${MARKS})` },
    svg('title', {}, `${dateTime(timeMs)} ${word}: ${label}`),
    svg('path', { d: SHAPES[kind] }),
  );
}
