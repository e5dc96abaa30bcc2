// The form that asks for a token.

import { byId, setText } from './dom.js';
import { showLive } from './status.js';

export function askForToken(isWrong) {
  const form = byId('token-form');
  const input = byId('token');
  setText(byId('token-note'), isWrong ? 'The agent does not take this one.' : '');
  form.hidden = false;
  input.focus();
  showLive('stale', 'waiting for the token');
  return new Promise((resolve) => {
    form.onsubmit = (event) => {
      event.preventDefault();
      form.hidden = true;
      resolve(input.value.trim());
      input.value = '';
    };
  });
}
