package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

var dialer = net.Dialer{Timeout: 10 * time.Second}

// A job is what load does.
type job struct {
	address  string
	requests [][]byte
	conns    int
	// rate is how many requests begin in a second; 0: each connection sends as
	// fast as answers come. With a rate, what waits for its connection counts as
	// answered late.
	rate float64
	// take, if set, gets each answer's body, on many goroutines.
	take func(i int, body []byte) error
}

// A sample is one measurement.
type sample struct {
	n                   int
	took                time.Duration
	cpu                 time.Duration // user and system, of the server's process
	engine              time.Duration // the same, of the engine behind it
	own                 time.Duration // the same, of the load
	p50, p99, p999, max time.Duration
	times               []time.Duration // of each, sorted
}

func (s sample) perSecond() float64 { return float64(s.n) / s.took.Seconds() }
func (s sample) micros() float64    { return s.cpu.Seconds() * 1e6 / float64(s.n) }

func (s sample) engineMicros() float64 { return s.engine.Seconds() * 1e6 / float64(s.n) }
func (s sample) ownMicros() float64    { return s.own.Seconds() * 1e6 / float64(s.n) }
func (s sample) p99Millis() float64    { return s.p99.Seconds() * 1e3 }

// of is the same measurement, of n things.
func (s sample) of(n int) sample {
	s.n = n
	return s
}

// watched measures what do does to a server.
func watched(server *process, n int, do func() error) (sample, error) {
	before, err := server.cpu()
	if err != nil {
		return sample{}, err
	}
	start, own := time.Now(), ownCPU()
	if err := do(); err != nil {
		return sample{}, fmt.Errorf("%s: %w", server.name, err)
	}
	took := time.Since(start)
	own = ownCPU() - own
	after, err := server.cpu()
	return sample{n: n, took: took, cpu: after - before, own: own}, err
}

// load sends the requests, spread over the connections.
func load(ctx context.Context, server *process, j job) (sample, error) {
	times := make([]time.Duration, len(j.requests))
	s, err := watched(server, len(j.requests), func() error {
		errs := make([]error, j.conns)
		start := time.Now()
		var workers sync.WaitGroup
		for c := range j.conns {
			workers.Go(func() { errs[c] = j.loadOne(ctx, start, times, c) })
		}
		workers.Wait()
		return errors.Join(errs...)
	})
	return s.timed(times), err
}

// loadOne sends each conns-th request over one connection.
func (j *job) loadOne(ctx context.Context, start time.Time, times []time.Duration, first int) error {
	var conn *bufio.ReadWriter
	var body []byte
	for i := first; i < len(j.requests); i += j.conns {
		begun := time.Now()
		if j.rate > 0 {
			begun = start.Add(time.Duration(float64(i) / j.rate * float64(time.Second)))
			time.Sleep(time.Until(begun))
		}
		if conn == nil { // not before: the server closes a connection that says nothing
			var hangUp func()
			var err error
			if conn, hangUp, err = dial(ctx, j.address); err != nil {
				return err
			}
			defer hangUp()
			defer context.AfterFunc(ctx, hangUp)()
		}
		if err := send(conn.Writer, j.requests[i]); err != nil {
			return err
		}
		var err error
		if body, err = readAnswer(conn.Reader, body[:0]); err != nil {
			return err
		}
		times[i] = time.Since(begun)
		if j.take != nil {
			if err := j.take(i, body); err != nil {
				return err
			}
		}
	}
	return nil
}

func send(to *bufio.Writer, request []byte) error {
	if _, err := to.Write(request); err != nil {
		return err
	}
	return to.Flush()
}

var (
	statusOK      = []byte("HTTP/1.1 20")
	contentLength = []byte("Content-Length: ")
	chunked       = []byte("Transfer-Encoding: chunked")
	refused       = []byte(`{"code":`)
	accepted      = []byte(`{"code":0,`)
)

// A refusalError is an answer that is no success.
type refusalError string

func (e refusalError) Error() string { return string(e) }

// readAnswer reads one answer, with its body appended to dst, and holds it to be
// a success: an answer that refuses is cheaper and must not count.
func readAnswer(in *bufio.Reader, dst []byte) ([]byte, error) {
	status, err := in.ReadSlice('\n')
	if err != nil {
		return dst, err
	}
	ok := bytes.HasPrefix(status, statusOK)
	text := string(bytes.TrimSpace(status))
	length := 0
	for line := status; len(line) > 2; {
		if line, err = in.ReadSlice('\n'); err != nil {
			return dst, err
		}
		if bytes.HasPrefix(line, chunked) {
			length = -1
		}
		if value, found := bytes.CutPrefix(line, contentLength); found {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return dst, err
			}
		}
	}
	if length < 0 {
		dst, err = readChunks(in, dst)
	} else {
		dst = slices.Grow(dst, length)[:length]
		_, err = io.ReadFull(in, dst)
	}
	if err == nil && (!ok || bytes.HasPrefix(dst, refused) && !bytes.HasPrefix(dst, accepted)) {
		err = refusalError(fmt.Sprintf("%s: %.300s", text, dst))
	}
	return dst, err
}

// readChunks reads a body of which the length is not known at its beginning.
func readChunks(in *bufio.Reader, dst []byte) ([]byte, error) {
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return dst, err
		}
		size, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return dst, err
		}
		at := len(dst)
		dst = slices.Grow(dst, int(size)+2)[:at+int(size)+2]
		if _, err := io.ReadFull(in, dst[at:]); err != nil {
			return dst, err
		}
		dst = dst[:at+int(size)] // without its CR LF
		if size == 0 {
			return dst, nil
		}
	}
}
