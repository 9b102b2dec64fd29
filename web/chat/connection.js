// SPDX-License-Identifier: Apache-2.0
// The chat protocol (docs/im-protocol.md) over a WebSocket that comes back by itself.
//
// What it promises to the page: every message of a joined room is told once and in order, whatever the connection
// does meanwhile; what was given to send() stays in the outbox, also over a reload of the page, until the service
// has acknowledged it.

const MOST_WAIT = 20_000;   // ms between two attempts
const FIRST_WAIT = 1_000;
const STABLE_AFTER = 10_000; // ms online after which the next wait is short again
const PING_EVERY = 20_000;
const PONG_WITHIN = 8_000;
const MOST_IN_FLIGHT = 20;   // messages sent and not acknowledged: stays within the service's rate limit

// Full jitter: anywhere between nothing and the exponential bound, so that a thousand clients that lost the same pod
// do not come back in step.
export function backoff(attempt, random = Math.random) {
  return Math.round(random() * Math.min(MOST_WAIT, FIRST_WAIT * 2 ** attempt));
}

export class SignInRefused extends Error {}

export class Connection extends EventTarget {
  #name;
  #token;
  #socket = null;
  #state = 'closed';
  #attempt = 0;
  #timer = 0;
  #onlineSince = 0;
  #pinger = 0;
  #pong = 0;
  #epoch = '';
  #positions = new Map(); // room -> last seq told to the page
  #outbox;
  #inFlight = new Set(); // ids of the outbox that were sent on this connection
  #outboxKey;
  #base;

  constructor(name, { token = '', base = document.baseURI } = {}) {
    super();
    this.#name = name;
    this.#token = token;
    this.#base = base;
    this.#outboxKey = `hawser-chat-outbox:${name}`;
    this.#outbox = this.#loadOutbox();
  }

