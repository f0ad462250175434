package openapitest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

const branch = `{"id":"THB","currency":"THB","brandCurrency":"THB","createdAt":"2026-01-30T03:58:52.58Z","updatedAt":"2026-01-30T03:58:52.58Z"}`

// created is an exchange in which all is right.
func created() *Exchange {
	return &Exchange{
		Method: http.MethodPost, URL: &url.URL{Path: "/admin/v1/branches"},
		Header: http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer rca_x_ann"}},
		Body:   []byte(`{"id":"THB","currency":"THB"}`),
		Status: http.StatusCreated, AnswerHeader: http.Header{"Content-Type": {"application/json"}}, Answer: []byte(branch),
	}
}

// unavailable is a refusal in which all is right.
func unavailable(x *Exchange) {
	x.Status = http.StatusServiceUnavailable
	x.AnswerHeader.Set("Retry-After", "1")
	x.Answer = []byte(`{"error":{"code":"unavailable","message":"m","id":"955585ed-adeb-436e-8be0-ebf2b81b7d15"}}`)
}

// A check finds each thing that the document does not say, and nothing where all
// is as it says.
func TestCheckFinds(t *testing.T) {
	answer := func(old, with string) func(x *Exchange) {
		return func(x *Exchange) { x.Answer = []byte(strings.Replace(string(x.Answer), old, with, 1)) }
	}
	request := func(text string) func(x *Exchange) { return func(x *Exchange) { x.Body = []byte(text) } }
	query := func(path, text string) func(x *Exchange) {
		return func(x *Exchange) {
			*x = Exchange{
				Method: http.MethodGet, URL: &url.URL{Path: path, RawQuery: text}, Header: x.Header,
				Status: http.StatusOK, AnswerHeader: x.AnswerHeader, Answer: []byte(`{"items":[]}`),
			}
		}
	}
	for name, row := range map[string]struct {
		change func(x *Exchange)
		want   string // in the fault; "": there is none
	}{
		"right":                          {func(*Exchange) {}, ""},
		"a refusal":                      {unavailable, ""},
		"a right query":                  {query("/admin/v1/branches", "limit=5&after=x"), ""},
		"an unknown member":              {answer(`{"id"`, `{"secret":"s","id"`), "additional properties 'secret' not allowed"},
		"a member is missing":            {answer(`"currency":"THB",`, ``), "missing property 'currency'"},
		"a member of another type":       {answer(`"THB"`, `7`), "got number, want string"},
		"a value of another form":        {answer(`"currency":"THB"`, `"currency":"baht"`), "does not match pattern"},
		"no time":                        {answer(`03:58:52.58Z`, `03:58`), "is not valid date-time"},
		"null":                           {answer(branch, `null`), "got null, want object"},
		"no JSON":                        {answer(branch, `{`), "is no JSON"},
		"another status":                 {func(x *Exchange) { x.Status = http.StatusTeapot }, "status 418 is not documented"},
		"another content type":           {func(x *Exchange) { x.AnswerHeader.Set("Content-Type", "text/html") }, `"text/html" is not documented`},
		"no content type":                {func(x *Exchange) { x.AnswerHeader.Del("Content-Type") }, `"" is not documented`},
		"a header that tells":            {func(x *Exchange) { x.AnswerHeader.Set("X-Debug", "1") }, "header X-Debug is not documented"},
		"a code of another status":       {func(x *Exchange) { unavailable(x); answer("unavailable", "internal")(x) }, "value must be"},
		"no id":                          {func(x *Exchange) { unavailable(x); answer(`,"id":"955585ed-adeb-436e-8be0-ebf2b81b7d15"`, "")(x) }, "missing property 'id'"},
		"no Retry-After":                 {func(x *Exchange) { unavailable(x); x.AnswerHeader.Del("Retry-After") }, "header Retry-After is missing"},
		"Retry-After of no seconds":      {func(x *Exchange) { unavailable(x); x.AnswerHeader.Set("Retry-After", "soon") }, "does not match pattern"},
		"a header twice":                 {func(x *Exchange) { unavailable(x); x.AnswerHeader.Add("Retry-After", "2") }, "2 times"},
		"accepted without Authorization": {func(x *Exchange) { x.Header.Del("Authorization") }, "without Authorization"},
		"accepted, an unknown member":    {request(`{"id":"THB","currency":"THB","x":1}`), "additional properties 'x' not allowed"},
		"accepted, a member missing":     {request(`{"id":"THB"}`), "missing property 'currency'"},
		"accepted without a body":        {request(``), "done without a body"},
		"accepted as another type":       {func(x *Exchange) { x.Header.Set("Content-Type", "text/plain") }, `done with Content-Type "text/plain"`},
		"accepted, an unknown query":     {query("/admin/v1/branches", "sort=id"), "query sort is not documented"},
		"accepted, a query of no number": {query("/admin/v1/branches", "limit=all"), "got string, want integer"},
		"accepted, a query too large":    {query("/admin/v1/branches", "limit=5000"), "maximum: got 5,000, want 1,000"},
		"accepted, a query missing":      {query("/admin/v1/history", ""), "without query at"},
		"accepted, one of a list is not": {query("/admin/v1/session-counts", "by=agent,moon"), "value must be one of"},
		"an unknown path that is there":  {func(x *Exchange) { x.URL.Path = "/admin/v1/none" }, "otherwise: status 201 is not documented"},
	} {
		x := created()
		row.change(x)
		faults := Load("admin").Check(x)
		if row.want == "" && len(faults) > 0 || row.want != "" && !strings.Contains(strings.Join(faults, "\n"), row.want) {
			t.Errorf("%s: got %q, want %q", name, faults, row.want)
		}
	}
}

