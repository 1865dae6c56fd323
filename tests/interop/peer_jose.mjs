// The npm package jose as a peer: one JSON request on a line in, one JSON answer on a line out.
// HSM_JOSE_INTEROP_MODULES names the node_modules folder that has it.

import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { generateKeyPairSync } from 'node:crypto'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const require = createRequire(pathToFileURL(join(process.env.HSM_JOSE_INTEROP_MODULES, 'here.js')))
const jose = require('jose')

const b64 = (bytes) => Buffer.from(bytes).toString('base64url')
const unb64 = (text) => new Uint8Array(Buffer.from(text, 'base64url'))

const operations = {
  about: () => ({
    alg: ['RSA-OAEP', 'RSA-OAEP-256', 'RSA-OAEP-384', 'RSA-OAEP-512', 'ECDH-ES', 'ECDH-ES+A128KW', 'ECDH-ES+A192KW', 'ECDH-ES+A256KW'],
    enc: ['A128GCM', 'A192GCM', 'A256GCM', 'A128CBC-HS256', 'A192CBC-HS384', 'A256CBC-HS512'],
    crv: ['P-256', 'P-384', 'P-521', 'X25519'],
    jws: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
  }),

  generate: ({ kty, crv }) => {
    const pair =
      kty === 'RSA' ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : kty === 'EC' ? generateKeyPairSync('ec', { namedCurve: crv })
      : generateKeyPairSync(crv.toLowerCase())
    return {
      public: pair.publicKey.export({ format: 'jwk' }),
      private: pair.privateKey.export({ format: 'jwk' }),
    }
  },

  encrypt: async ({ jwk_, header, plaintext }) => {
    const key = await jose.importJWK(jwk_, header.alg)
    // The package takes these two as parameters and writes them into the header itself.
    const { apu, apv, ...rest } = header
    const token = new jose.CompactEncrypt(unb64(plaintext)).setProtectedHeader(rest)
    if (apu && apv) token.setKeyManagementParameters({ apu: unb64(apu), apv: unb64(apv) })
    return { token: await token.encrypt(key) }
  },

  decrypt: async ({ jwk_, token }) => {
    const key = await jose.importJWK(jwk_, jose.decodeProtectedHeader(token).alg)
    const opened = await jose.compactDecrypt(token, key)
    return { plaintext: b64(opened.plaintext), header: opened.protectedHeader }
  },

  sign: async ({ jwk_, header, payload }) => {
    const key = await jose.importJWK(jwk_, header.alg)
    return { token: await new jose.CompactSign(unb64(payload)).setProtectedHeader(header).sign(key) }
  },

  verify: async ({ jwk_, token, alg }) => {
    const key = await jose.importJWK(jwk_, alg)
    const checked = await jose.compactVerify(token, key, { algorithms: [alg] })
    return { payload: b64(checked.payload), header: checked.protectedHeader }
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