  get name() { return this.#name; }
  get state() { return this.#state; }
  get outbox() { return this.#outbox; }

  start() {
    addEventListener('online', this.#hurry);
    document.addEventListener('visibilitychange', this.#hurry);
    this.#connect();
  }

  stop() {
    removeEventListener('online', this.#hurry);
    document.removeEventListener('visibilitychange', this.#hurry);
    clearTimeout(this.#timer);
    this.#setState('closed');
    this.#drop(1000);
  }

  retryNow() {
    if (this.#state === 'waiting') this.#connect();
  }

  // Starts or goes on with a room. The answer is the event 'joined'.
  join(room) {
    if (this.#positions.has(room)) return;
    this.#tell({ type: 'join', room });
  }

  joined(room) { return this.#positions.has(room); }

  // Asks for the page before `seq` (0: the newest); the answer is the event 'history'. False: not online.
  history(room, before = 0, limit = 50) {
    return this.#tell({ type: 'history', room, limit, ...(before ? { before } : {}) });
  }

  typing(room) { this.#tell({ type: 'typing', room }); }

  // Takes the message over; the outcome is the event 'ack' or 'refused'.
  send(room, text) {
    const message = { id: crypto.randomUUID?.() ?? randomId(), room, text, time: Date.now() };
    this.#outbox.push(message);
    this.#saveOutbox();
    this.#pump();
    return message;
  }

  forget(id) {
    this.#outbox = this.#outbox.filter((message) => message.id !== id);
    this.#inFlight.delete(id);
    this.#saveOutbox();
    this.#pump();
  }

  // ---- the connection

  async #connect() {
    clearTimeout(this.#timer);
    this.#setState('connecting');
    try {
      if (!this.#token) this.#token = await this.#fetchToken();
    } catch (error) {
      if (error instanceof SignInRefused) this.#refuse(error.message);
      else this.#later();
      return;
    }
    if (this.#state !== 'connecting') return;
    const url = new URL('ws', this.#base);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.search = url.hash = '';
    const socket = new WebSocket(url);
    this.#socket = socket;
    socket.onopen = () => this.#tell({
      type: 'signin', name: this.#name, token: this.#token, resume: Object.fromEntries(this.#positions),
    });
    socket.onmessage = ({ data }) => { if (socket === this.#socket) this.#got(JSON.parse(data)); };
    socket.onclose = ({ code, reason }) => { if (socket === this.#socket) this.#lost(code, reason); };
  }

  async #fetchToken() {
    const response = await fetch(new URL('api/v1/token', this.#base), {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ name: this.#name }),
    });
    if (response.status === 403) throw new SignInRefused('token needed');
    if (response.status === 400) throw new SignInRefused((await response.json()).message);
    if (!response.ok) throw new Error(`token: ${response.status}`);
    return (await response.json()).token;
  }

  #refuse(why) {
    this.stop();
    this.#emit('signin-refused', { why });
  }

  #drop(code) {
    const socket = this.#socket;
    this.#socket = null;
    clearInterval(this.#pinger);
    clearTimeout(this.#pong);
    socket?.close(code);
  }

  #lost(code, reason) {
    this.#drop(1000);
    if (this.#state === 'closed') return;
    if (this.#onlineSince && Date.now() - this.#onlineSince > STABLE_AFTER) this.#attempt = 0;
    this.#onlineSince = 0;
    this.#emit('lost', { code, reason });
    this.#later();
  }

  #later() {
    const wait = backoff(this.#attempt++);
    this.#timer = setTimeout(() => this.#connect(), wait);
    this.#setState('waiting', Date.now() + wait);
  }

  #hurry = () => {
    if (document.visibilityState === 'visible' && navigator.onLine) this.retryNow();
  };

  #setState(state, retryAt = 0) {
    this.#state = state;
    this.#emit('state', { state, retryAt });
  }

  #watch() {
    clearInterval(this.#pinger);
    this.#pinger = setInterval(() => {
      this.#tell({ type: 'ping' });
      clearTimeout(this.#pong);
      // A dead path says nothing, and the browser would wait for minutes.
      this.#pong = setTimeout(() => this.#lost(1006, 'no answer'), PONG_WITHIN);
    }, PING_EVERY);
  }

  // ---- frames

  #tell(frame) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  // Sends from the outbox, in its order, what is not under way.
  #pump() {
    if (this.#state !== 'online') return;
    for (const { id, room, text } of this.#outbox) {
      if (this.#inFlight.size >= MOST_IN_FLIGHT) return;
      if (!this.#inFlight.has(id) && this.#tell({ type: 'send', room, id, text })) this.#inFlight.add(id);
    }
  }

  #got(frame) {
    clearTimeout(this.#pong);
    switch (frame.type) {
      case 'welcome': return this.#welcome(frame);
      case 'joined':
        if (!this.#positions.has(frame.room)) {
          this.#positions.set(frame.room, frame.last);
          this.#emit('joined', frame);
        }
        return;
      case 'message': return this.#message(frame);
      case 'ack':
        this.forget(frame.id);
        return this.#emit('ack', frame);
      case 'error': return this.#error(frame);
      default: return this.#emit(frame.type, frame);
    }
  }

  #welcome(frame) {
    // Another history: the numbers of the old one mean nothing. The page starts its rooms anew.
    const fresh = this.#epoch !== '' && this.#epoch !== frame.epoch;
    const rooms = [...this.#positions.keys()];
    this.#epoch = frame.epoch;
    this.#onlineSince = Date.now();
    this.#setState('online');
    this.#watch();
    if (fresh) {
      this.#positions.clear();
      this.#emit('reset', {});
      for (const room of rooms) this.#tell({ type: 'leave', room });
      for (const room of rooms) this.join(room);
    }
    this.#emit('welcome', frame);
    this.#tell({ type: 'rooms' });
    this.#tell({ type: 'users' });
    for (const { room } of frame.direct) this.join(room);
    this.#inFlight.clear();
    this.#pump();
  }

  #message(frame) {
    const position = this.#positions.get(frame.room);
    if (position === undefined) this.#emit('joined', { room: frame.room, last: frame.seq - 1 });
    else if (frame.seq <= position) return;
    else if (frame.seq > position + 1) {
      // Cannot be. Ask for what is missing rather than show a hole.
      this.#tell({ type: 'leave', room: frame.room });
      this.#tell({ type: 'join', room: frame.room, after: position });
      return;
    }
    this.#positions.set(frame.room, frame.seq);
    if (frame.from === this.#name) this.forget(frame.id);
    this.#emit('message', frame);
  }

  #error(frame) {
    switch (frame.code) {
      case 'unauthorized':
        // Expired, or signed by a service that is gone: get another one, once.
        this.#token = '';
        if (this.#attempt > 2) return this.#refuse(frame.message);
        return this.#lost(1008, frame.message);
      case 'rate_limited':
      case 'unavailable':
        if (!frame.id) return this.#emit('problem', frame);
        setTimeout(() => {
          this.#inFlight.delete(frame.id);
          this.#pump();
        }, (frame.retry_after_ms ?? 500) + Math.random() * 500);
        return;
      default:
        if (frame.id) {
          this.forget(frame.id);
          this.#emit('refused', frame);
        } else {
          this.#emit('problem', frame);
        }
    }
  }

  #emit(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }

  // ---- the outbox

  #loadOutbox() {
    try {
      return JSON.parse(sessionStorage.getItem(this.#outboxKey)) ?? [];
    } catch {
      return [];
    }
  }

  #saveOutbox() {
    try {
      sessionStorage.setItem(this.#outboxKey, JSON.stringify(this.#outbox));
    } catch {
      // A full or forbidden storage: the outbox lives as long as the page.
    }
  }
}

// randomUUID() is there only in secure contexts; a chat on http://192.168.0.100 has none.
function randomId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
