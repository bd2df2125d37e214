// Trees packed by implementations other than ours, as a map from a tree's name
// to its root, with all blocks.

import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import * as dagPb from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import { importer } from 'ipfs-unixfs-importer'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced } from 'ipfs-unixfs-importer/layout'
import { CID } from 'multiformats/cid'
import { identity } from 'multiformats/hashes/identity'
import { sha256, sha512 } from 'multiformats/hashes/sha2'

const RAW = 0x55

class Blocks extends Map {
  async put (cid, bytes) {
    this.set(cid.toString(), bytes)
    return cid
  }
}

const text = string => new TextEncoder().encode(string)

// As long as `len`, and nowhere the same within 251 bytes.
const long = len => Uint8Array.from({ length: len }, (_, at) => at % 251)

export const sample = () => [
  { path: 'bin/main.wasm', content: text('\0asm\r\0\x01\0') },
  { path: 'empty', content: text('') },
  { path: 'etc/a b/...', content: text('dots and spaces') },
  { path: 'etc/.hidden', content: text('hidden') },
  { path: 'etc/\u{e9}\u{4e2d}\\n', content: text('beyond ASCII') },
  { path: 'etc-too', content: text('sorts between etc and what is in it') },
  { path: 'large', content: long(1000) },
  { path: 'a/b/c/d/e/f', content: text('deep') }
]

const many = () => Array.from({ length: 60 }, (_, n) => ({
  path: `file ${n}`,
  content: text(`content ${n}`)
}))

async function pack (blocks, files, options) {
  let root
  for await (const entry of importer(files, blocks, { wrapWithDirectory: true, ...options })) {
    root = entry.cid
  }
  return root
}

async function node (blocks, unixfs, links = []) {
  const bytes = dagPb.encode(dagPb.prepare({ Data: unixfs.marshal(), Links: links }))
  const cid = CID.createV1(dagPb.code, await sha256.digest(bytes))
  blocks.set(cid.toString(), bytes)
  return { cid, size: bytes.length }
}

async function links (blocks) {
  const entries = []
  const put = (name, { cid, size }) => entries.push({ Name: name, Hash: cid, Tsize: size })
  const link = target => node(blocks, new UnixFS({ type: 'symlink', data: text(target) }))
  put('to file', await link('file'))
  put('absolute', await link('/file'))
  put('out', await link('../../etc/passwd'))
  put('itself', await link('itself'))
  put('file', await node(blocks, new UnixFS({ type: 'file', data: text('in the node'), mode: 0o600, mtime: { secs: 1n, nsecs: 2 } })))
  const dir = await node(blocks, new UnixFS({ type: 'directory', mode: 0o700 }), entries)
  return dir.cid
}

async function hashes (blocks) {
  const inlined = CID.createV1(RAW, identity.digest(text('held by the CID itself')))
  const bytes = text('by another hash')
  const other = CID.createV1(RAW, await sha512.digest(bytes))
  blocks.set(other.toString(), bytes)
  const raw = await node(blocks, new UnixFS({ type: 'raw', data: text('as old writers did') }))
  const dir = await node(blocks, new UnixFS({ type: 'directory' }), [
    { Name: 'inlined', Hash: inlined, Tsize: 22 },
    { Name: 'old', Hash: raw.cid, Tsize: raw.size },
    { Name: 'sha2-512', Hash: other, Tsize: bytes.length }
  ])
  return dir.cid
}

// Packs what is in a directory of the host: files, and directories of files.
export async function directory (blocks, path) {
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  const files = entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name))
  const candidates = files.map(async file => ({
    path: file.slice(path.length).replace(/^\/+/, ''),
    content: await readFile(file)
  }))
  return pack(blocks, await Promise.all(candidates), { profile: 'unixfs-v1-2025' })
}

export async function trees () {
  const blocks = new Blocks()
  const small = { chunker: fixedSize({ chunkSize: 64 }), layout: balanced({ maxChildrenPerNode: 3 }) }
  const shards = { shardSplitThresholdBytes: 0, shardFanoutBits: 3 }
  const roots = {
    v1: await pack(blocks, sample(), { profile: 'unixfs-v1-2025' }),
    v0: await pack(blocks, sample(), { profile: 'unixfs-v0-2015' }),
    chunked: await pack(blocks, sample(), { profile: 'unixfs-v1-2025', ...small }),
    'chunked-v0': await pack(blocks, sample(), { profile: 'unixfs-v0-2015', ...small }),
    narrow: await pack(blocks, many(), { profile: 'unixfs-v1-2025', ...shards }),
    wide: await pack(blocks, many(), { profile: 'unixfs-v1-2025', ...shards, shardFanoutBits: 8 }),
    links: await links(blocks),
    hashes: await hashes(blocks)
  }
  return { roots, blocks }
}
