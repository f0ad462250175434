package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rollcall-server/rollcall/wire"
)

// The folders of the peers.
const (
	plainFolder      = "bench/peers/plain"
	nodeFile         = "bench/peers/node/server.mjs"
	centrifugeFolder = "bench/peers/centrifuge"
)

// rivals starts peers that are to give the answer that rollcall gives.
type rivals struct {
	o      *options
	dir    string
	answer []byte // rollcall's to a check of someone
	config string // file for those who check as rollcall does
	here   string // file for centrifuge
	agent  *signer
	apiKey string
}

// The names of the peers in tables.
const (
	nodeName            = "Node.js 20: node:http, node:crypto, Map"
	plainName           = "Go by hand: encoding/json, golang-jwt, map"
	centrifugeName      = "centrifuge presence, in memory"
	centrifugeRedisName = "centrifuge presence, on Redis"
)

// newRivals writes the peers' configurations.
func newRivals(o *options, dir string, answer []byte) (*rivals, error) {
	reply, err := wire.ParseReply(answer)
	if err != nil {
		return nil, err
	}
	key, text := wire.NewAPIKey()
	r := &rivals{o: o, dir: dir, answer: answer, config: filepath.Join(dir, "peer.json"), here: filepath.Join(dir, "here.json"), apiKey: rand.Text()}
	tokenKey := make([]byte, 32)
	_, _ = rand.Read(tokenKey) // it never fails
	now := time.Now()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"agentId": "agent", "iat": now.Unix(), "exp": now.Add(12 * time.Hour).Unix(),
	}).SignedString(tokenKey)
	if err != nil {
		return nil, err
	}
	r.agent = &signer{agentID: "agent", token: token, key: key, run: now.UnixNano()}
	var sessions []json.RawMessage
	if err := json.Unmarshal(reply.Data, &sessions); err != nil || len(sessions) != 1 {
		return nil, fmt.Errorf("want one session in %s: %w", reply.Data, err)
	}
	return r, errors.Join(
		writeJSON(r.config, map[string]any{
			"agentId": "agent", "apiKey": text, "tokenKey": hex.EncodeToString(tokenKey), "members": map[string]any{someone: reply.Data},
		}),
		writeJSON(r.here, map[string]any{"apiKey": r.apiKey, "channel": someone, "session": sessions[0]}),
	)
}

func writeJSON(file string, v any) error {
	text, err := json.Marshal(v)
	return errors.Join(err, os.WriteFile(file, text, 0o600))
}

// plain starts the server that one would write by hand in Go.
func (r *rivals) plain(ctx context.Context) (*contender, error) {
	binary := filepath.Join(r.dir, "plain")
	if err := build(ctx, plainFolder, binary); err != nil {
		return nil, err
	}
	return r.byHand(ctx, plainName, binary, r.config)
}

// node starts the server that one would write by hand for Node.js.
func (r *rivals) node(ctx context.Context) (*contender, error) {
	if _, err := exec.LookPath("node"); err != nil {
		return nil, errors.New("no node in PATH")
	}
	return r.byHand(ctx, nodeName, "node", nodeFile, r.config)
}

// byHand starts a server that checks as rollcall does, and holds it to that.
func (r *rivals) byHand(ctx context.Context, name string, args ...string) (*contender, error) {
	p, err := serves(ctx, name, r.o.core, args...)
	if err != nil {
		return nil, err
	}
	own := *r.agent
	own.address = p.address
	if err := alike(ctx, &own, r.answer); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), p.stop())
	}
	return checks(p, members{name, &own, func(int) string { return someone }}), nil
}

// centrifuge starts centrifuge's presence; redis is an address, or "" for that in
// memory.
func (r *rivals) centrifuge(ctx context.Context, redis string) (*contender, error) {
	name, binary := centrifugeName, filepath.Join(r.dir, "centrifuge")
	if err := build(ctx, centrifugeFolder, binary); err != nil {
		return nil, err
	}
	args := []string{binary, r.here}
	if redis != "" {
		name, args = centrifugeRedisName, append(args, redis)
	}
	p, err := serves(ctx, name, r.o.core, args...)
	if err != nil {
		return nil, err
	}
	body := fmt.Sprintf(`{"channel":%q}`, someone)
	request := fmt.Appendf(nil, "POST /api/presence HTTP/1.1\r\nHost: %s\r\nX-API-Key: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		p.address, r.apiKey, len(body), body)
	answer, err := ask(ctx, p.address, request)
	if err == nil && !bytes.Contains(answer, []byte(`"sessionInfo"`)) {
		err = fmt.Errorf("%s answers %s", name, answer)
	}
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return always(name, p, request), nil
}

// alike holds a server to what rollcall answers: the sessions of someone, and a
// refusal of what was sent before, is signed wrongly, has a foreign token or does
// not open.
func alike(ctx context.Context, agent *signer, answer []byte) error {
	want, err := wire.ParseReply(answer)
	if err != nil {
		return err
	}
	raw, err := agent.sign(wire.PathSessionsCheck, wire.MemberRequest{Username: someone})
	if err != nil {
		return err
	}
	text, err := ask(ctx, agent.address, raw)
	if err != nil {
		return err
	}
	if got, err := wire.ParseReply(text); err != nil || !bytes.Equal(got.Data, want.Data) {
		return fmt.Errorf("got %s, want as in %s (%w)", text, answer, err)
	}
	foreign, strange := *agent, *agent
	foreign.token = agent.token[:len(agent.token)-8] + "AAAAAAAA"
	strange.key, _ = wire.NewAPIKey()
	for _, bad := range []struct {
		what string
		code int
		make func() ([]byte, error)
	}{
		{"a nonce that was used", 83, func() ([]byte, error) { return raw, nil }},
		{"a foreign token", 83, foreign.one},
		{"another key", 84, strange.one},
		{"a wrong signature", 83, agent.forged},
	} {
		request, err := bad.make()
		if err != nil {
			return err
		}
		if got, err := codeOf(ctx, agent.address, request); err != nil || got != bad.code {
			return fmt.Errorf("%s is answered by code %d, want %d (%w)", bad.what, got, bad.code, err)
		}
	}
	return nil
}

// one is a check of someone.
func (s *signer) one() ([]byte, error) {
	return s.sign(wire.PathSessionsCheck, wire.MemberRequest{Username: someone})
}

// forged is a check of someone with a digit of the signature changed.
func (s *signer) forged() ([]byte, error) {
	request, err := s.one()
	if err != nil {
		return nil, err
	}
	at := bytes.Index(bytes.ToLower(request), []byte("x-signature: ")) + len("x-signature: ")
	digit := &request[at]
	if *digit != '0' {
		*digit = '0'
	} else {
		*digit = '1'
	}
	return request, nil
}

// codeOf sends a request and returns the code of its answer.
func codeOf(ctx context.Context, address string, request []byte) (int, error) {
	answer, err := ask(ctx, address, request)
	var refused refusalError
	if err != nil && !errors.As(err, &refused) {
		return 0, err
	}
	reply, err := wire.ParseReply(answer)
	return int(reply.Code), err
}

// ask sends a request and returns the answer.
func ask(ctx context.Context, address string, request []byte) ([]byte, error) {
	conn, hangUp, err := dial(ctx, address)
	if err != nil {
		return nil, err
	}
	defer hangUp()
	if err := send(conn.Writer, request); err != nil {
		return nil, err
	}
	return readAnswer(conn.Reader, nil)
}
