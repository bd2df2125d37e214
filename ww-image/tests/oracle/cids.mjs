// Prints the CID that ipfs-unixfs-importer computes for a directory.
//
//     node cids.mjs NODE_MODULES PROFILE DIRECTORY...
//
// One line for each directory: everything in it counts, hidden files and empty
// directories too, and links stay links.

import { createReadStream } from 'node:fs'
import { readFile, readdir, readlink, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const [modules, profile, ...directories] = process.argv.slice(2)
const within = createRequire(join(resolve(modules), 'package.json'))
const load = async name => import(pathToFileURL(
  within.resolve.paths(name).map(path => join(path, name))[0] + '/dist/src/index.js'))
const { importer } = await load('ipfs-unixfs-importer')

const LARGE = 1 << 20

// Only the CIDs are wanted, so no block is kept.
const nowhere = { put: async cid => cid }

async function * candidates (directory, path) {
  const entries = await readdir(directory, { withFileTypes: true })
  if (entries.length === 0) yield { path }
  for (const entry of entries) {
    const from = join(directory, entry.name)
    const to = `${path}/${entry.name}`
    if (entry.isDirectory()) yield * candidates(from, to)
    else if (entry.isSymbolicLink()) yield { path: to, link: await readlink(from) }
    else if ((await stat(from)).size < LARGE) yield { path: to, content: await readFile(from) }
    else yield { path: to, content: createReadStream(from, { highWaterMark: LARGE }) }
  }
}

for (const directory of directories) {
  let root
  for await (const entry of importer(candidates(directory, 'root'), nowhere, { profile })) {
    if (entry.path === 'root') root = entry.cid
  }
  console.log(root.toString())
}
