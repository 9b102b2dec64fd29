// SPDX-License-Identifier: Apache-2.0
// The messages of one room as elements: stored ones by number, then those that are still on their way.

const SAME_BREATH = 5 * 60_000; // ms in which messages of one person stand together

export function hue(name) {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + character.codePointAt(0)) % 360;
  return sum;
}

export function avatar(name) {
  const element = document.createElement('span');
  element.className = 'avatar';
  element.ariaHidden = 'true';
  element.textContent = name[0] ?? '';
  element.style.setProperty('--hue', hue(name));
  return element;
}

// Text with its http(s) addresses as links, as nodes: nothing of it is ever parsed as HTML.
function withLinks(text) {
  const out = [];
  let end = 0;
  for (const match of text.matchAll(/https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]]/g)) {
    out.push(text.slice(end, match.index));
    const link = document.createElement('a');
    link.href = match[0];
    link.textContent = match[0];
    link.target = '_blank';
    link.rel = 'noopener noreferrer nofollow';
    out.push(link);
    end = match.index + match[0].length;
  }
  out.push(text.slice(end));
  return out;
}

export class Timeline {
  #me;
  #log;
  #bySeq = new Map();
  #pending = new Map(); // message id -> element
  #retry;
  visible = false; // it is the one in the log
  more = false;   // there is older history
  loading = false;
  loaded = false; // the newest page is here

  constructor(log, me, retry) {
    this.#log = log;
    this.#me = me;
    this.#retry = retry;
  }

  get first() { return this.#bySeq.size ? Math.min(...this.#bySeq.keys()) : 0; }

  // The elements to show, oldest first.
  show() {
    this.#log.replaceChildren(...this.#elements());
    this.#arrange();
  }

  #elements() {
    const seqs = [...this.#bySeq.keys()].sort((one, other) => one - other);
    return [...seqs.map((seq) => this.#bySeq.get(seq)), ...this.#pending.values()];
  }

  // A stored message; told twice, it stands there once.
  add(message) {
    if (this.#bySeq.has(message.seq)) return;
    let element = message.from === this.#me ? this.#pending.get(message.id) : undefined;
    this.#pending.delete(message.id);
    element ??= this.#make(message);
    this.#bySeq.set(message.seq, element);
    element.dataset.seq = message.seq;
    element.dataset.time = message.time;
    element.querySelector('time').replaceWith(clock(message.time));
    this.#mark(element, 'sent');
    this.#place(element, message.seq);
  }

  // A message of ours that is not acknowledged yet.
  addPending(message) {
    const element = this.#make({ ...message, from: this.#me });
    this.#pending.set(message.id, element);
    this.#mark(element, 'pending');
    this.#place(element, Infinity);
  }

  acknowledged(id) {
    const element = this.#pending.get(id);
    if (element) this.#mark(element, 'sent');
  }

  refused(id, why) {
    const element = this.#pending.get(id);
    if (!element) return;
    this.#mark(element, 'failed', why);
    this.#pending.delete(id);
    this.#pending.set(id, element); // to the end
  }

  clear() {
    this.#bySeq.clear();
    this.more = this.loading = this.loaded = false;
  }

  #place(element, seq) {
    if (!this.visible) return;
    let after = this.#log.lastElementChild;
    while (after && (after === element || !after.classList.contains('message') ||
                     Number(after.dataset.seq ?? Infinity) > seq)) after = after.previousElementSibling;
    // Above the first message stands at most the note on what there is before it.
    after ??= this.#log.querySelector('.note');
    if (after) after.after(element);
    else this.#log.prepend(element);
    this.#arrange();
  }

  // Days, and who speaks on in the same breath.
  #arrange() {
    for (const day of this.#log.querySelectorAll('.day')) day.remove();
    let before = null;
    for (const element of this.#log.querySelectorAll('.message')) {
      const time = Number(element.dataset.time);
      const sameDay = before && dayOf(Number(before.dataset.time)) === dayOf(time);
      if (!sameDay) {
        const day = document.createElement('div');
        day.className = 'day';
        day.textContent = dayOf(time);
        element.before(day);
      }
      element.classList.toggle('follows', Boolean(sameDay && before.dataset.from === element.dataset.from &&
                                                  time - Number(before.dataset.time) < SAME_BREATH));
      before = element;
    }
  }

  #make({ from, id, text, time }) {
    const element = document.createElement('article');
    element.className = 'message';
    element.classList.toggle('mine', from === this.#me);
    element.dataset.testid = 'message';
    element.dataset.from = from;
    element.dataset.id = id;
    element.dataset.time = time;
    const by = document.createElement('div');
    by.className = 'by';
    const who = document.createElement('strong');
    who.textContent = from;
    by.append(who, clock(time));
    const bubble = document.createElement('div');
    bubble.className = 'bubble';
    const words = document.createElement('span');
    words.dataset.testid = 'message-text';
    words.append(...withLinks(text));
    bubble.append(words);
    if (from === this.#me) {
      const delivery = document.createElement('span');
      delivery.className = 'delivery';
      bubble.append(delivery);
    }
    element.append(avatar(from), by, bubble);
    return element;
  }

  #mark(element, state, why = '') {
    element.dataset.state = state;
    const delivery = element.querySelector('.delivery');
    if (!delivery) return;
    delivery.replaceChildren();
    delivery.title = { pending: 'not stored yet', sent: 'stored', failed: why }[state];
    delivery.role = 'img';
    delivery.ariaLabel = delivery.title;
    if (state === 'failed') {
      const again = document.createElement('button');
      again.type = 'button';
      again.textContent = 'edit';
      again.onclick = () => {
        this.#pending.delete(element.dataset.id);
        element.remove();
        this.#retry(element.querySelector('[data-testid=message-text]').textContent);
      };
      delivery.removeAttribute('role');
      delivery.append(`not sent: ${why} `, again);
    } else {
      delivery.textContent = state === 'pending' ? '◷' : '✓';
    }
  }
}

function clock(time) {
  const element = document.createElement('time');
  const date = new Date(time);
  element.dateTime = date.toISOString();
  element.textContent = date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  element.title = date.toLocaleString();
  return element;
}

function dayOf(time) {
  return new Date(time).toLocaleDateString([], { weekday: 'long', day: 'numeric', month: 'long' });
}
