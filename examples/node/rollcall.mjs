// A client of Rollcall's v2 API, to be copied: Node.js 18 or later, no packages.
// A demonstration is below.
//
//   node rollcall.mjs CREDENTIALS-FILE

import { createCipheriv, createHash, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * An answer with another code than 0. Match on code, never on message; by its
 * logUUID the operator of the service finds the request and why it was refused.
 */
export class RollcallError extends Error {
  constructor(code, message, logUUID) {
    super(message)
    Object.assign(this, { name: 'RollcallError', code, logUUID })
  }
}

/** Calls for one agent. Calls at the same time share one access token. */
export class Rollcall {
  #base
  #agentId
  #secret
  #key
  #token // the promise of one, so that it is fetched once for all who wait

  constructor({ baseUrl, agentId, apiKey, secret }) {
    // 1. The API key is 64 hex digits that stand for 32 bytes. Never use the 64
    //    characters as the key, nor the first 32 of them.
    if (!/^[0-9a-f]{64}$/.test(apiKey)) throw new TypeError('the API key is not 64 lower-case hex digits')
    this.#key = Buffer.from(apiKey, 'hex')
    this.#base = baseUrl.replace(/\/+$/, '')
    this.#agentId = agentId
    this.#secret = secret
  }

  /**
   * The member's active sessions, oldest first. Where partial is true some may be
   * missing for the moment, so that none does not mean that nobody plays.
   */
  async checkSessions(username) {
    const { data, partial } = await this.#call('/v2/members/sessions/check', { username })
    return { active: data, partial }
  }

  /** The usernames of the agent's members with an active session; up to 30 s old. */
  async online() {
    return (await this.#call('/v2/members/online', {})).data.userList
  }

  async createMember(username) {
    await this.#call('/v2/members', { username })
  }

  /** Launches a game; send the member to gameLaunchUrl, and keep it to yourself. */
  async openGame(launch) {
    return (await this.#call('/v2/opengame', launch)).data
  }

  /** Ends all the member's sessions; no error where it has none. */
  async kick(username) {
    await this.#call('/v2/members/sessions/logout', { username })
  }

  async #call(path, request) {
    let pending = this.#token
    if (pending && performance.now() < (await pending).goodUntil) {
      try {
        return await this.#exchange(path, request, (await pending).text)
      } catch (error) {
        if (error.code !== 83) throw error
      }
    }
    // None, an old one, or one that is refused, as after a revocation.
    if (this.#token === pending) this.#token = this.#login()
    return this.#exchange(path, request, (await this.#token).text)
  }

  #login() {
    const asked = performance.now()
    const token = this.#exchange('/v2/auth', { agentId: this.#agentId, secret: this.#secret }).then(
      ({ data: { accessToken, expiresIn } }) => ({ text: accessToken, goodUntil: asked + (expiresIn - 60) * 1000 }),
    )
    token.catch(() => { if (this.#token === token) this.#token = undefined })
    return token
  }

  async #exchange(path, request, token) {
    let answer = await this.#send(path, request, token)
    if (answer.status === 429 || answer.status === 503) { // too many calls, or no room: come again, once, when it says
      const after = answer.headers.get('retry-after') ?? ''
      await sleep(1000 * (/^[0-9]{1,9}$/.test(after) ? Math.min(Number(after), 60) : 1))
      answer = await this.#send(path, request, token)
    }
    const envelope = await answer.json().catch(() => null)
    if (!Number.isInteger(envelope?.code)) throw new Error(`POST ${path}: HTTP ${answer.status}, and no answer of Rollcall`)
    if (envelope.code !== 0) throw new RollcallError(envelope.code, envelope.message, envelope.logUUID)
    return { data: envelope.data, partial: answer.headers.get('x-sessions-partial') === 'true' }
  }

  /** Seals and signs anew each time: a nonce is good once. No redirect is followed. */
  #send(path, request, token) {
    const cipherText = this.#seal(JSON.stringify(request))
    const timestamp = String(Date.now()) // 4. Milliseconds, 13 digits; not seconds.
    const nonce = randomBytes(16).toString('hex')
    const headers = {
      'Content-Type': 'application/json',
      'x-agentid': this.#agentId,
      'x-timestamp': timestamp,
      'x-nonce': nonce,
      'x-signature': createHash('sha256').update([this.#agentId, timestamp, nonce, cipherText].join('|')).digest('hex'),
    }
    if (token) headers.Authorization = `Bearer ${token}`
    const body = JSON.stringify({ cipherText })
    return fetch(this.#base + path, { method: 'POST', headers, body, redirect: 'manual', signal: AbortSignal.timeout(10_000) })
  }

  #seal(plaintext) {
    const iv = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', this.#key, iv)
    const sealed = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final()])
    // 2. The tag goes in front of the sealed bytes, though it is known behind them.
    // 3. Three base64 texts, one behind the other; not one over all the bytes.
    return [iv, cipher.getAuthTag(), sealed].map((part) => part.toString('base64')).join('')
  }
}

// The demonstration, against a sandbox (make run). In your project, cut here.

const { baseUrl, agents: [agent] } = JSON.parse(await readFile(process.argv[2], 'utf8'))
const rollcall = new Rollcall({ baseUrl, ...agent })
const name = `new${randomBytes(8).toString('hex')}`

async function show(what, call) {
  let result
  try {
    result = (await call()) ?? 'done'
  } catch (error) {
    if (!(error instanceof RollcallError)) throw error
    result = `code ${error.code}, ${error.message} (logUUID ${error.logUUID ? 'given' : 'missing'})`
  }
  console.log(`${what}: ${result}`)
}

async function check(username, client = rollcall) {
  const { active, partial } = await client.checkSessions(username)
  const told = active.map(({ gamecode, mode, sessionInfo: { deviceType, ipaddress, currency } }) =>
    `${gamecode}, ${mode}, ${deviceType === 1 ? 'on a PC' : 'on mobile'}, from ${ipaddress}, in ${currency}`).join('; ') || 'no session'
  return told + (partial ? ', but some may be missing' : '')
}

// What the page of the sandbox's game does when the member's browser loads it.
async function openInBrowser(launchUrl) {
  const { origin, pathname, searchParams } = new URL(launchUrl)
  const body = JSON.stringify({ token: searchParams.get('token'), page: 'example' })
  const answer = await fetch(`${origin}${pathname}/start`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body })
  return `HTTP ${answer.status}`
}

await show('check player001', () => check('player001'))
await show('check nobody', () => check('nobody'))
await show('check "not a name"', () => check('not a name'))
await show('create a new member', () => rollcall.createMember(name))
await show('create it again', () => rollcall.createMember(name))
// deviceType is 0 for a PC and 1 for mobile here; a session has 1 and 2.
const launch = await rollcall.openGame({
  username: name, gameCode: 'VP_230001_1', launchType: 2, deviceType: 1, ipaddress: '203.0.113.7', lang: 'en',
})
console.log(`launch VP_230001_1 for it: ${launch.mode}, ${launch.gameLaunchUrl.includes('token=') ? 'a URL with a launch token' : 'no URL'}`)
await show('check it', () => check(name))
await show("open the URL, as the member's browser does", () => openInBrowser(launch.gameLaunchUrl))
await show('check it', () => check(name))
await show('online', async () => `player001 is ${(await rollcall.online()).includes('player001') ? 'playing' : 'away'}`)
await show('kick it', () => rollcall.kick(name))
await show('check it', () => check(name))
await show('check with another API key', () => check('player001', new Rollcall({ baseUrl, ...agent, apiKey: '00'.repeat(32) })))
await show('check with another Secret key', () => check('player001', new Rollcall({ baseUrl, ...agent, secret: 'another' })))
