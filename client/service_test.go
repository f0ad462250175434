package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

const testToken = "t0ken-that-nobody-may-see"

// A service plays the game-server API, over connections in memory, so that time
// is virtual. The fields are set before what they are to change.
type service struct {
	t *testing.T

	mu        sync.Mutex
	epoch     string
	fault     error                                           // the answer to everything
	down      bool                                            // connections break
	refusing  bool                                            // announced sessions
	refuseAck bool                                            // breaks acknowledgements only
	answer    wire.HeartbeatResponse                          // to heartbeats; Epoch is set
	stream    func(n int, from string, out func(text string)) // of the nth event stream
	streams   int
	startBeat int // HeartbeatSeconds of a Start
	cursor    string
	// instead, where it returns true, has answered as something broken does.
	instead func(w http.ResponseWriter, r *http.Request, body string) bool
	calls   []string
	beatsAt []time.Time
}

// newService makes one, and a GameServer that calls it.
func newService(t *testing.T, change func(o *GameServerOptions)) (*service, *GameServer) {
	s := &service{t: t, epoch: "e1", cursor: "c0", stream: func(int, string, func(string)) {}}
	listener := newMemory()
	web := &httptest.Server{Listener: listener, Config: &http.Server{Handler: s}}
	web.Start()
	transport := &http.Transport{DialContext: listener.dial}
	t.Cleanup(func() { transport.CloseIdleConnections(); web.Close() })
	o := GameServerOptions{
		BaseURL: web.URL + "/", Token: testToken, BootID: "b1",
		HTTPClient: &http.Client{Transport: transport, Timeout: 7 * time.Second},
		OnEvent:    func(context.Context, rollcall.Event) error { return nil },
	}
	if change != nil {
		change(&o)
	}
	g, err := NewGameServer(o)
	must(t, err)
	return s, g
}

// memory is a listener whose connections synctest can follow.
type memory struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

func newMemory() memory {
	closed := make(chan struct{})
	return memory{make(chan net.Conn), closed, sync.OnceFunc(func() { close(closed) })}
}

func (m memory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80} }

func (m memory) Close() error { m.close(); return nil }

func (m memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m memory) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case m.conns <- theirs:
		return ours, nil
	case <-m.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if r.Header.Get("Authorization") != "Bearer "+testToken {
		s.t.Errorf("%s: Authorization is %q", r.URL, r.Header.Get("Authorization"))
	}
	s.mu.Lock()
	if instead := s.instead; instead != nil {
		s.mu.Unlock()
		if instead(w, r, string(body)) {
			return
		}
		s.mu.Lock()
	}
	if s.down || s.refuseAck && r.URL.Path == wire.PathGameAck {
		s.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	if s.fault != nil {
		code, status := wire.FaultOf(s.fault)
		s.mu.Unlock()
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(wire.Fault{Error: wire.FaultDetail{Code: code, Message: s.fault.Error()}})
		return
	}
	if r.URL.Path == wire.PathGameEvents {
		s.serveStream(w, r)
		return
	}
	defer s.mu.Unlock()
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
		s.t.Errorf("%s %s with Content-Type %q", r.Method, r.URL, r.Header.Get("Content-Type"))
	}
	json.NewEncoder(w).Encode(s.reply(r.URL.Path, body))
}

