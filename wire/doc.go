// Package wire turns bytes into values and values into bytes, in both
// directions, for the v2 API: the headers (spec 2), the signature (spec 3), the
// cipherText (spec 4), the envelope and its one table of codes (spec 1.4, 9),
// and a struct for each request and response (spec 5–7). A server and a client
// use the same functions, so that the two cannot disagree.
//
// It does no I/O, reads no clock, keeps nothing and decides nothing: whether a
// timestamp is fresh, a nonce is new or a member exists is for others to say.
// It imports the standard library only. "spec" is docs/protocol.md.
package wire
