// SPDX-License-Identifier: Apache-2.0
import { Connection } from './connection.js';
import { Sidebar, partner } from './sidebar.js';
import { Timeline, hue } from './timeline.js';

const $ = (id) => document.getElementById(id);
const parameters = new URLSearchParams(location.search);
const TYPING_SHOWN = 3_500;
const TYPING_TOLD = 2_000;

function signIn() {
  const given = parameters.get('name');
  const token = new URLSearchParams(location.hash.slice(1)).get('token') ?? '';
  if (given && $('signin-name').pattern && new RegExp(`^${$('signin-name').pattern}$`).test(given)) {
    return new Chat(given, token);
  }
  $('signin-name').value = sessionStorage.getItem('hawser-chat-name') ?? '';
  $('signin-name').focus();
  $('signin-form').onsubmit = (event) => {
    event.preventDefault();
    $('signin-error').textContent = '';
    new Chat($('signin-name').value.trim(), $('signin-token').value.trim() || token);
  };
}

class Chat {
  #connection;
  #sidebar;
  #timelines = new Map();
  #room = '';
  #pod = '';
  #retryAt = 0;
  #ticker = 0;
  #typing = new Map(); // name -> when it stops to show
  #typed = 0;
  #following = true; // the newest message is in sight

  constructor(name, token) {
    sessionStorage.setItem('hawser-chat-name', name);
    this.#connection = new Connection(name, { token });
    this.#sidebar = new Sidebar({
      rooms: $('rooms'), direct: $('direct'), directSection: $('direct-section'), people: $('people'),
      peopleCount: $('people-count'),
    }, name, (room) => this.#open(room));
    $('signin').hidden = true;
    $('app').hidden = false;
    $('me-name').textContent = name;
    $('me-avatar').textContent = name[0];
    $('me-avatar').style.setProperty('--hue', hue(name));
    this.#listen();
    this.#bind();
    this.#connection.start();
    for (const message of this.#connection.outbox) this.#timeline(message.room).addPending(message);
    const room = parameters.get('room') ?? '';
    this.#open(/^[A-Za-z0-9._-]{1,32}$/.test(room) ? room : 'general');
  }

  // ---- what the service says

