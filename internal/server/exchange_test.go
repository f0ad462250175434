package server

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/google/uuid"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// A question is a request with the answer that it has to get.
type question struct {
	plaintext string
	pad       int // of the body
	forged    bool
	code      wire.Code
	sessions  []rollcall.Session
	username  string // of the record
}

// questions returns some of all lengths, of members with sessions and without.
func (c *checks) questions(t *testing.T) (list []question) {
	for n := 1; n <= 25; n++ {
		name := strings.Repeat(string(rune('a'+n-1)), n)
		_, err := c.service.CreateMember(t.Context(), "test", "a1", name, "")
		must(t, err)
		list = append(list,
			question{plaintext: `{"username":"` + name + `"}`, pad: n * n, sessions: c.play(t, name, n%5), username: name},
			question{plaintext: `{"username":"` + name + `x"}`, code: 8 + 3*wire.Code(n/25)},
			question{plaintext: strings.Repeat("secret", n*3), pad: 5000 / n, code: 11},
			question{plaintext: strings.Repeat(" ", n*20) + `{"username":"secret"`, forged: true, code: 84})
	}
	return list
}

// One exchange serves one request after the other. What it was told by one it tells
// no other, whatever their lengths, in the answer, its headers and the record.
func TestExchangesShareNothing(t *testing.T) {
	c := newChecks(t, 0)
	web := httptest.NewServer(c.Server.V2()) // net/http sends headers when the exchange is another's
	defer web.Close()
	questions := c.questions(t)
	var asked sync.Map // of *question by logUUID
	var bodies sync.Map
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 150 {
				q := &questions[rand.N(len(questions))]
				id, err := c.ask1(web.URL, q, &bodies)
				if err != nil {
					t.Error(err)
				}
				if _, twice := asked.LoadOrStore(id, q); twice {
					t.Errorf("two answers have the logUUID %s", id)
				}
			}
		})
	}
	all.Wait()
	for _, refused := range c.recorder.waiting.refused {
		nonce := refused.request.Header.Get(wire.HeaderNonce)
		if body, ok := bodies.Load(nonce); !ok || body != string(refused.request.Body) {
			t.Errorf("the request to be diagnosed has the body %s, want %v", refused.request.Body, body)
		}
	}
	if len(c.recorder.waiting.refused) == 0 {
		t.Error("no request is to be diagnosed")
	}
	c.recorder.storeWaiting(t.Context())
	asked.Range(func(id, q any) bool {
		c.checkRecord(t, id.(string), q.(*question))
		return true
	})
}

// ask1 asks a question, and returns the logUUID of the right answer.
func (c *checks) ask1(base string, q *question, bodies *sync.Map) (logUUID string, err error) {
	text := c.key.Seal([]byte(q.plaintext))
	if q.forged {
		other, _ := wire.NewAPIKey()
		text = other.Seal([]byte(q.plaintext))
	}
	body := `{"cipherText":"` + text + `","pad":"` + strings.Repeat("p", q.pad) + `"}`
	r := c.request(base+wire.PathSessionsCheck, text, body)
	r.RequestURI = ""
	bodies.Store(r.Header.Get(wire.HeaderNonce), body)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	logUUID = res.Header.Get(wire.HeaderLogUUID)
	if want := wire.AppendReply(nil, q.code, wire.SessionsCheckResponse(q.sessions), logUUID); err != nil || string(got) != string(want) {
		return logUUID, fmt.Errorf("%s: got %s, %w; want %s", q.plaintext, got, err, want)
	}
	return logUUID, nil
}

func (c *checks) checkRecord(t *testing.T, id string, q *question) {
	t.Helper()
	record, err := c.stores.History.Request(t.Context(), id)
	must(t, err)
	want := []string{"transport", "size", "body", "headers", "agent", "timestamp", "signature", "token", "rate", "cipherText"}
	if q.code != 84 {
		want = append(want, "nonce", "plaintext")
	}
	if q.code != 84 && q.code != 11 {
		want = append(want, "branch", "member")
	}
	var got []string
	for _, check := range record.Checks {
		got = append(got, check.Name)
	}
	if record.AgentID != "a1" || record.Username != q.username || record.Code != int(q.code) || !slices.Equal(got, want) {
		t.Errorf("%s: got %+v", q.plaintext, record)
	}
}

