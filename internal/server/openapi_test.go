package server

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/openapi"
	"github.com/rollcall-server/rollcall/internal/openapi/openapitest"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/wire"
)

// documents are what every call of these tests is held against, and remember what
// they have shown.
var documents = sync.OnceValue(func() map[string]*openapitest.Document {
	all := make(map[string]*openapitest.Document)
	for _, name := range openapi.Operators.Documents() {
		all[name] = openapitest.Load(name)
	}
	return all
})

// V2, Game, Admin and Public are the Server's, held against their documents.
func (w *world) V2() http.Handler    { return w.watched("v2", w.Server.V2()) }
func (w *world) Game() http.Handler  { return w.watched("game", w.Server.Game()) }
func (w *world) Admin() http.Handler { return w.watched("admin", w.Server.Admin()) }

func (w *world) Public(games bool) http.Handler {
	public := w.Server.Public(games)
	v2, game := w.watched("v2", public), w.watched("game", public)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if games && strings.HasPrefix(r.URL.Path, wire.GamePrefix+"/") {
			game.ServeHTTP(rw, r)
			return
		}
		v2.ServeHTTP(rw, r)
	})
}

// aside are paths that no document describes: Go's profiles and the documents.
var aside = []string{"/debug/pprof/", openapi.Prefix}

func (w *world) watched(document string, h http.Handler) http.Handler {
	watched := documents()[document].Handler(h, openapitest.Watch{Fault: func(text string) { w.t.Error(text) }, Open: w.open})
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if slices.ContainsFunc(aside, func(prefix string) bool { return strings.HasPrefix(r.URL.Path, prefix) }) {
			h.ServeHTTP(rw, r)
			return
		}
		watched.ServeHTTP(rw, r)
	})
}

// open opens what an agent has sealed.
func (w *world) open(r *http.Request, text string) ([]byte, error) {
	agent, err := w.stores.Directory.Agents().Get(r.Context(), r.Header.Get(wire.HeaderAgentID))
	if err != nil {
		return nil, err
	}
	for _, sealed := range agent.SealedAPIKeys {
		hex, err := w.vault.Open(roll.APIKeyContext(agent.ID), sealed)
		if err != nil {
			return nil, err
		}
		key, err := wire.ParseAPIKey(string(hex))
		if err != nil {
			return nil, err
		}
		if plain, err := key.Open(text); err == nil {
			return plain, nil
		}
	}
	return nil, errors.New("under no key of the agent")
}

// Every route is in its document, and the other way round.
func TestRoutesAreDescribed(t *testing.T) {
	w := newWorld(t, nil)
	v2 := make(map[string]http.Handler)
	for path := range w.endpoints() {
		v2["POST "+path] = nil
	}
	for name, tables := range map[string][]map[string]http.Handler{
		"v2": {v2}, "game": {w.gameRoutes()}, "admin": {w.adminRoutes(), w.healthRoutes()},
	} {
		var routes []string
		for _, table := range tables {
			for pattern := range table {
				routes = append(routes, openapitest.Route(pattern))
			}
		}
		slices.Sort(routes)
		if diff := cmp.Diff(routes, documents()[name].Routes()); diff != "" {
			t.Errorf("%s: the server's routes (-), and the document's (+):\n%s", name, diff)
		}
	}
}

// All that the documents describe was seen here, but for what is named. The tests
// of this package that show it are run again, so that this one does not hang on
// which were.
func TestDocumentsAreExercised(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"AdminCalls": TestAdminCalls, "AdminMembers": TestAdminMembers, "AdminSessions": TestAdminSessions, "AdminWebhooks": TestAdminWebhooks,
		"AdminRefuses": TestAdminRefuses, "HealthAndMetrics": TestHealthAndMetrics, "NotReady": TestNotReady,
		"GameFaults": TestGameFaults, "StartFaults": TestStartFaults, "GameValues": TestGameValues, "GameRefuses": TestGameRefuses,
		"V2Codes": TestV2Codes, "V2Sessions": TestV2Sessions, "V2Refuses": TestV2Refuses, "AddressLimit": TestAddressLimit,
	} {
		t.Run(name, test)
	}
	for name, except := range map[string]map[string]string{"v2": {}, "game": {}, "admin": {}} {
		for _, missing := range documents()[name].Missing(except) {
			t.Errorf("%s: %s", name, missing)
		}
	}
}

// Each code of the table of faults is in a document.
func TestFaultCodesAreDescribed(t *testing.T) {
	described := string(openapi.JSON("game")) + string(openapi.JSON("admin"))
	for _, err := range []error{
		rollcall.ErrInvalid, rollcall.ErrAuthentication, rollcall.ErrNotFound, rollcall.ErrExists, rollcall.ErrInUse,
		rollcall.ErrLaunchUnknown, rollcall.ErrLaunchUsed, rollcall.ErrLaunchExpired, rollcall.ErrLaunchVoided,
		rollcall.ErrGameNotRun, rollcall.ErrStaleBoot, rollcall.ErrDraining, rollcall.ErrSessionLimit,
		rollcall.ErrMemberSuspended, rollcall.ErrAgentRefused, rollcall.ErrBranchNotConfigured,
		rollcall.ErrTooManyRequests, rollcall.ErrUnavailable, rollcall.ErrInternal,
	} {
		if code, _ := wire.FaultOf(err); !strings.Contains(described, `"const": "`+code+`"`) {
			t.Errorf("%v: no document has the code %s", err, code)
		}
	}
}