  #listen() {
    const on = (type, run) => this.#connection.addEventListener(type, ({ detail }) => run(detail));
    on('state', (detail) => this.#showState(detail));
    on('signin-refused', ({ why }) => this.#signInAgain(why));
    on('welcome', (frame) => {
      this.#pod = frame.pod;
      $('pod').textContent = `on ${frame.pod}`;
      this.#showStateText('online');
      this.#sidebar.addRooms(frame.direct.map(({ room }) => room));
      this.#connection.join(this.#room);
      this.#loadNewest(this.#room);
    });
    on('reset', () => {
      for (const timeline of this.#timelines.values()) timeline.clear();
      this.#shown.show();
    });
    on('joined', ({ room }) => {
      this.#sidebar.addRooms([room]);
      if (room === this.#room) this.#loadNewest(room);
    });
    on('message', (message) => this.#message(message));
    on('history', (frame) => this.#history(frame));
    on('ack', ({ room, id }) => this.#timeline(room).acknowledged(id));
    on('refused', ({ id, message }) => {
      for (const timeline of this.#timelines.values()) timeline.refused(id, message);
    });
    on('problem', () => {
      for (const timeline of this.#timelines.values()) timeline.loading = false;
      this.#showEdge();
    });
    on('rooms', ({ rooms }) => this.#sidebar.addRooms(rooms.map(({ room }) => room)));
    on('room', ({ room }) => this.#sidebar.addRooms([room]));
    on('users', ({ users, count }) => this.#sidebar.setPeople(users, count));
    on('presence', ({ online, offline, count }) => this.#sidebar.changePeople(online, offline, count));
    on('typing', ({ room, from }) => {
      if (room !== this.#room) return;
      this.#typing.set(from, Date.now() + TYPING_SHOWN);
      this.#showTyping();
    });
  }

  #message(message) {
    const atEnd = this.#atEnd;
    const mine = message.from === this.#connection.name;
    this.#timeline(message.room).add(message);
    if (message.room === this.#room) {
      this.#typing.delete(message.from);
      this.#showTyping();
      if (atEnd || mine) this.#toEnd();
      else $('newest').hidden = false;
    }
    if (!mine && (message.room !== this.#room || document.visibilityState !== 'visible')) this.#sidebar.count(message.room);
    this.#showTitle();
  }

  #history({ room, messages, more }) {
    const timeline = this.#timeline(room);
    const first = !timeline.loaded;
    const log = $('log');
    const fromBottom = log.scrollHeight - log.scrollTop;
    timeline.more = more;
    timeline.loading = false;
    timeline.loaded = true;
    for (const message of messages) timeline.add(message);
    if (room !== this.#room) return;
    this.#showEdge();
    // What one reads stays where it is while older messages come in above.
    if (first) this.#toEnd();
    else log.scrollTop = log.scrollHeight - fromBottom;
  }

  #showState({ state, retryAt }) {
    this.#retryAt = retryAt;
    clearInterval(this.#ticker);
    if (state === 'waiting') this.#ticker = setInterval(() => this.#showStateText(state), 250);
    $('app').dataset.state = $('state').dataset.state = state;
    $('retry').hidden = state !== 'waiting';
    if (state !== 'online') for (const timeline of this.#timelines.values()) timeline.loading = false;
    this.#showStateText(state);
  }

  #showStateText(state) {
    const seconds = Math.max(0, Math.ceil((this.#retryAt - Date.now()) / 1000));
    const text = {
      online: this.#pod ? `online · ${this.#pod}` : 'online',
      connecting: 'connecting…',
      waiting: `reconnecting in ${seconds} s…`,
      closed: 'signed out',
    }[state];
    $('state-text').textContent = text;
  }

  #signInAgain(why) {
    $('app').hidden = true;
    $('signin').hidden = false;
    $('token-field').hidden = why !== 'token needed' && !$('signin-token').value;
    $('signin-error').textContent = why === 'token needed' ? '' : why;
    $('signin-name').value = this.#connection.name;
    $('signin-form').onsubmit = (event) => {
      event.preventDefault();
      // A page of its own for each sign-in: nothing of the last one is left.
      const url = new URL(location.href);
      url.searchParams.set('name', $('signin-name').value.trim());
      const token = $('signin-token').value.trim();
      url.hash = token ? `token=${encodeURIComponent(token)}` : '';
      if (url.href === location.href) location.reload();
      else { location.href = url.href; location.reload(); }
    };
  }

  // ---- what the user does

  #bind() {
    const text = $('text');
    $('composer').onsubmit = (event) => {
      event.preventDefault();
      this.#send();
    };
    text.onkeydown = (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    };
    text.oninput = () => {
      this.#fit();
      if (text.value && Date.now() - this.#typed > TYPING_TOLD) {
        this.#typed = Date.now();
        this.#connection.typing(this.#room);
      }
    };
    $('log').onscroll = () => {
      this.#following = this.#atEnd;
      if (this.#following) $('newest').hidden = true;
      if ($('log').scrollTop < 120) this.#loadOlder();
    };
    // A phone's keyboard, a turned screen, a growing composer: the newest stays in sight.
    new ResizeObserver(() => { if (this.#following) this.#toEnd(); }).observe($('log'));
    $('newest').onclick = () => this.#toEnd();
    $('retry').onclick = () => this.#connection.retryNow();
    $('menu').onclick = () => this.#menu(!$('sidebar').classList.contains('open'));
    $('new-room').onclick = () => {
      const form = $('new-room-form');
      form.hidden = !form.hidden;
      $('new-room').ariaExpanded = String(!form.hidden);
      if (!form.hidden) $('new-room-name').focus();
    };
    $('new-room-form').onsubmit = (event) => {
      event.preventDefault();
      $('new-room-form').hidden = true;
      $('new-room').ariaExpanded = 'false';
      this.#open($('new-room-name').value.trim());
      $('new-room-name').value = '';
    };
    $('signout').onclick = () => {
      this.#connection.stop();
      sessionStorage.removeItem('hawser-chat-name');
      location.href = location.pathname;
    };
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState !== 'visible') return;
      this.#sidebar.select(this.#room);
      this.#showTitle();
    });
    document.addEventListener('keydown', (event) => { if (event.key === 'Escape') this.#menu(false); });
    setInterval(() => this.#showTyping(), 500);
  }

  #send() {
    const text = $('text');
    const words = text.value.trim();
    if (!words) return;
    this.#timeline(this.#room).addPending(this.#connection.send(this.#room, words));
    text.value = '';
    this.#typed = 0;
    this.#fit();
    this.#toEnd();
  }

  #open(room) {
    this.#room = room;
    for (const [name, timeline] of this.#timelines) timeline.visible = name === room;
    this.#timeline(room).visible = true;
    const other = partner(room, this.#connection.name);
    $('room-name').textContent = other ? `@ ${other}` : `# ${room}`;
    $('text').placeholder = other ? `Message to ${other}` : `Message to #${room}`;
    this.#typing.clear();
    this.#showTyping();
    this.#sidebar.select(room);
    this.#connection.join(room);
    this.#shown.show();
    this.#loadNewest(room);
    this.#showEdge();
    this.#toEnd();
    this.#showTitle();
    this.#menu(false);
    if (matchMedia('(hover: hover)').matches) $('text').focus();
  }

  // ---- pieces

  get #shown() { return this.#timeline(this.#room); }

  #timeline(room) {
    if (!this.#timelines.has(room)) {
      const timeline = new Timeline($('log'), this.#connection.name, (text) => {
        $('text').value = text;
        this.#fit();
        $('text').focus();
      });
      timeline.visible = room === this.#room;
      this.#timelines.set(room, timeline);
    }
    return this.#timelines.get(room);
  }

  #loadNewest(room) {
    const timeline = this.#timeline(room);
    if (timeline.loaded || timeline.loading || this.#connection.state !== 'online') return;
    timeline.loading = this.#connection.history(room);
  }

  #loadOlder() {
    const timeline = this.#shown;
    if (!timeline.loaded || !timeline.more || timeline.loading || this.#connection.state !== 'online') return;
    timeline.loading = this.#connection.history(this.#room, timeline.first);
    this.#showEdge();
  }

  // The line above the oldest message.
  #showEdge() {
    $('log').querySelector('.note')?.remove();
    const timeline = this.#shown;
    const note = document.createElement('p');
    note.className = 'note';
    if (timeline.loading) note.textContent = 'loading…';
    else if (timeline.loaded && !timeline.more) {
      const other = partner(this.#room, this.#connection.name);
      note.textContent = other ? `This is the beginning of your conversation with ${other}.`
                               : `This is the beginning of #${this.#room}.`;
    } else return;
    $('log').prepend(note);
  }

  get #atEnd() {
    const log = $('log');
    return log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  }

  #toEnd() {
    $('log').scrollTop = $('log').scrollHeight;
    this.#following = true;
    $('newest').hidden = true;
  }

  #fit() {
    const text = $('text');
    text.style.height = 'auto';
    text.style.height = `${text.scrollHeight + 2}px`;
  }

  #menu(open) {
    $('sidebar').classList.toggle('open', open);
    $('menu').ariaExpanded = String(open);
  }

  #showTyping() {
    const now = Date.now();
    for (const [name, until] of this.#typing) if (until < now) this.#typing.delete(name);
    const names = [...this.#typing.keys()];
    const text = names.length === 0 ? ''
      : names.length === 1 ? `${names[0]} is typing…`
      : names.length === 2 ? `${names[0]} and ${names[1]} are typing…` : 'several people are typing…';
    if ($('typing').textContent !== text) $('typing').textContent = text;
  }

  #showTitle() {
    const unread = this.#sidebar.unread;
    document.title = `${unread ? `(${unread}) ` : ''}${$('room-name').textContent} · Hawser chat`;
  }
}

signIn();
