package arcade

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/rollcall-server/rollcall"
)

// web has what a browser loads. Nothing is put into it: the page's script asks
// for what to show and sets it as text.
//
//go:embed web
var web embed.FS

// Handler returns the pages and what they call.
func (a *Arcade) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Path, asset("web/page.html", "text/html; charset=utf-8"))
	mux.HandleFunc("GET "+Path+"/page.js", asset("web/page.js", "text/javascript; charset=utf-8"))
	mux.HandleFunc("GET "+Path+"/beat.js", asset("web/beat.js", "text/javascript; charset=utf-8"))
	mux.HandleFunc("GET "+Path+"/page.css", asset("web/page.css", "text/css; charset=utf-8"))
	mux.HandleFunc("GET "+Path+"/icon.svg", asset("web/icon.svg", "image/svg+xml"))
	mux.HandleFunc("POST "+Path+"/start", a.start)
	mux.HandleFunc("POST "+Path+"/beat", a.beatOf)
	mux.HandleFunc("POST "+Path+"/leave", a.leave)
	mux.HandleFunc("GET "+Path+"/events", a.events)
	return guard(http.NewCrossOriginProtection().Handler(mux))
}

// policy lets the page load its own files and talk to where it came from.
const policy = "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("Cache-Control", "no-store")
		header.Set("Referrer-Policy", "no-referrer") // the page's URL has the launch token
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.ServeHTTP(w, r)
	})
}

func asset(name, kind string) http.HandlerFunc {
	text, err := fs.ReadFile(web, name)
	if err != nil {
		panic(err) // it is embedded
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Write(text)
	}
}

// A pageCall is what a page sends.
type pageCall struct {
	Token string `json:"token"`
	// Page is a name that the page has given itself.
	Page string `json:"page"`
}

const maxCall = 4 << 10

// read reads a pageCall; where ok is false, the answer is given.
func read(w http.ResponseWriter, r *http.Request) (in pageCall, ok bool) {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCall)).Decode(&in)
	if err != nil || in.Page == "" || len(in.Page) > 64 {
		http.Error(w, "want a JSON object with token and page", http.StatusBadRequest)
		return in, false
	}
	return in, true
}

// start starts the session of the page's token, or goes on with it: a page that
// is loaded again does not start anew, and one that was kicked says so again.
func (a *Arcade) start(w http.ResponseWriter, r *http.Request) {
	in, ok := read(w, r)
	if !ok {
		return
	}
	v, seated := a.table.open(a.now(), in.Token, in.Page)
	if !seated || v.leftBefore() {
		if err := a.begin(r.Context(), in.Token); err != nil {
			a.refuse(r.Context(), w, err)
			return
		}
		v, _ = a.table.open(a.now(), in.Token, in.Page)
	}
	if v.leftBefore() { // Rollcall has not heard of it yet
		a.refuse(r.Context(), w, rollcall.ErrLaunchUsed)
		return
	}
	a.answer(w, http.StatusOK, v)
}

func (v *view) leftBefore() bool { return v.Over != nil && v.Over.Type == typeLeft }

func (a *Arcade) begin(ctx context.Context, token string) error {
	if token == "" {
		return rollcall.ErrLaunchUnknown
	}
	// What Rollcall has begun is to be known here, also if the page is gone already.
	session, err := a.game.Start(context.WithoutCancel(ctx), token)
	if err == nil {
		a.table.sit(a.now(), token, session, false)
	}
	return err
}

func (a *Arcade) refuse(ctx context.Context, w http.ResponseWriter, err error) {
	p, status := problemOf(err)
	if p.Retry || status >= http.StatusInternalServerError {
		a.log.LogAttrs(ctx, slog.LevelInfo, "arcade: start", slog.Any("error", err))
	}
	a.answer(w, status, map[string]problem{"problem": p})
}

// beatOf answers a page's beat by what it is to show.
func (a *Arcade) beatOf(w http.ResponseWriter, r *http.Request) {
	in, ok := read(w, r)
	if !ok {
		return
	}
	v, seated := a.table.hear(a.now(), in.Token, in.Page)
	if !seated { // of another run of the arcade
		v = view{Over: overLost}
	}
	a.answer(w, http.StatusOK, v)
}

// leave is a beacon: nobody reads the answer.
func (a *Arcade) leave(w http.ResponseWriter, r *http.Request) {
	if in, ok := read(w, r); ok {
		a.table.leave(a.now(), in.Token, in.Page)
		w.WriteHeader(http.StatusNoContent)
	}
}

func (a *Arcade) answer(w http.ResponseWriter, status int, out any) {
	if v, ok := out.(view); ok {
		v.BeatMillis = a.beat.Milliseconds()
		out = v
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(out) // the page is gone
}

// stillHere is how often a stream says something, so that a proxy leaves it open.
const stillHere = 15 * time.Second

// events tells a page the moment that its session is over, as Server-Sent Events.
// A page that is hidden closes its stream, since a browser has few connections
// to one host, and then learns it from its beats.
func (a *Arcade) events(w http.ResponseWriter, r *http.Request) {
	token := r.URL.Query().Get("token")
	done, ok := a.table.ended(token)
	if !ok {
		http.Error(w, "no such game", http.StatusNotFound)
		return
	}
	s := stream{http.NewResponseController(w), w, a.now}
	w.Header().Set("Content-Type", "text/event-stream")
	if s.write("retry: 1000\n\n") != nil {
		return
	}
	tick := time.NewTicker(stillHere)
	defer tick.Stop()
	for {
		select {
		case <-done:
			v, _ := a.table.look(a.now(), token)
			if text, err := json.Marshal(v); err == nil {
				_ = s.write("event: over\ndata: " + string(text) + "\n\n") // the next stream or beat tells it again
			}
			return
		case <-tick.C:
			if s.write(": still here\n\n") != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// A stream is one page's.
type stream struct {
	to  *http.ResponseController
	w   http.ResponseWriter
	now func() time.Time
}

func (s stream) write(text string) error {
	// The deadline is the stream's own: http.Server's WriteTimeout would cut it.
	if err := s.to.SetWriteDeadline(s.now().Add(slowest)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.to.Flush()
}
