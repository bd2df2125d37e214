// A name of each kind of key, with a record of it that says `value`, signed by
// implementations other than ours.

import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { createIPNSRecord, marshalIPNSRecord } from 'ipns'
import { base36 } from 'multiformats/bases/base36'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'

const LIBP2P_KEY = 0x72
const SHA2_256 = 0x12

// A key of ECDSA, as the specification of peer ids has it: the package encodes
// such keys, and their signatures, in a way of its own.
async function ecdsa (value, milliseconds) {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const encoded = Buffer.concat([Buffer.from([8, 3, 18, spki.length]), spki])
  const hash = create(SHA2_256, createHash('sha256').update(encoded).digest())
  const other = await generateKeyPair('Ed25519')
  const record = await createIPNSRecord(other, value, 3n, milliseconds, { v1Compatible: false })
  record.pubKey = encoded
  record.signatureV2 = sign('sha256', Buffer.concat([Buffer.from('ipns-signature:'), record.data]), privateKey)
  return { cid: CID.createV1(LIBP2P_KEY, hash), record }
}

export async function names (value, milliseconds) {
  return Promise.all(['Ed25519', 'RSA', 'secp256k1', 'ECDSA'].map(async kind => {
    let cid, record
    if (kind === 'ECDSA') {
      ({ cid, record } = await ecdsa(value, milliseconds))
    } else {
      const key = await generateKeyPair(kind)
      cid = key.publicKey.toCID()
      record = await createIPNSRecord(key, value, 3n, milliseconds)
    }
    return { kind, name: cid.toString(base36), record: marshalIPNSRecord(record) }
  }))
}