// The headers of an answer stay as they are when the exchange answers others: they
// may be sent after that.
func TestHeadersStay(t *testing.T) {
	c := newChecks(t, 1)
	v2 := c.Server.V2()
	answers := make([]*httptest.ResponseRecorder, 3*shownAtOnce)
	for i := range answers {
		answers[i] = httptest.NewRecorder()
		v2.ServeHTTP(answers[i], c.sign())
	}
	for _, a := range answers {
		id, length := a.Header()[wire.HeaderLogUUID], a.Header()["Content-Length"]
		if len(id) != 1 || !strings.HasSuffix(a.Body.String(), `"logUUID":"`+id[0]+`"}`) || len(length) != 1 || length[0] != strconv.Itoa(a.Body.Len()) {
			t.Errorf("got the headers %q, %q of %s", id, length, a.Body)
		}
	}
}

// Nothing is kept of the memory of a request, but for its RemoteAddr: a server may
// read the next one into it.
func TestNothingOfARequestIsKept(t *testing.T) {
	c := newChecks(t, 0)
	v2 := c.Server.V2()
	text := c.key.Seal([]byte(`{"username":"player001"}`))
	for name, change := range map[string]func(*http.Request){
		"right":         func(*http.Request) {},
		"wrong token":   func(r *http.Request) { r.Header.Set(wire.HeaderAuthorization, "Bearer a.b.c") },
		"unknown agent": func(r *http.Request) { r.Header.Set(wire.HeaderAgentID, "nobody") },
		"no nonce":      func(r *http.Request) { r.Header.Del(wire.HeaderNonce) },
		"another path":  func(r *http.Request) { r.URL.Path = "/v2/strange" },
		"login":         func(r *http.Request) { r.URL.Path = wire.PathAuth },
	} {
		r := c.request(wire.PathSessionsCheck, text, `{"cipherText":"`+text+`"}`)
		change(r)
		sent := r.Header.Clone()
		spoil := lend(r)
		to := httptest.NewRecorder()
		v2.ServeHTTP(to, r)
		spoil()
		c.recorder.mu.Lock()
		record, refused := c.recorder.waiting.list[len(c.recorder.waiting.list)-1], c.recorder.waiting.refused
		c.recorder.mu.Unlock()
		if said := fmt.Sprintf("%+v", record); strings.Contains(said, spoilt) {
			t.Errorf("%s: the record is spoilt: %s", name, said)
		}
		if record.Code == 0 {
			continue
		}
		if len(refused) == 0 {
			t.Fatalf("%s: it is not to be diagnosed", name)
		}
		if req := refused[len(refused)-1].request; !reflect.DeepEqual(req.Header, sent) || strings.Contains(req.Method+req.Path, spoilt) {
			t.Errorf("%s: what is to be diagnosed is spoilt: %+v", name, req)
		}
		c.recorder.waiting.refused, c.diagnoses.each.picked = nil, nil
	}
}

const spoilt = "#"

// lend puts the texts of a request into memory that is spoilt by what it returns.
func lend(r *http.Request) (spoil func()) {
	var lent [][]byte
	borrow := func(text string) string {
		memory := []byte(text)
		lent = append(lent, memory)
		return unsafe.String(unsafe.SliceData(memory), len(memory))
	}
	header := http.Header{}
	for name, values := range r.Header {
		for _, value := range values {
			header[name] = append(header[name], borrow(value))
		}
	}
	r.Header, r.Method, r.URL.Path = header, borrow(r.Method), borrow(r.URL.Path)
	return func() {
		for _, memory := range lent {
			copy(memory, bytes.Repeat([]byte(spoilt), len(memory)))
		}
	}
}

// logUUIDs are version 7, of the moment, each greater than the one before it, and
// none is there twice.
func TestIDs(t *testing.T) {
	var made ids
	var random randomBytes
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	var before string
	for i := range 20_000 {
		text := made.next(at.Add(time.Duration(i)*100*time.Nanosecond), &random) // many in a tick
		id, err := uuid.Parse(text)
		must(t, err)
		seconds, nanos := id.Time().UnixTime()
		if id.Version() != 7 || id.Variant() != uuid.RFC4122 || id.String() != text || text <= before {
			t.Fatalf("got %s after %s", text, before)
		}
		if off := time.Unix(seconds, nanos).Sub(at); off < 0 || off > 10*time.Millisecond {
			t.Fatalf("%s is of %s from its moment", text, off)
		}
		before = text
	}
	var seen sync.Map
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			var own randomBytes
			for range 5000 {
				if text := made.next(at, &own); func() bool { _, twice := seen.LoadOrStore(text[:18], true); return twice }() {
					t.Errorf("%s is there twice, but for what is random", text)
				}
			}
		})
	}
	all.Wait()
}

// No random byte is used twice.
func TestRandomBytes(t *testing.T) {
	var random randomBytes
	seen := map[uint64]bool{}
	for range 1000 {
		if n := random.next(); seen[n] {
			t.Fatalf("%x is there twice", n)
		} else {
			seen[n] = true
		}
	}
}
