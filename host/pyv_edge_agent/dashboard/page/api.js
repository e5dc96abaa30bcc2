// Requests to the agent, with the token if it wants one.

import { askForToken } from './token.js';

const TOKEN = 'pyv-edge-token'; // in sessionStorage: gone with the tab
const TIMEOUT_MS = 15_000;

/** No answer, or one that says what is wrong. */
export class ApiError extends Error {}

let asking = null; // a promise while people are asked for a token

/** Fetch `path`; a 401 waits for a token and tries again. `signalOf` makes a try's signal. */
export async function request(path, signalOf = () => AbortSignal.timeout(TIMEOUT_MS)) {
  for (;;) {
    await asking;
    const token = sessionStorage.getItem(TOKEN);
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    let response;
    try {
      response = await fetch(path, { headers, signal: signalOf(), cache: 'no-store' });
    } catch (error) {
      throw new ApiError(`no answer: ${error.message}`);
    }
    if (response.status !== 401) return response;
    // Another request may have got a new token while this one was under way.
    if (sessionStorage.getItem(TOKEN) === token) asking ??= renewToken(Boolean(token));
  }
}

async function renewToken(isWrong) {
  sessionStorage.setItem(TOKEN, await askForToken(isWrong));
  asking = null;
}

export async function get(path, parameters = {}) {
  const response = await request(`${path}?${new URLSearchParams(parameters)}`);
  const answer = await response.json().catch((error) => ({ error: error.message }));
  if (answer.error) throw new ApiError(answer.error);
  return answer;
}
