// The agent's server-sent events, read by fetch: an EventSource can't send a token.

import { ApiError, request } from './api.js';

const PATH = '/api/v1/stream';
const SILENCE_MS = 15_000; // the agent sends something at least every 5 s
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 5000;
const HIDDEN_MS = 60_000; // so long a page that nobody sees keeps its stream

let abort; // of the stream that is being read

// A browser has six connections for an agent, for all tabs and for pages one may go back to.
addEventListener('pagehide', () => abort?.abort());

/** Read for ever; give events to the handler of their name, and to `lost` when the last came. */
export async function readStream(handlers) {
  let retryMs = RETRY_MIN_MS;
  let lastMs = Date.now();
  for (;;) {
    try {
      for await (const [name, data] of readOnce()) {
        lastMs = Date.now();
        if (!name) continue;
        retryMs = RETRY_MIN_MS;
        handlers[name]?.(data);
      }
    } catch (error) {
      if (!(error instanceof ApiError)) console.error(error); // a fault of this page
    }
    handlers.lost(lastMs);
    await new Promise((resolve) => setTimeout(resolve, retryMs));
    retryMs = Math.min(2 * retryMs, RETRY_MAX_MS);
    if (document.hidden) await seen();
  }
}

const seen = () => new Promise((resolve) => {
  document.addEventListener('visibilitychange', resolve, { once: true });
});

/** Yield [name, data] until the stream ends or falls silent; [] for a sign of life. */
async function* readOnce() {
  let timer;
  let seenMs = Date.now();
  const stillAlive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => abort.abort(), SILENCE_MS);
  };
  const begin = () => {
    abort = new AbortController();
    stillAlive();
    return abort.signal;
  };
  try {
    const response = await request(PATH, begin);
    if (!response.ok) return;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { done, value } = await reader.read().catch(() => ({ done: true }));
      if (done) return;
      stillAlive();
      if (!document.hidden) seenMs = Date.now();
      if (Date.now() - seenMs > HIDDEN_MS) return;
      yield [];
      const blocks = (rest + value).split('\n\n');
      rest = blocks.pop();
      for (const block of blocks) yield parse(block);
    }
  } finally {
    clearTimeout(timer);
    abort?.abort(); // whatever went wrong, this connection is of no more use
  }
}

function parse(block) {
  const fields = { event: '', data: '' };
  for (const [, name, value] of block.matchAll(/^(event|data): ?(.*)$/gm)) fields[name] += value;
  return fields.data ? [fields.event, JSON.parse(fields.data)] : [];
}
