// What it finds in a cell: an answer to each argument. There is no standard
// library for these in between, what is called is WASI's own.

import { getArguments } from "wasi:cli/environment@0.2.12";
import { exitWithCode } from "wasi:cli/exit@0.2.12";
import { getStderr } from "wasi:cli/stderr@0.2.12";
import { getStdin } from "wasi:cli/stdin@0.2.12";
import { getStdout } from "wasi:cli/stdout@0.2.12";
import { now, subscribeDuration } from "wasi:clocks/monotonic-clock@0.2.12";
import { now as wall } from "wasi:clocks/wall-clock@0.2.12";
import { getDirectories } from "wasi:filesystem/preopens@0.2.12";
import { getRandomBytes } from "wasi:random/random@0.2.12";
import { createTcpSocket } from "wasi:sockets/tcp-create-socket@0.2.12";
import { createUdpSocket } from "wasi:sockets/udp-create-socket@0.2.12";

// QuickJS has numbers where SpiderMonkey has the language's 64-bit integers,
// and no text codec.
const u64 = typeof TextEncoder === "undefined" ? Number : BigInt;
const encode = (text) =>
  Uint8Array.from(unescape(encodeURIComponent(text)), (char) => char.charCodeAt(0));
const decode = (bytes) =>
  decodeURIComponent(escape(bytes.map((byte) => String.fromCharCode(byte)).join("")));

function write(stream, text) {
  const bytes = encode(text);
  for (let start = 0; start < bytes.length; start += 4096) {
    stream.blockingWriteAndFlush(bytes.slice(start, start + 4096));
  }
}

const print = (line) => write(getStdout(), `${line}\n`);
const code = (error) => error.payload?.tag ?? error.payload ?? String(error);
const root = () => getDirectories()[0][0];
const open = (path) =>
  root().openAt({ symlinkFollow: true }, path.slice(1) || ".", {}, { read: true });

/** All of a stream, to its end. */
function drain(stream) {
  const chunks = [];
  for (;;) {
    try {
      chunks.push(...stream.blockingRead(u64(65536)));
    } catch (error) {
      if (code(error) !== "closed") throw error;
      return decode(chunks);
    }
  }
}

function read(path) {
  try {
    write(getStdout(), drain(open(path).readViaStream(u64(0))));
  } catch (error) {
    print(code(error));
  }
}

function list(path) {
  const entries = open(path).readDirectory();
  const names = [];
  for (;;) {
    const entry = entries.readDirectoryEntry();
    if (!entry) break;
    names.push(entry.name + ((entry.type.tag ?? entry.type) === "directory" ? "/" : ""));
  }
  names.sort().forEach(print);
}

function refused(what, call) {
  try {
    call();
    print(`${what}: done`);
  } catch (error) {
    print(`${what}: ${code(error)}`);
  }
}

function writes() {
  const openToWrite = (path, how) => root().openAt({}, path, how, { write: true });
  refused("create", () => openToWrite("new", { create: true }));
  refused("write", () => openToWrite("etc/motd", {}));
  refused("mkdir", () => root().createDirectoryAt("dir"));
  refused("remove", () => root().unlinkFileAt("etc/motd"));
  refused("rename", () => root().renameAt("etc/motd", root(), "motd"));
}

function clocks() {
  const before = now();
  subscribeDuration(u64(2000000)).block();
  print(`after 2020: ${wall().seconds > u64(1577836800) ? "yes" : "no"}`);
  print(`slept: ${now() - before >= u64(2000000) ? "yes" : "no"}`);
}

function sockets() {
  for (const create of [createTcpSocket, createUdpSocket]) {
    try {
      create("ipv4");
      print("opened");
    } catch (error) {
      print(code(error) === "access-denied" ? "denied" : code(error));
    }
  }
}

const differ = () => String(getRandomBytes(u64(16))) !== String(getRandomBytes(u64(16)));

const descend = (left) => (left ? 1 + descend(left - 1) : 0);

function nested(depth) {
  let value = JSON.parse("[".repeat(depth) + "]".repeat(depth));
  let levels = 1;
  for (; value.length; levels += 1) [value] = value;
  print(`json ${levels}`);
  print(`re ${new RegExp(`${"(".repeat(depth)}x${")".repeat(depth)}`).test("x")}`);
}

const ask = {
  say: (...words) => print(words.join(" ")),
  read,
  list,
  write: writes,
  stdin: () => write(getStdout(), drain(getStdin()).toUpperCase()),
  clock: clocks,
  random: () => print(`differ: ${differ() ? "yes" : "no"}`),
  socket: sockets,
  deep: (depth) => print(`deep ${descend(Number(depth))}`),
  nested: (depth) => nested(Number(depth)),
  fail: (code) => {
    write(getStderr(), "as asked\n");
    exitWithCode(Number(code));
  },
};

export const run = {
  run() {
    for (const question of getArguments().slice(1)) {
      const [what, ...words] = question.split(" ");
      try {
        ask[what](...words);
      } catch (error) {
        write(getStderr(), `${code(error)}\n`);
        throw undefined;
      }
    }
  },
};
