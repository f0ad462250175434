package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/signal"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

func unixSignals(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, syscall.SIGTERM)
}

// A signer makes checks of the sandbox's player001.
type signer struct {
	agentID, token string
	key            *wire.APIKey
	nonces         int
	run            int64
	answer         []byte // of one check
}

func newSigner(ctx context.Context, box *process) (*signer, error) {
	var c struct {
		Agents []struct{ AgentID, APIKey, Secret string }
	}
	if err := readJSON(box.credentials, &c); err != nil {
		return nil, err
	}
	agent := c.Agents[0]
	key, err := wire.ParseAPIKey(agent.APIKey)
	if err != nil {
		return nil, err
	}
	s := &signer{agentID: agent.AgentID, key: key, run: time.Now().UnixNano()}
	reply, _, err := s.once(ctx, box, wire.PathAuth, wire.AuthRequest{AgentID: agent.AgentID, Secret: agent.Secret})
	if err != nil {
		return nil, err
	}
	var auth wire.AuthResponse
	if err := json.Unmarshal(reply.Data, &auth); err != nil {
		return nil, err
	}
	s.token = auth.AccessToken
	_, s.answer, err = s.once(ctx, box, wire.PathSessionsCheck, wire.MemberRequest{Username: "player001"})
	return s, err
}

// once makes one call by net/http.
func (s *signer) once(ctx context.Context, box *process, path string, request any) (wire.Reply, []byte, error) {
	head, body, err := s.request(request)
	if err != nil {
		return wire.Reply{}, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+box.address+path, bytes.NewReader(body))
	if err != nil {
		return wire.Reply{}, nil, err
	}
	head.Set(req.Header)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return wire.Reply{}, nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return wire.Reply{}, nil, err
	}
	reply, err := wire.ParseReply(answer)
	if err != nil {
		return wire.Reply{}, nil, err
	}
	return reply, answer, reply.Err()
}

// request seals and signs one request with a nonce of its own.
func (s *signer) request(request any) (wire.Header, []byte, error) {
	plaintext, err := json.Marshal(request)
	if err != nil {
		return wire.Header{}, nil, err
	}
	cipherText := s.key.Seal(plaintext)
	body, err := json.Marshal(wire.Request{CipherText: cipherText})
	if err != nil {
		return wire.Header{}, nil, err
	}
	s.nonces++
	head := wire.Header{
		AccessToken: s.token, AgentID: s.agentID,
		Timestamp: wire.FormatTimestamp(time.Now()),
		Nonce:     fmt.Sprintf("%020dx%011d", s.run, s.nonces),
	}
	head.Sign(rollcall.SignaturePlain, nil, cipherText)
	return head, body, nil
}

// sign returns n checks as the bytes that go over the connection.
func (s *signer) sign(n int, host string) ([][]byte, error) {
	requests := make([][]byte, n)
	for i := range requests {
		head, body, err := s.request(wire.MemberRequest{Username: "player001"})
		if err != nil {
			return nil, err
		}
		header := make(http.Header)
		head.Set(header)
		header.Set("Content-Type", "application/json")
		var text bytes.Buffer
		fmt.Fprintf(&text, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", wire.PathSessionsCheck, host, len(body))
		if err := header.Write(&text); err != nil {
			return nil, err
		}
		text.WriteString("\r\n")
		text.Write(body)
		requests[i] = text.Bytes()
	}
	return requests, nil
}

// load sends the requests over conns connections, each as fast as answers come.
func load(ctx context.Context, server *process, requests [][]byte, conns int) (sample, error) {
	before, err := server.cpu()
	if err != nil {
		return sample{}, err
	}
	times := make([]time.Duration, len(requests))
	errs := make([]error, conns)
	start := time.Now()
	var workers sync.WaitGroup
	for c := range conns {
		workers.Go(func() { errs[c] = loadOne(ctx, server.address, requests, times, c, conns) })
	}
	workers.Wait()
	took := time.Since(start)
	after, err := server.cpu()
	if err := errors.Join(append(errs, err)...); err != nil {
		return sample{}, err
	}
	slices.Sort(times)
	return sample{
		requests: len(requests), took: took, cpu: after - before,
		p50: times[len(times)/2], p99: times[len(times)*99/100],
	}, nil
}

// loadOne sends each conns-th request over one connection.
func loadOne(ctx context.Context, address string, requests [][]byte, times []time.Duration, first, conns int) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 4096)
	for i := first; i < len(requests); i += conns {
		start := time.Now()
		if _, err := conn.Write(requests[i]); err != nil {
			return err
		}
		if err := readAnswer(in); err != nil {
			return err
		}
		times[i] = time.Since(start)
	}
	return nil
}

var (
	statusOK      = []byte("HTTP/1.1 200 ")
	contentLength = []byte("Content-Length: ")
	codeOK        = []byte(`{"code":0,`)
)

// readAnswer reads one answer and holds it to be code 0: an answer that refuses
// is cheaper and must not count.
func readAnswer(in *bufio.Reader) error {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, statusOK) {
		return fmt.Errorf("answer %q", line)
	}
	length := 0
	for len(line) > 2 {
		if line, err = in.ReadSlice('\n'); err != nil {
			return err
		}
		if value, ok := bytes.CutPrefix(line, contentLength); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	body, err := in.Peek(length)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(body, codeOK) {
		return fmt.Errorf("answer %s", body)
	}
	_, err = in.Discard(length)
	return err
}
