package wire

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
)

const (
	nonce32 = "4ff08bc2a45c6b38068dbcd24296a25b"
	token   = "eyJhbGciOiJIUzI1NiJ9.e30.a-b_c"
)

func goodHeader() http.Header {
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("authorization", "Bearer "+token)
	h.Set("x-agentid", "integratorNBTest04")
	h.Set("x-timestamp", "1769745532582")
	h.Set("x-nonce", nonce32)
	h.Set("x-signature", strings.Repeat("0aF9", 16))
	return h
}

func TestParseHeader(t *testing.T) {
	got, err := ParseHeader(goodHeader(), true)
	want := Header{
		AccessToken: token, AgentID: "integratorNBTest04", Timestamp: "1769745532582", Nonce: nonce32,
		Signature: strings.Repeat("0aF9", 16),
	}
	if err != nil || got != want {
		t.Fatalf("got %+v, %v; want %+v", got, err, want)
	}
	if got := got.Time(); !got.Equal(time.UnixMilli(1769745532582)) {
		t.Errorf("Time: got %v", got)
	}
	if got := FormatTimestamp(got.Time()); got != want.Timestamp {
		t.Errorf("FormatTimestamp: got %s", got)
	}
	back := http.Header{}
	got.Set(back)
	again, err := ParseHeader(back, true)
	if err != nil || again != want {
		t.Errorf("after Set: got %+v, %v", again, err)
	}
}

// TestParseHeaderRows has one fault per row (spec 2).
func TestParseHeaderRows(t *testing.T) {
	long := strings.Repeat("a", 64)
	rows := []struct {
		header, value string
		ok            bool
	}{
		{"Authorization", "bearer " + token, true},
		{"Authorization", "BEARER " + token, true},
		{"Authorization", "bEaReR x", true},
		{"Authorization", token, false},
		{"Authorization", "Bearer", false},
		{"Authorization", "Bearer ", false},
		{"Authorization", "Bearer  " + token, false},
		{"Authorization", " Bearer " + token, false},
		{"Authorization", "Bearer\t" + token, false},
		{"Authorization", "Bearer " + token + " ", false},
		{"Authorization", "Bearer " + token + " " + token, false},
		{"Authorization", "Bearer " + token + ", Bearer " + token, false},
		{"Authorization", "Bearer a\x00b", false},
		{"Authorization", "Bearer a=", false},
		{"Authorization", "Basic dXNlcjpwYXNz", false},
		{"Authorization", "Bearer: " + token, false},
		{"Authorization", "Bеarer " + token, false}, // a Cyrillic е

		{"X-Agentid", "a", true},
		{"X-Agentid", "A-z_0.9", true},
		{"X-Agentid", long, true},
		{"X-Agentid", long + "a", false},
		{"X-Agentid", "a b", false},
		{"X-Agentid", " a", false},
		{"X-Agentid", "a|b", false},
		{"X-Agentid", "a/b", false},
		{"X-Agentid", "a\n", false},
		{"X-Agentid", "é", false},
		{"X-Agentid", "a\x00", false},

		{"X-Timestamp", "0000000000000", true},
		{"X-Timestamp", "9999999999999", true},
		{"X-Timestamp", "1769745532", false},
		{"X-Timestamp", "176974553258", false},
		{"X-Timestamp", "17697455325820", false},
		{"X-Timestamp", "-769745532582", false},
		{"X-Timestamp", "+769745532582", false},
		{"X-Timestamp", "1769745532.82", false},
		{"X-Timestamp", "1769745532e12", false},
		{"X-Timestamp", "0x76974553258", false},
		{"X-Timestamp", " 769745532582", false},
		{"X-Timestamp", "176974553258\u0662", false}, // an Arabic-Indic 2
		{"X-Timestamp", "17697455325\u0662", false},  // the same, 13 bytes in all

		{"X-Nonce", strings.Repeat("Z", 32), true},
		{"X-Nonce", nonce32[1:], false},
		{"X-Nonce", nonce32 + "0", false},
		{"X-Nonce", nonce32[1:] + "-", false},
		{"X-Nonce", nonce32[1:] + "_", false},
		{"X-Nonce", nonce32[1:] + ".", false},
		{"X-Nonce", nonce32[1:] + " ", false},
		{"X-Nonce", nonce32[1:] + "|", false},
		{"X-Nonce", nonce32[2:] + "é", false},

		{"X-Signature", strings.Repeat("a", 64), true},
		{"X-Signature", strings.Repeat("A", 64), true},
		{"X-Signature", strings.Repeat("a", 63), false},
		{"X-Signature", strings.Repeat("a", 65), false},
		{"X-Signature", strings.Repeat("a", 128), false},
		{"X-Signature", strings.Repeat("g", 64), false},
		{"X-Signature", strings.Repeat("a", 63) + " ", false},
		{"X-Signature", "0x" + strings.Repeat("a", 62), false},
		{"X-Signature", strings.Repeat("a", 62) + "é", false},
	}
	for _, row := range rows {
		h := goodHeader()
		h[row.header] = []string{row.value}
		checkHeader(t, h, row.header, row.value, row.ok)
	}
}

