// The npm package jose as a peer: what peer.py says, in JavaScript.
// HSM_JOSE_INTEROP_MODULES names the node_modules folder that has it.

import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const modules = process.env.HSM_JOSE_INTEROP_MODULES
const require = createRequire(pathToFileURL(join(modules, 'here.js')))
const jose = require('jose')

const b64 = (bytes) => Buffer.from(bytes).toString('base64url')
const unb64 = (text) => new Uint8Array(Buffer.from(text, 'base64url'))
const text = (bytes) => Buffer.from(bytes).toString()
const parse = (part) => JSON.parse(text(unb64(part)))

const operations = {
  about: () => ({ version: JSON.parse(readFileSync(join(modules, 'jose', 'package.json'))).version }),

  generate: ({ kty, crv, bits }) => {
    if (kty === 'oct') return { private: { kty, k: b64(randomBytes(bits / 8)) } }
    const pair =
      kty === 'RSA' ? generateKeyPairSync('rsa', { modulusLength: bits })
      : kty === 'EC' ? generateKeyPairSync('ec', { namedCurve: crv })
      : generateKeyPairSync(crv.toLowerCase())
    return {
      public: pair.publicKey.export({ format: 'jwk' }),
      private: pair.privateKey.export({ format: 'jwk' }),
    }
  },

  encrypt: async ({ form, protected: header, recipients, plaintext, unprotected, aad }) => {
    // The package takes these two as parameters and writes them into the header itself.
    const { apu, apv, ...rest } = header
    const content = unb64(plaintext)
    const keys = await Promise.all(
      recipients.map((one) => jose.importJWK(one.jwk, one.header?.alg ?? unprotected?.alg ?? header.alg)),
    )
    if (form === 'compact') {
      const token = new jose.CompactEncrypt(content).setProtectedHeader(rest)
      if (apu && apv) token.setKeyManagementParameters({ apu: unb64(apu), apv: unb64(apv) })
      return { token: await token.encrypt(keys[0]) }
    }
    const token = form === 'flattened' ? new jose.FlattenedEncrypt(content) : new jose.GeneralEncrypt(content)
    token.setProtectedHeader(rest)
    if (unprotected) token.setSharedUnprotectedHeader(unprotected)
    if (aad) token.setAdditionalAuthenticatedData(unb64(aad))
    if (form === 'flattened') {
      if (recipients[0].header) token.setUnprotectedHeader(recipients[0].header)
      return { token: JSON.stringify(await token.encrypt(keys[0])) }
    }
    recipients.forEach((one, i) => {
      const recipient = token.addRecipient(keys[i])
      if (one.header) recipient.setUnprotectedHeader(one.header)
    })
    return { token: JSON.stringify(await token.encrypt()) }
  },

  decrypt: async ({ form, token, jwk, alg }) => {
    const key = await jose.importJWK(jwk, alg)
    const opened =
      form === 'compact' ? await jose.compactDecrypt(token, key)
      : form === 'flattened' ? await jose.flattenedDecrypt(JSON.parse(token), key)
      : await jose.generalDecrypt(JSON.parse(token), key)
    return { plaintext: b64(opened.plaintext), protected: opened.protectedHeader }
  },

  sign: async ({ form, signatures, payload, detached }) => {
    const content = unb64(payload)
    const keys = await Promise.all(signatures.map((one) => jose.importJWK(one.jwk, one.protected.alg)))
    const unencoded = signatures[0].protected.b64 === false
    let token
    if (form === 'general') {
      const general = new jose.GeneralSign(content)
      signatures.forEach((one, i) => {
        const signature = general.addSignature(keys[i]).setProtectedHeader(one.protected)
        if (one.header) signature.setUnprotectedHeader(one.header)
      })
      token = await general.sign()
    } else {
      // Also for compact: CompactSign leaves detached and unencoded payloads to FlattenedSign.
      const flattened = new jose.FlattenedSign(content).setProtectedHeader(signatures[0].protected)
      if (signatures[0].header) flattened.setUnprotectedHeader(signatures[0].header)
      token = await flattened.sign(keys[0])
    }
    // The package leaves an unencoded payload out.
    if (unencoded) token.payload = text(content)
    if (form === 'compact') {
      return { token: `${token.protected}.${detached ? '' : token.payload}.${token.signature}` }
    }
    if (detached) delete token.payload
    return { token: JSON.stringify(token) }
  },

  // The package is content with one signature that verifies, so each key is asked for.
  verify: async ({ form, token, keys, alg, payload }) => {
    let checked
    for (const jwk of keys) {
      const key = await jose.importJWK(jwk, alg ?? jwk.alg)
      const options = { algorithms: [alg ?? jwk.alg] }
      if (form === 'compact' && payload === undefined) {
        checked = await jose.compactVerify(token, key, options)
        continue
      }
      let parts
      if (form === 'compact') {
        const [header, , signature] = token.split('.')
        parts = { protected: header, signature }
      } else {
        parts = JSON.parse(token)
      }
      if (payload !== undefined) {
        const unencoded = parse((parts.signatures?.[0] ?? parts).protected).b64 === false
        parts.payload = unencoded ? unb64(payload) : payload
      }
      checked =
        form === 'general' ? await jose.generalVerify(parts, key, options)
        : await jose.flattenedVerify(parts, key, options)
    }
    return { payload: b64(checked.payload), protected: checked.protectedHeader }
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const { op, ...request } = JSON.parse(line)
  let answer
  try {
    answer = await operations[op](request)
  } catch (error) {
    answer = { error: `${error.name}: ${error.message}` }
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
