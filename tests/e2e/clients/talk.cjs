// SPDX-License-Identifier: Apache-2.0
// Node's ws (Debian's node-ws) talks with server.py: talk.cjs URL client|endpoint (who closes).
// Says `open` when it is connected, goes on when a line comes, and says in the end how it was closed.
'use strict';

const assert = require('assert');
const { randomBytes } = require('crypto');
const { once } = require('events');
const WebSocket = require('/usr/share/nodejs/ws');

const [url, closer] = process.argv.slice(2);
const socket = new WebSocket(url);
const heard = [];
let told = () => {};
socket.on('message', (data, binary) => {
  heard.push(binary ? data : data.toString());
  told();
});

async function hear() {
  while (heard.length === 0) await new Promise((resolve) => { told = resolve; });
  return heard.shift();
}

async function ask(message, wanted = message) {
  socket.send(message);
  assert.deepStrictEqual(await hear(), wanted);
}

async function askInPieces(pieces, wanted) {
  pieces.forEach((piece, at) => socket.send(piece, { fin: at === pieces.length - 1 }));
  assert.deepStrictEqual(await hear(), wanted);
}

async function main() {
  await once(socket, 'open');
  await ask('before the hand-off');
  console.log('open');
  await once(process.stdin, 'data');
  await ask('Grüße ✓');
  await ask('');
  await ask('the same words again '.repeat(5000));
  await ask(randomBytes(1 << 20));
  const words = ['one ', '', 'message ', 'x'.repeat(70_000), ' in pieces'];
  await askInPieces(words, words.join(''));
  const pieces = Array.from({ length: 100 }, () => randomBytes(1000));
  await askInPieces(pieces, Buffer.concat(pieces));
  await ask('in pieces', Buffer.concat(Array.from({ length: 100 }, (_, number) => Buffer.alloc(number * 50 + 1, number))));
  for (let number = 0; number < 200; number++) socket.send(`message ${number}`);
  for (let number = 0; number < 200; number++) assert.strictEqual(await hear(), `message ${number}`);
  socket.ping('from the client');
  const [pong] = await once(socket, 'pong');
  assert.strictEqual(pong.toString(), 'from the client');
  await ask('ping me', 'pong heard');
  if (closer === 'client') socket.close(4001, 'the client is done');
  else socket.send('close the endpoint is done');
  const [code, reason] = await once(socket, 'close');
  console.log(JSON.stringify({ code, reason: reason.toString(), deflate: socket.extensions !== '' }));
}

setTimeout(() => { throw new Error('not done within 20 s'); }, 20_000);
main().then(() => process.exit(0), (problem) => {
  console.error(problem);
  process.exit(1);
});
