// A node of another implementation, js-ipfs, behind its own server of Kubo's
// RPC. It holds the trees of `../npm/trees.mjs`, and one that it packed itself.
// Says where it is in one line of JSON, and ends with its standard input.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { create } from 'ipfs-core'
import { HttpApi } from 'ipfs-http-server'
import { CID } from 'multiformats/cid'
import { sample, trees } from '../npm/trees.mjs'

const repo = mkdtempSync(join(tmpdir(), 'ww-kubo-'))
process.on('exit', () => rmSync(repo, { recursive: true, force: true }))

const ipfs = await create({
  repo,
  offline: true,
  silent: true,
  init: { algorithm: 'Ed25519', emptyRepo: true },
  config: {
    Addresses: { Swarm: [], API: '/ip4/127.0.0.1/tcp/0', Gateway: '/ip4/127.0.0.1/tcp/0' },
    Bootstrap: [],
    Discovery: { MDNS: { Enabled: false } }
  }
})

const FORMATS = { 0x55: 'raw', 0x70: 'dag-pb' }
const HASHES = { 0x12: 'sha2-256', 0x13: 'sha2-512' }

const { roots, blocks } = await trees()
for (const [text, bytes] of blocks) {
  const { code, multihash, version } = CID.parse(text)
  const options = { format: FORMATS[code], mhtype: HASHES[multihash.code], version }
  const put = await ipfs.block.put(bytes, options)
  if (put.toString() !== text) throw new Error(`${text} is ${put} here`)
}
// A backslash is an escape to this packer, and no part of a name.
const plain = sample().filter(({ path }) => !path.includes('\\'))
for await (const { cid } of ipfs.addAll(plain, { cidVersion: 1, wrapWithDirectory: true, chunker: 'size-64' })) {
  roots.own = cid
}

const api = new HttpApi(ipfs)
await api.start()
const said = { url: `http://127.0.0.1:${api.apiAddr.nodeAddress().port}` }
for (const [tree, cid] of Object.entries(roots)) said[tree] = cid.toString()
console.log(JSON.stringify(said))
process.stdin.on('end', () => process.exit(0)).resume()
