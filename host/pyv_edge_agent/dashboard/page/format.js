// Times, ages and numbers as people read them; and the agent's clock.

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

const UNITS = { Cel: '°C', '%RH': '% RH', '/': '', ratio: '', Ohm: 'Ω', deg: '°' };
const MONTH = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });

let aheadMs = 0; // the agent's clock, of this computer's

/** Learn what time it is for the agent: ages are by its clock, not by this computer's. */
export function setAgentTime(ms) {
  aheadMs = ms - Date.now();
}

export const now = () => Math.round(Date.now() + aheadMs);

// All times are shown as local ones.
export const hourMinute = (ms) => new Date(ms).toTimeString().slice(0, 5);
export const clockTime = (ms) => new Date(ms).toTimeString().slice(0, 8);
export const dayMonth = (ms) => MONTH.format(ms);
export const offset = (ms) => new Date(ms).getTimezoneOffset() * MINUTE;
export const inputTime = (ms) => new Date(ms - offset(ms)).toISOString().slice(0, 19);

/** 14:05:09; 27 Nov 14:05:09 if it is not today. */
export function dateTime(ms) {
  const isToday = new Date(ms).toDateString() === new Date(now()).toDateString();
  return isToday ? clockTime(ms) : `${dayMonth(ms)} ${clockTime(ms)}`;
}

/** 90 s, 5 min, 47 h, 4 d. */
export function duration(ms) {
  const sizes = { d: DAY, h: HOUR, min: MINUTE };
  const [unit, size] = Object.entries(sizes).find(([, one]) => ms >= 2 * one) ?? ['s', SECOND];
  return `${Math.max(0, Math.floor(ms / size))} ${unit}`;
}

export const ago = (ms) => `${duration(now() - ms)} ago`;

/** A measurement, in about as many figures as a sensor knows. */
export function number(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e9 || size < 1e-4)) return value.toExponential(3);
  return String(Number(size >= 1000 ? value.toFixed(1) : value.toPrecision(5)));
}

export const unitText = (unit) => UNITS[unit] ?? unit;
export const withUnit = (value, unit) => `${number(value)} ${unitText(unit)}`.trim();
export const count = (total) => total.toLocaleString('en-GB');
export const counted = (total, noun) => `${count(total)} ${noun}${total === 1 ? '' : 's'}`;

/** 12 readings lost: overwritten; or silent, if none is known to be. */
export function holeText({ lost, causes }) {
  if (lost === null) return 'silent';
  return `${counted(lost, 'reading')} lost${causes.length > 0 ? `: ${causes.join(', ')}` : ''}`;
}
