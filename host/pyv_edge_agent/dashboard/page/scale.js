// Round places on the axes of a chart.

import { DAY, HOUR, MINUTE, SECOND, clockTime, dayMonth, hourMinute, offset } from './format.js';

const TIME_STEPS = [
  ...[SECOND, MINUTE].flatMap((unit) => [1, 2, 5, 10, 15, 30].map((n) => n * unit)),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 7, 14, 28, 56, 182, 364].map((n) => n * DAY),
];

/** Return at most about `most` ticks, {at, text}, at round values. */
export function valueTicks(low, high, most) {
  const power = 10 ** Math.floor(Math.log10((high - low) / most));
  const step = power * ([1, 2, 5].find((n) => (high - low) / (n * power) <= most) ?? 10);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const ticks = [];
  for (let index = Math.ceil(low / step); index * step <= high; index += 1) {
    const at = index * step || 0; // no -0
    ticks.push({ at, text: digits > 6 ? at.toPrecision(4) : at.toFixed(digits) });
  }
  return ticks;
}

/** Return at most about `most` ticks, {at, text}, at round local times. */
export function timeTicks(start, end, most) {
  const step = TIME_STEPS.find((one) => (end - start) / one <= most) ?? TIME_STEPS.at(-1);
  const inDay = step < DAY ? step : Infinity;
  const ticks = [];
  // Each day begins anew at its midnight: some have 23 or 25 hours.
  for (let day = new Date(start).setHours(0, 0, 0, 0); day <= end; day = nextDay(day)) {
    const dayNumber = Math.round((day - offset(day)) / DAY);
    if (step > DAY && dayNumber % (step / DAY) !== 0) continue;
    for (let at = day; at <= end && at < nextDay(day); at += inDay) {
      const text = step < MINUTE ? clockTime(at) : hourMinute(at);
      if (at >= start) ticks.push({ at, text: at === day ? dayMonth(at) : text });
    }
  }
  return ticks;
}

function nextDay(ms) {
  const day = new Date(ms);
  return day.setDate(day.getDate() + 1);
}
