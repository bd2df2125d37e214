// A trustless gateway made of published handlers, over trees packed by
// published packers. Says where it is in one line of JSON, and ends with its
// standard input. Directories that are named on the command line are packed and
// served as well, under the numbers from 0 on.

import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { handleBlock, handleCar } from '@web3-storage/gateway-lib/handlers'
import { Dagula } from 'dagula'
import { CAREncoderStream, createDirectoryEncoderStream } from 'ipfs-car'
import { CID } from 'multiformats/cid'
import { names } from './names.mjs'
import { directory, trees } from './trees.mjs'

const { roots, blocks } = await trees()
for (const [number, path] of process.argv.slice(2).entries()) {
  roots[number] = await directory(blocks, path)
}

const store = {
  get: async cid => {
    const bytes = blocks.get(cid.toString())
    return bytes && { cid, bytes }
  },
  stat: async cid => {
    const bytes = blocks.get(cid.toString())
    return bytes && { size: bytes.length }
  },
  stream: async (cid, { range } = {}) => {
    const bytes = blocks.get(cid.toString())
    return bytes && new Blob([range ? bytes.subarray(range[0], (range[1] ?? bytes.length - 1) + 1) : bytes]).stream()
  }
}
const dagula = new Dagula(store)

const owners = await names(`/ipfs/${roots.v1}`, 60 * 60 * 1000)
const records = new Map(owners.map(({ name, record }) => [name, record]))

async function archive () {
  const files = [
    new File(['packed elsewhere'], 'a/b.txt'),
    new File([new Uint8Array(3 << 20).map((_, at) => at % 251)], 'large')
  ]
  let root
  const chunks = []
  await createDirectoryEncoderStream(files)
    .pipeThrough(new TransformStream({
      transform (block, controller) {
        root = block.cid
        controller.enqueue(block)
      }
    }))
    .pipeThrough(new CAREncoderStream())
    .pipeTo(new WritableStream({ write: chunk => { chunks.push(chunk) } }))
  return { root, bytes: Buffer.concat(chunks) }
}
const packed = await archive()

async function answer (request) {
  const url = new URL(request.url)
  const [, space, root, ...rest] = url.pathname.split('/')
  if (space === 'packed') return new Response(packed.bytes)
  if (space === 'ipns') {
    const record = records.get(root)
    return record ? new Response(record) : new Response('', { status: 404 })
  }
  const ctx = {
    waitUntil () {},
    dataCid: CID.parse(root),
    path: rest.length ? `/${rest.map(decodeURIComponent).join('/')}` : '',
    searchParams: url.searchParams,
    blocks: dagula,
    dag: dagula,
    unixfs: dagula
  }
  const handle = url.searchParams.get('format') === 'car' ? handleCar : handleBlock
  return handle(request, {}, ctx)
}

const server = createServer(async (incoming, outgoing) => {
  let response
  try {
    const { method, headers } = incoming
    response = await answer(new Request(`http://localhost${incoming.url}`, { method, headers }))
  } catch (error) {
    response = new Response(error.message, { status: error.code === 'ERR_DONT_HAVE' ? 404 : 500 })
  }
  outgoing.writeHead(response.status, Object.fromEntries(response.headers))
  if (response.body) Readable.fromWeb(response.body).pipe(outgoing)
  else outgoing.end()
})
server.listen(0, '127.0.0.1', () => {
  const url = `http://127.0.0.1:${server.address().port}`
  const said = { url, packed: packed.root.toString() }
  for (const { kind, name } of owners) said[kind] = name
  for (const [tree, cid] of Object.entries(roots)) said[tree] = cid.toString()
  console.log(JSON.stringify(said))
})
process.stdin.on('end', () => process.exit(0)).resume()