// reply notes a call and answers it.
func (s *service) reply(path string, body []byte) any {
	in := func(to any) {
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		must(s.t, d.Decode(to))
	}
	switch path {
	case wire.PathGameBoot:
		var r wire.BootRequest
		in(&r)
		s.note("boot %s", r.BootID)
		return wire.BootResponse{GameServer: "g", Epoch: s.epoch, Cursor: s.cursor, LeaseSeconds: 90, HeartbeatSeconds: 30}
	case wire.PathGameSessions:
		var r wire.StartRequest
		in(&r)
		s.note("start %s %s", r.BootID, r.LaunchToken)
		return wire.StartResponse{Session: session(r.LaunchToken), HeartbeatSeconds: s.startBeat}
	case wire.PathGameHeartbeats:
		var r wire.HeartbeatRequest
		in(&r)
		if r.IDs == nil || len(r.IDs)+len(r.Ended) > wire.MaxBatch {
			s.t.Errorf("ids of a heartbeat: nil or too many (%d)", len(r.IDs))
		}
		s.beatsAt = append(s.beatsAt, time.Now())
		s.note("beat %s %s %v", r.BootID, brief(r.IDs), r.Ended)
		s.answer.Epoch = s.epoch
		return s.answer
	case wire.PathGameAnnounce:
		var r wire.AnnounceRequest
		in(&r)
		return s.announce(r)
	case wire.PathGameAck:
		var r wire.AckRequest
		in(&r)
		s.note("ack %v", r.IDs)
		return wire.AckResponse{Acknowledged: len(r.IDs)}
	}
	var r wire.EndRequest
	in(&r)
	s.note("%s %s", path, r.Reason)
	return wire.EndResponse{WasActive: true}
}

func (s *service) announce(r wire.AnnounceRequest) (a wire.AnnounceResponse) {
	a.Epoch = s.epoch
	ids := []string{}
	for _, one := range r.Sessions {
		ids = append(ids, one.ID)
		if s.refusing {
			a.Refused = append(a.Refused, wire.RefusedAnnounce{ID: one.ID, Why: "kicked"})
		}
	}
	s.note("announce %s %s", r.BootID, brief(ids))
	return a
}

func (s *service) note(format string, args ...any) {
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
}

func brief(ids []string) string {
	if len(ids) > 5 {
		return fmt.Sprint(len(ids))
	}
	return fmt.Sprint(ids)
}

// serveStream has s.stream write what it wants; the stream stays open after it
// unless it panics.
func (s *service) serveStream(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.Header.Get("Accept") != "text/event-stream" {
		s.t.Errorf("%s %s accepts %q", r.Method, r.URL, r.Header.Get("Accept"))
	}
	from := r.Header.Get(wire.HeaderLastEventID)
	n, stream := s.streams, s.stream
	s.streams++
	s.note("events behind %q", from)
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	out := func(text string) {
		io.WriteString(w, text)
		w.(http.Flusher).Flush()
	}
	out("")
	stream(n, from, out)
	<-r.Context().Done()
}

// did returns and forgets the calls but heartbeats.
func (s *service) did() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := slices.DeleteFunc(s.calls, func(c string) bool { return strings.HasPrefix(c, "beat") })
	s.calls = nil
	return calls
}

// all returns and forgets all calls.
func (s *service) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

func (s *service) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func cut() { panic(http.ErrAbortHandler) }

// sse writes a kick as the service does.
func sse(id, session string) string {
	data, _ := json.Marshal(kicked(id, session))
	return fmt.Sprintf("id: %s\nevent: kicked\ndata: %s\n\n", id, data)
}

func kicked(id, session string) rollcall.Event {
	return rollcall.Event{ID: id, Type: rollcall.EventKicked, SessionID: session}
}

func session(id string) rollcall.Session {
	return rollcall.Session{ID: id, Device: rollcall.DevicePC, Wallet: rollcall.WalletSeamless}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func wantCalls(t *testing.T, got []string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("calls (-want +got):\n%s", d)
	}
}

func wantHeld(t *testing.T, g *GameServer, want ...string) {
	t.Helper()
	got := []string{}
	for _, s := range g.Sessions() {
		got = append(got, s.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("held: got %v, want %v", got, want)
	}
}

// begin boots and starts sessions.
func begin(t *testing.T, s *service, g *GameServer, ids ...string) {
	t.Helper()
	_, err := g.Boot(t.Context())
	must(t, err)
	for _, id := range ids {
		_, err := g.Start(t.Context(), id)
		must(t, err)
	}
	s.all()
}

// run runs g until the test ends.
func run(t *testing.T, g *GameServer) {
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	t.Cleanup(func() { stop(); must(t, <-ended) })
}

// after lets virtual time pass, and what happens in it.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