// What was refused may be wrong as a request; and what was opened is looked at.
func TestCheckOpens(t *testing.T) {
	check := func(plaintext, answer string) []string {
		h := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer x"}}
		for name, value := range map[string]string{
			"x-agentid": "a1", "x-timestamp": "1769745539421", "x-nonce": strings.Repeat("n", 32), "x-signature": strings.Repeat("0", 64),
		} {
			h.Set(name, value)
		}
		const log = "955585ed-adeb-436e-8be0-ebf2b81b7d15"
		return Load("v2").Check(&Exchange{
			Method: http.MethodPost, URL: &url.URL{Path: "/v2/members/sessions/check"}, Header: h,
			Body:   []byte(`{"cipherText":"` + strings.Repeat("A", 38) + `==AAAA"}`),
			Status: http.StatusOK, AnswerHeader: http.Header{"Content-Type": {"application/json"}, "X-Log-Uuid": {log}},
			Answer: fmt.Appendf(nil, answer, log), Open: func(string) ([]byte, error) { return []byte(plaintext), nil },
		})
	}
	const done, refused = `{"code":0,"message":"No error.","data":[],"logUUID":%q}`, `{"code":11,"message":"Parameters error","logUUID":%q}`
	for _, row := range []struct{ plaintext, answer, want string }{
		{`{"username":"m1","other":1}`, done, ""},
		{`{"username":"m 1"}`, done, "opened: "},
		{`{}`, done, "missing property 'username'"},
		{`[`, done, "opened: "},
		{`{"username":"m 1"}`, refused, ""},
		{`{"username":"m1"}`, strings.Replace(done, "[]", "null", 1), "answer: "},
		{`{"username":"m1"}`, strings.Replace(refused, "11", "19", 1), "answer: "},
		{`{"username":"m1"}`, strings.Replace(refused, "Parameters", "Parameter", 1), "answer: "},
	} {
		faults := check(row.plaintext, row.answer)
		if row.want == "" && len(faults) > 0 || row.want != "" && !strings.Contains(strings.Join(faults, "\n"), row.want) {
			t.Errorf("%s, %s: got %q, want %q", row.plaintext, row.answer, faults, row.want)
		}
	}
}

// A stream is looked at event by event.
func TestCheckReadsStreams(t *testing.T) {
	const data = `{"id":"e-1","type":"drain","by":"ann","queuedAt":"2026-01-30T03:58:52Z"}`
	for text, want := range map[string]string{
		"retry: 1000\n\n: still here\n\nid: e-1\nevent: drain\ndata: " + data + "\n\n": "",
		"id: e-1\nevent: drain\ndata: " + data + "\n":                                  "", // cut off
		"event: drain\ndata: " + data + "\n\n":                                         "missing property 'id'",
		"id: e-1\nevent: boom\ndata: " + data + "\n\n":                                 "value must be one of",
		"id: e-1\nevent: drain\ndata: {}\n\n":                                          "missing properties",
	} {
		d := Load("game")
		x := &Exchange{
			Method: http.MethodGet, URL: &url.URL{Path: "/game/v1/events"}, Header: http.Header{"Authorization": {"Bearer x"}},
			Status: http.StatusOK, AnswerHeader: http.Header{"Content-Type": {"text/event-stream"}, "X-Accel-Buffering": {"no"}}, Answer: []byte(text),
		}
		faults := d.Check(x)
		if want == "" && len(faults) > 0 || want != "" && !strings.Contains(strings.Join(faults, "\n"), want) {
			t.Errorf("%q: got %q, want %q", text, faults, want)
		}
	}
}

// A handler's answers pass through unchanged, and what is wrong with them is told.
func TestHandler(t *testing.T) {
	var faults []string
	d := Load("admin")
	h := d.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"status":"ok","version":"v1","pid":7}`))
	}), Watch{Fault: func(text string) { faults = append(faults, text) }})
	res := httptest.NewRecorder()
	h.ServeHTTP(res, httptest.NewRequest(http.MethodGet, "/livez", nil))
	if res.Code != http.StatusOK || !strings.Contains(res.Body.String(), `"pid":7`) {
		t.Errorf("got %d %s", res.Code, res.Body)
	}
	if len(faults) != 1 || !strings.Contains(faults[0], "GET /livez: live 200: answer: ") || !strings.Contains(faults[0], "'pid' not allowed") {
		t.Errorf("got %q", faults)
	}
}

// What nothing has shown is missing, until something does; an exception has to be
// one.
func TestMissing(t *testing.T) {
	d := Load("admin")
	before := d.Missing(nil)
	for _, want := range []string{
		"not seen: createBranch 201", "not seen: listBranches query limit", "not seen: createBranch 503 header Retry-After",
		"not seen: /components/schemas/Mode/enum/1 (demo)", "not seen: /components/schemas/Branch/properties/currency (#/components/schemas/Currency)",
		"not seen: /components/schemas/InUse/properties/error/properties/code/const (in_use)", "not seen: otherwise 405",
	} {
		if !slices.Contains(before, want) {
			t.Errorf("%q is not missing", want)
		}
	}
	x := created()
	if faults := d.Check(x); len(faults) > 0 {
		t.Fatal(faults)
	}
	after := d.Missing(map[string]string{"createBranch 500": "a test", "createBranch 201": "it was seen"})
	if slices.Contains(after, "not seen: createBranch 201") || slices.Contains(after, "not seen: createBranch 500") || len(after) >= len(before) {
		t.Errorf("%d are missing of %d: what was seen and what is excepted are among them", len(after), len(before))
	}
	if !slices.ContainsFunc(after, func(text string) bool { return strings.Contains(text, `exception "createBranch 201"`) }) {
		t.Error("an exception that is none is not told")
	}
}
