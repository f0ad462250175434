package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// A signer makes an agent's requests.
type signer struct {
	address, agentID, token string

	key    *wire.APIKey
	nonces int
	run    int64
}

func newSigner(ctx context.Context, address, agentID, apiKey, secret string) (*signer, error) {
	key, err := wire.ParseAPIKey(apiKey)
	if err != nil {
		return nil, err
	}
	s := &signer{address: address, agentID: agentID, key: key, run: time.Now().UnixNano()}
	var auth wire.AuthResponse
	answer, err := s.ask(ctx, wire.PathAuth, wire.AuthRequest{AgentID: agentID, Secret: secret})
	if err != nil {
		return nil, err
	}
	reply, err := wire.ParseReply(answer)
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(reply.Data, &auth)
	s.token = auth.AccessToken
	return s, err
}

// ask makes one call and returns the answer.
func (s *signer) ask(ctx context.Context, path string, request any) (answer []byte, err error) {
	raw, err := s.sign(path, request)
	if err != nil {
		return nil, err
	}
	return ask(ctx, s.address, raw)
}

// sign seals and signs a request with a nonce of its own, and returns the bytes
// that go over the connection.
func (s *signer) sign(path string, request any) ([]byte, error) {
	plaintext, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	cipherText := s.key.Seal(plaintext)
	body, err := json.Marshal(wire.Request{CipherText: cipherText})
	if err != nil {
		return nil, err
	}
	s.nonces++
	head := wire.Header{
		AccessToken: s.token, AgentID: s.agentID,
		Timestamp: wire.FormatTimestamp(time.Now()),
		Nonce:     fmt.Sprintf("%020dx%011d", s.run, s.nonces),
	}
	head.Sign(rollcall.SignaturePlain, nil, cipherText)
	header := make(http.Header)
	head.Set(header)
	header.Set("Content-Type", "application/json")
	var text bytes.Buffer
	fmt.Fprintf(&text, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", path, s.address, len(body))
	if err := header.Write(&text); err != nil {
		return nil, err
	}
	text.WriteString("\r\n")
	text.Write(body)
	return text.Bytes(), nil
}

// signAll signs n requests.
func (s *signer) signAll(n int, path string, request func(i int) any) (requests [][]byte, err error) {
	requests = make([][]byte, n)
	for i := range requests {
		if requests[i], err = s.sign(path, request(i)); err != nil {
			return nil, err
		}
	}
	return requests, nil
}

// launch is the request to launch the game.
func launch(username string) wire.OpenGameRequest {
	return wire.OpenGameRequest{IPAddress: "127.0.0.1", Lang: "en", GameCode: game, LaunchType: int(rollcall.LaunchReal), Username: username}
}
