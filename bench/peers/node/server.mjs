// The endpoint "get member sessions" as one would write it by hand for Node.js 20:
// node:http, node:crypto, a Map. It is a peer of the benchmark: it makes the same
// checks and gives the same answer as Rollcall, and keeps all that it knows in
// memory.
//
//   node server.mjs CONFIG.json
//
// The configuration: {"agentId", "apiKey", "tokenKey", "members": {username: [session…]}}.
import { createDecipheriv, createHash, createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const agents = new Map([[config.agentId, { apiKey: Buffer.from(config.apiKey, 'hex') }]]);
const tokenKey = Buffer.from(config.tokenKey, 'hex');
const members = new Map(Object.entries(config.members));

const PATH = '/v2/members/sessions/check';
const MAX_BODY = 64 * 1024;
const MAX_SKEW = 5 * 60 * 1000;
const LEEWAY = 60;

// Used nonces, in two sets: what is in the older one is too old to come again.
let nonces = new Set();
let older = new Set();
setInterval(() => {
  older = nonces;
  nonces = new Set();
}, 2 * MAX_SKEW).unref();

class Refusal extends Error {
  constructor(code, message, status = 200) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

const badParameters = (status) => new Refusal(11, 'Parameters error', status);
const notAuthentic = () => new Refusal(83, 'Authentication Failed');
const notDecrypted = () => new Refusal(84, 'Decryption Failed');

function same(a, b) {
  const x = Buffer.from(a);
  const y = Buffer.from(b);
  return x.length === y.length && timingSafeEqual(x, y);
}

function checkToken(authorization, agentId) {
  const [scheme, token] = (authorization ?? '').split(' ');
  const [header, payload, signature] = (token ?? '').split('.');
  if (scheme.toLowerCase() !== 'bearer' || !signature) throw notAuthentic();
  if (!same(createHmac('sha256', tokenKey).update(`${header}.${payload}`).digest('base64url'), signature)) throw notAuthentic();
  const { alg } = JSON.parse(Buffer.from(header, 'base64url'));
  const claims = JSON.parse(Buffer.from(payload, 'base64url'));
  const now = Date.now() / 1000;
  if (alg !== 'HS256' || claims.agentId !== agentId) throw notAuthentic();
  if (!(now < claims.exp + LEEWAY && now > claims.iat - LEEWAY)) throw notAuthentic();
}

function open(cipherText, key) {
  try {
    const iv = Buffer.from(cipherText.slice(0, 16), 'base64');
    const tag = Buffer.from(cipherText.slice(16, 40), 'base64');
    const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: 16 });
    decipher.setAuthTag(tag);
    return decipher.update(cipherText.slice(40), 'base64', 'utf8') + decipher.final('utf8');
  } catch {
    throw notDecrypted();
  }
}

function spend(agentId, nonce) {
  const name = `${agentId}|${nonce}`;
  if (nonces.has(name) || older.has(name)) throw notAuthentic();
  nonces.add(name);
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw badParameters();
  }
}

function check(headers, body) {
  const { cipherText } = parse(body);
  if (typeof cipherText !== 'string') throw badParameters();
  const agentId = headers['x-agentid'] ?? '';
  const timestamp = headers['x-timestamp'] ?? '';
  const nonce = headers['x-nonce'] ?? '';
  const signature = headers['x-signature'] ?? '';
  if (!/^[\w.-]{1,64}$/.test(agentId) || !/^\d{13}$/.test(timestamp)) throw notAuthentic();
  if (!/^[A-Za-z0-9]{32}$/.test(nonce) || !/^[0-9a-fA-F]{64}$/.test(signature)) throw notAuthentic();
  const agent = agents.get(agentId);
  if (!agent || Math.abs(Date.now() - Number(timestamp)) > MAX_SKEW) throw notAuthentic();
  const digest = createHash('sha256').update(`${agentId}|${timestamp}|${nonce}|${cipherText}`).digest('hex');
  if (!same(digest, signature.toLowerCase())) throw notAuthentic();
  checkToken(headers.authorization, agentId);
  const plaintext = open(cipherText, agent.apiKey);
  spend(agentId, nonce);
  const { username } = parse(plaintext);
  if (typeof username !== 'string' || !/^[A-Za-z0-9]{1,25}$/.test(username)) throw badParameters();
  const sessions = members.get(username);
  if (!sessions) throw new Refusal(8, 'The User is not exist.');
  return sessions;
}

function answer(res, status, envelope) {
  const logUUID = randomUUID();
  const text = JSON.stringify({ ...envelope, logUUID });
  res.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text), 'X-Log-UUID': logUUID });
  res.end(text);
}

function serve(req, res, body) {
  try {
    if (req.method !== 'POST') throw badParameters(405);
    if (req.url !== PATH) throw badParameters(404);
    answer(res, 200, { code: 0, message: 'No error.', data: check(req.headers, body) });
  } catch (e) {
    if (!(e instanceof Refusal)) console.error(e);
    answer(res, e.status ?? 500, { code: e.code ?? 7, message: e instanceof Refusal ? e.message : 'Internal server error' });
  }
}

const server = createServer((req, res) => {
  const parts = [];
  let size = 0;
  req.on('data', (part) => {
    size += part.length;
    if (size <= MAX_BODY) parts.push(part);
  });
  req.on('end', () => {
    if (size > MAX_BODY) return answer(res, 413, { code: 11, message: 'Parameters error' });
    serve(req, res, Buffer.concat(parts).toString('utf8'));
  });
});

server.keepAliveTimeout = 120_000;
server.listen(0, '127.0.0.1', () => console.log(`serving 127.0.0.1:${server.address().port}`));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
