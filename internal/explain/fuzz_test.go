package explain

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
)

func FuzzRead(f *testing.F) {
	m := newSender().send()
	for _, format := range formats {
		f.Add(format(m))
	}
	f.Add("curl -H 'a: b' $'\\x4' \"\\")
	f.Add("> POST / \n<\n< 200\n{")
	f.Fuzz(func(t *testing.T, text string) {
		for _, format := range append([]Format{FormatAuto}, Formats...) {
			list, err := Read([]byte(text), format)
			if err != nil && (list != nil || !errors.Is(err, rollcall.ErrInvalid)) {
				t.Fatalf("%s: %v, %v", format, list, err)
			}
			for _, r := range list {
				if len(r.Header) > 201 || len(list) > maxEntries {
					t.Fatalf("%s is not bounded", format)
				}
			}
		}
	})
}

// No request makes Explain panic, and no report shows a key.
func FuzzExplain(f *testing.F) {
	for _, fault := range faults {
		s := newSender()
		fault.make(s)
		m := s.send()
		f.Add(m.path, m.header.Get("x-agentid"), m.header.Get("x-timestamp"), m.header.Get("x-nonce"), m.header.Get("x-signature"), m.header.Get("Authorization"), m.body)
	}
	f.Fuzz(func(t *testing.T, path, agentID, stamp, nonce, signature, authorization, body string) {
		h := http.Header{
			"Content-Type": {"application/json"}, "X-Agentid": {agentID}, "X-Timestamp": {stamp}, "X-Nonce": {nonce}, "X-Signature": {signature},
			"Authorization": {authorization},
		}
		know := knowledge()
		know.Brief = true
		hung := time.AfterFunc(20*time.Second, func() { panic("Explain takes for ever") })
		r := Explain(&Request{Method: "POST", Path: path, Header: h, Body: []byte(body), HasBody: true}, know)
		hung.Stop()
		if r.Likely == "" || len(r.Steps) < 5 {
			t.Fatalf("got %+v", r)
		}
		for _, found := range r.Diagnosis() {
			if Expand(found.Code, found.Value).Mend == "" {
				t.Fatalf("no kind %s", found.Code)
			}
		}
		if !strings.Contains(path+agentID+stamp+nonce+signature+authorization+body, ownKey) {
			var text strings.Builder
			r.Print(&text)
			if strings.Contains(text.String(), ownKey) || strings.Contains(text.String(), ownSecret) {
				t.Fatal("a key is shown")
			}
		}
	})
}