// TestParseHeaderMissing has each header missing, empty and repeated.
func TestParseHeaderMissing(t *testing.T) {
	for _, name := range []string{"Authorization", "X-Agentid", "X-Timestamp", "X-Nonce", "X-Signature"} {
		good := goodHeader().Get(name)
		for _, values := range [][]string{nil, {}, {""}, {" "}, {good, good}, {good, ""}, {"", good}, {good, good, good}} {
			h := goodHeader()
			h[name] = values
			checkHeader(t, h, name, strings.Join(values, " & "), false)
		}
		h := goodHeader()
		h.Set(name, good+", "+good) // as a proxy joins repeated headers
		checkHeader(t, h, name, "joined", false)
		h = goodHeader()
		delete(h, name)
		h[strings.ToLower(name)] = []string{good} // net/http never spells it so
		checkHeader(t, h, name, "other spelling", false)
	}
}

func checkHeader(t *testing.T, h http.Header, name, value string, ok bool) {
	t.Helper()
	got, err := ParseHeader(h, true)
	if ok {
		if err != nil {
			t.Errorf("%s: %q: %v", name, value, err)
		}
		return
	}
	if !errors.Is(err, rollcall.ErrAuthentication) || got != (Header{}) {
		t.Errorf("%s: %q: got %+v, %v; want ErrAuthentication", name, value, got, err)
		return
	}
	if !strings.Contains(err.Error(), strings.ToLower(name)) {
		t.Errorf("%s: %q: the error names no header: %v", name, value, err)
	}
	if len(value) > 8 && strings.Contains(err.Error(), value) {
		t.Errorf("%s: the error shows the value: %v", name, err)
	}
}

// TestParseHeaderAuth: /v2/auth ignores Authorization, whatever it holds (spec 5.1).
func TestParseHeaderAuth(t *testing.T) {
	for _, values := range [][]string{nil, {""}, {"Bearer " + token}, {"Basic x"}, {"a", "b"}} {
		h := goodHeader()
		h["Authorization"] = values
		got, err := ParseHeader(h, false)
		if err != nil || got.AccessToken != "" || got.Nonce != nonce32 {
			t.Errorf("%q: got %+v, %v", values, got, err)
		}
	}
	h := goodHeader()
	h.Del("X-Nonce")
	if _, err := ParseHeader(h, false); !errors.Is(err, rollcall.ErrAuthentication) {
		t.Errorf("without a nonce: got %v", err)
	}
	h = http.Header{}
	(&Header{AgentID: "a"}).Set(h)
	if _, sent := h["Authorization"]; sent {
		t.Error("Set sends Authorization without a token")
	}
}

// TestHeaderNames holds the constants to net/http's spelling, without which
// ParseHeader would find nothing.
func TestHeaderNames(t *testing.T) {
	for constant, name := range map[string]string{
		HeaderAuthorization: "authorization", HeaderAgentID: "x-agentid", HeaderTimestamp: "x-timestamp",
		HeaderNonce: "x-nonce", HeaderSignature: "x-signature", HeaderLogUUID: "X-Log-UUID",
	} {
		if want := http.CanonicalHeaderKey(name); constant != want {
			t.Errorf("got %s, want %s", constant, want)
		}
	}
}

func TestFormatTimestamp(t *testing.T) {
	for ms, want := range map[int64]string{0: "0000000000000", 1: "0000000000001", 9999999999999: "9999999999999"} {
		if got := FormatTimestamp(time.UnixMilli(ms)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
