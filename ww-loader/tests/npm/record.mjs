// Writes what the tests read where no npm package is: node record.mjs > FILE

import { trees } from './trees.mjs'

const { roots, blocks } = await trees()
for (const [name, cid] of Object.entries(roots)) {
  console.log(`root ${name} ${cid}`)
}
for (const [cid, bytes] of [...blocks].sort()) {
  console.log(`block ${cid} ${Buffer.from(bytes).toString('base64')}`)
}
