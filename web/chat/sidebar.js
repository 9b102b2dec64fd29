// SPDX-License-Identifier: Apache-2.0
// Rooms, direct messages and people: lists that are drawn anew when something changes.
import { avatar } from './timeline.js';

// The other user of a direct room "dm:ann:bob"; '' for an ordinary room.
export function partner(room, me) {
  if (!room.startsWith('dm:')) return '';
  const [, one, other] = room.split(':');
  return one === me ? other : one;
}

export function directRoom(one, other) {
  return one < other ? `dm:${one}:${other}` : `dm:${other}:${one}`;
}

export class Sidebar {
  #me;
  #open;
  #elements;
  #rooms = new Set();
  #unread = new Map();
  #people = new Map(); // name -> pod
  #count = 0;
  #current = '';

  // `open` is called with the room that was chosen.
  constructor(elements, me, open) {
    this.#elements = elements;
    this.#me = me;
    this.#open = open;
  }

  get unread() { return [...this.#unread.values()].reduce((sum, count) => sum + count, 0); }

  addRooms(names) {
    for (const name of names) this.#rooms.add(name);
    this.draw();
  }

  select(room) {
    this.#current = room;
    this.#rooms.add(room);
    this.#unread.delete(room);
    this.draw();
  }

  count(room) {
    this.#rooms.add(room);
    this.#unread.set(room, (this.#unread.get(room) ?? 0) + 1);
    this.draw();
  }

  setPeople(users, count) {
    this.#people = new Map(users.map(({ name, pod }) => [name, pod]));
    this.#count = count;
    this.draw();
  }

  changePeople(online, offline, count) {
    for (const { name, pod } of online) this.#people.set(name, pod);
    for (const name of offline) this.#people.delete(name);
    this.#count = count;
    this.draw();
  }

  draw() {
    const { rooms, direct, directSection, people, peopleCount } = this.#elements;
    const names = [...this.#rooms].sort((one, other) => one.localeCompare(other));
    const directNames = names.filter((name) => partner(name, this.#me));
    rooms.replaceChildren(...names.filter((name) => !partner(name, this.#me)).map((name) => this.#roomItem(name)));
    direct.replaceChildren(...directNames.map((name) => this.#roomItem(name)));
    directSection.hidden = directNames.length === 0;
    peopleCount.textContent = this.#count;
    people.replaceChildren(...[...this.#people.keys()].sort().map((name) => this.#personItem(name)));
  }

  #roomItem(room) {
    const other = partner(room, this.#me);
    const item = this.#item(other || room, () => this.#open(room));
    item.button.dataset.testid = 'room-item';
    item.button.dataset.room = room;
    item.button.ariaCurrent = String(room === this.#current);
    if (other) {
      const face = avatar(other);
      face.classList.toggle('online', this.#people.has(other));
      item.button.prepend(face);
    } else {
      const hash = document.createElement('span');
      hash.className = 'hash';
      hash.textContent = '#';
      hash.ariaHidden = 'true';
      item.button.prepend(hash);
    }
    const unread = this.#unread.get(room);
    if (unread) {
      item.button.classList.add('has-unread');
      const badge = document.createElement('span');
      badge.className = 'unread';
      badge.textContent = unread > 99 ? '99+' : unread;
      badge.ariaLabel = `${unread} unread`;
      item.button.append(badge);
    }
    return item.element;
  }

  #personItem(name) {
    const mine = name === this.#me;
    const item = this.#item(mine ? `${name} (you)` : name, () => !mine && this.#open(directRoom(this.#me, name)));
    item.button.dataset.testid = 'person';
    item.button.dataset.name = name;
    item.button.title = mine ? 'you' : `write to ${name}`;
    const face = avatar(name);
    face.classList.add('online');
    item.button.prepend(face);
    const where = document.createElement('span');
    where.className = 'where';
    where.textContent = this.#people.get(name);
    item.button.append(where);
    return item.element;
  }

  #item(text, click) {
    const element = document.createElement('li');
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'item';
    button.onclick = click;
    const label = document.createElement('span');
    label.className = 'label';
    label.textContent = text;
    button.append(label);
    element.append(button);
    return { element, button };
  }
}
