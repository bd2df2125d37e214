// Writes what the tests read where no npm package is: node record.mjs > FILE

import { names } from './names.mjs'
import { trees } from './trees.mjs'

const { roots, blocks } = await trees()
for (const [name, cid] of Object.entries(roots)) {
  console.log(`root ${name} ${cid}`)
}
// They hold for a thousand years, and nobody has their keys any more.
for (const { kind, name, record } of await names('/ipfs/bafkqaaa/below', 1000 * 365 * 86400 * 1000)) {
  console.log(`name ${kind} ${name} ${Buffer.from(record).toString('base64')}`)
}
for (const [cid, bytes] of [...blocks].sort()) {
  console.log(`block ${cid} ${Buffer.from(bytes).toString('base64')}`)
}
