// Elements, made without markup: what the agent tells is never read as HTML.

export const byId = (id) => document.getElementById(id);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Make an HTML element; children are nodes or text. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

/** Set a text if it is another: a page that changes nothing lays out nothing. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const STATUS_SYMBOLS = { healthy: '✓', degraded: '▲', unhealthy: '✕' };

/** Show a status by a symbol, a word and, in the style sheet, a colour. */
export function setStatus(node, status, word = status || 'not known') {
  node.dataset.status = status;
  setText(node, `${STATUS_SYMBOLS[status] ?? '–'} ${word}`);
}

/** Make `nodes` the children of `parent`; if they are, the focus stays where it is. */
export function setChildren(parent, nodes) {
  const { children } = parent;
  const isSame = nodes.length === children.length && nodes.every((node, i) => node === children[i]);
  if (!isSame) parent.replaceChildren(...nodes);
}

/** Make the children of `parent` like `nodes`, but keep them: who reads them keeps the place. */
export function patch(parent, nodes) {
  nodes.forEach((node, index) => {
    const old = parent.childNodes[index];
    if (!old) parent.append(node);
    else if (old.nodeName !== node.nodeName) old.replaceWith(node);
    else if (old instanceof Text) setText(old, node.textContent);
    else {
      for (const { name, value } of node.attributes) {
        if (old.getAttribute(name) !== value) old.setAttribute(name, value);
      }
      patch(old, [...node.childNodes]);
    }
  });
  while (parent.childNodes.length > nodes.length) parent.lastChild.remove();
}

const dirty = new Set();

/** Call `one.render()` before the next frame, once however often it is asked for. */
export function soon(one) {
  if (dirty.size === 0) requestAnimationFrame(renderAll);
  dirty.add(one);
}

function renderAll() {
  const all = [...dirty];
  dirty.clear();
  for (const one of all) one.render();
}
