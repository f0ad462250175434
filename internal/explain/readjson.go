package explain

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// readHAR reads the requests of a recording that go to a path with /v2.
func readHAR(data []byte) ([]*Request, error) {
	var har struct {
		Log struct {
			Entries []harEntry `json:"entries"`
		} `json:"log"`
	}
	if err := json.Unmarshal(data, &har); err != nil {
		return nil, invalid("it is no HAR: JSON of another shape")
	}
	var list []*Request
	for i := range har.Log.Entries {
		if r := har.Log.Entries[i].read(); len(list) < maxEntries && strings.Contains(r.Path+"/", "/v2/") && r.Method != http.MethodOptions {
			list = append(list, r)
		}
	}
	if len(list) == 0 {
		return nil, invalid("none of its %d entries goes to a path with /v2", len(har.Log.Entries))
	}
	return list, nil
}

type harHeaders []struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type harEntry struct {
	Started time.Time `json:"startedDateTime"`
	Request struct {
		Method   string     `json:"method"`
		URL      string     `json:"url"`
		Headers  harHeaders `json:"headers"`
		PostData *struct {
			Text     string `json:"text"`
			Encoding string `json:"encoding"`
		} `json:"postData"`
	} `json:"request"`
	Response struct {
		Status  int        `json:"status"`
		Headers harHeaders `json:"headers"`
		Content struct {
			Text     string `json:"text"`
			Encoding string `json:"encoding"`
		} `json:"content"`
	} `json:"response"`
}

func (e *harEntry) read() *Request {
	r := &Request{Method: strings.ToUpper(e.Request.Method), Sent: e.Started, HasBody: true}
	r.setTarget(e.Request.URL)
	for _, h := range e.Request.Headers {
		if !strings.HasPrefix(h.Name, ":") {
			r.addHeader(h.Name, h.Value)
		}
	}
	if post := e.Request.PostData; post != nil {
		r.Body = harText(post.Text, post.Encoding)
	}
	r.HasBody = !r.leftOut()
	if e.Response.Status > 0 {
		var answer Request
		for _, h := range e.Response.Headers {
			answer.addHeader(h.Name, h.Value)
		}
		r.Answer = newAnswer(e.Response.Status, answer.Header, harText(e.Response.Content.Text, e.Response.Content.Encoding))
	}
	return r
}

func harText(text, encoding string) []byte {
	if encoding == "base64" {
		if b, err := base64.StdEncoding.DecodeString(text); err == nil {
			return b
		}
	}
	return []byte(text)
}

// A jsonCapture is {"method", "url" or "path", "headers", "body"}, alone or as
// "request", and what of the answer there is as "response" or "answer".
type jsonCapture struct {
	Method, URL, Path string
	Headers, Body     json.RawMessage
	CipherText        json.RawMessage
	Request           *jsonCapture
	Response, Answer  json.RawMessage
}

func readJSON(data []byte) ([]*Request, error) {
	var in jsonCapture
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, notJSON(err)
	}
	if in.Request != nil {
		in.Request.Response, in.Request.Answer = in.Response, in.Answer
		in = *in.Request
	}
	switch bare := absent(in.Headers) && absent(in.Body); {
	case bare && in.CipherText != nil:
		return nil, invalid("that is the body alone: give the whole request, with its headers")
	case bare:
		return nil, invalid("it has neither headers nor body: %s", wantJSON)
	}
	// Programs name the method in whatever case, and send it in capitals.
	r := &Request{Method: strings.ToUpper(in.Method), HasBody: in.Body != nil, Body: textOf(in.Body)}
	if r.Method == "" && in.Body != nil {
		r.Method = http.MethodPost
	}
	if target := in.URL + in.Path; target != "" {
		r.setTarget(target)
	}
	if err := r.jsonHeaders(in.Headers); err != nil {
		return nil, err
	}
	for _, raw := range []json.RawMessage{in.Response, in.Answer} {
		if len(raw) > 0 {
			r.Answer = jsonAnswer(raw)
		}
	}
	return []*Request{r}, nil
}

const wantJSON = `want {"method", "url", "headers": {…}, "body": {…} or "…"}`

func absent(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

func notJSON(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		return invalid("member %q is of another type: %s", wrong.Field, wantJSON)
	}
	return invalid("%s", wantJSON)
}

// jsonAnswer reads {"status", "body"}, or the body alone. A status may be a text.
func jsonAnswer(raw json.RawMessage) *Answer {
	var in struct{ Status, Body json.RawMessage }
	if json.Unmarshal(raw, &in) != nil || in.Body == nil {
		in.Body = raw
	}
	status, _ := strconv.Atoi(string(textOf(in.Status))) // 0: not known
	return newAnswer(status, http.Header{}, textOf(in.Body))
}

// textOf returns a string's text, and other values as they stand.
func textOf(raw json.RawMessage) []byte {
	var s string
	if len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil {
		return []byte(s)
	}
	if bytes.Equal(raw, []byte("null")) {
		return nil
	}
	return raw
}

// jsonHeaders reads {"name": "value" or ["value", …]}, or HAR's list.
func (r *Request) jsonHeaders(raw json.RawMessage) error {
	if raw == nil {
		return nil
	}
	var list harHeaders
	if json.Unmarshal(raw, &list) == nil {
		for _, h := range list {
			r.addHeader(h.Name, h.Value)
		}
		return nil
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil {
		return invalid("headers is neither an object nor a list of name and value")
	}
	for name, value := range object {
		var one string
		var many []string
		switch {
		case json.Unmarshal(value, &many) == nil:
			for _, v := range many {
				r.addHeader(name, v)
			}
		case json.Unmarshal(value, &one) == nil:
			r.addHeader(name, one)
		default:
			r.addHeader(name, string(value)) // a number, as of x-timestamp
		}
	}
	return nil
}
