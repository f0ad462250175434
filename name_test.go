package rollcall_test

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall"
)

// TestNames has each rule's edges. "ok" marks what the rule takes.
func TestNames(t *testing.T) {
	foreign := []string{"", " ", "a b", "a|b", "a/b", "a\n", "a\x00", "é", "\u0661", "\uff11", "\u212a", "ſ", "\xff", "a\u200b"}
	rules := []struct {
		name      string
		valid     func(string) bool
		most      int
		ok, wrong []string
	}{
		{"username", rollcall.ValidUsername, 25, []string{"a", "Z9", "007"}, []string{"a_b", "a-b", "a.b"}},
		{"id", rollcall.ValidID, 64, []string{"VP_230001_1", "a.b-c_D", "."}, []string{"a+b", "a:b", "a%"}},
		{"siteId", rollcall.ValidSiteID, 32, []string{"a-b_C", "0"}, []string{"a.b"}},
		{"lang", rollcall.ValidLang, 16, []string{"en", "zh-Hant_TW"}, []string{"en.US", `"`}},
		{"currency", rollcall.ValidCurrency, 8, []string{"THB", "USDT", "1INCH"}, []string{"TH", "thb", "THb", "T-B", "T_B"}},
	}
	for _, rule := range rules {
		for _, s := range append(rule.ok, strings.Repeat("A", rule.most)) {
			if !rule.valid(s) {
				t.Errorf("%s: %q is refused", rule.name, s)
			}
		}
		wrong := append(rule.wrong, strings.Repeat("A", rule.most+1), strings.Repeat("A", 1<<16))
		for _, s := range append(wrong, foreign...) {
			if rule.valid(s) {
				t.Errorf("%s: %.80q is accepted", rule.name, s)
			}
		}
	}
}

// text is what every type with names of its values is.
type text interface {
	fmt.Stringer
	encoding.TextMarshaler
}

func TestValueNames(t *testing.T) {
	rows := []struct {
		value text
		name  string
		fresh encoding.TextUnmarshaler
	}{
		{rollcall.WalletTransfer, "transfer", new(rollcall.Wallet)},
		{rollcall.WalletSeamless, "seamless", new(rollcall.Wallet)},
		{rollcall.DevicePC, "pc", new(rollcall.DeviceType)},
		{rollcall.DeviceMobile, "mobile", new(rollcall.DeviceType)},
		{rollcall.LaunchBoth, "both", new(rollcall.LaunchType)},
		{rollcall.LaunchDemo, "demo", new(rollcall.LaunchType)},
		{rollcall.LaunchReal, "real", new(rollcall.LaunchType)},
	}
	for _, row := range rows {
		if got := row.value.String(); got != row.name {
			t.Errorf("String: got %q, want %q", got, row.name)
		}
		if got, err := row.value.MarshalText(); err != nil || string(got) != row.name {
			t.Errorf("MarshalText: got %q, %v; want %q", got, err, row.name)
		}
		if err := row.fresh.UnmarshalText([]byte(row.name)); err != nil {
			t.Errorf("UnmarshalText: %v", err)
		}
		if got := fmt.Sprint(row.fresh); got != row.name {
			t.Errorf("read back: got %q, want %q", got, row.name)
		}
		for _, wrong := range []string{"", "1", strings.ToUpper(row.name), row.name + " ", "invalid(9)"} {
			if err := row.fresh.UnmarshalText([]byte(wrong)); !errors.Is(err, rollcall.ErrInvalid) {
				t.Errorf("UnmarshalText of %q: got %v, want ErrInvalid", wrong, err)
			}
		}
	}
	for _, value := range []text{rollcall.Wallet(0), rollcall.Wallet(3), rollcall.DeviceType(0), rollcall.DeviceType(3), rollcall.LaunchType(-1), rollcall.LaunchType(3)} {
		if v, ok := value.(interface{ Valid() bool }); !ok || v.Valid() {
			t.Errorf("%T %v is valid", value, value)
		}
		if got, err := value.MarshalText(); !errors.Is(err, rollcall.ErrInvalid) {
			t.Errorf("%v: got %q, %v; want ErrInvalid", value, got, err)
		}
		if got := value.String(); !strings.HasPrefix(got, "invalid(") {
			t.Errorf("String: got %q", got)
		}
	}
}

func TestValid(t *testing.T) {
	type validator interface{ Valid() bool }
	for value, want := range map[validator]bool{
		rollcall.AgentActive: true, rollcall.AgentBlocked: true, rollcall.AgentStatus(""): false, rollcall.AgentStatus("Active"): false,
		rollcall.SignaturePlain: true, rollcall.SignatureHMAC: true, rollcall.SignatureProfile(""): false, rollcall.SignatureProfile("HMAC"): false,
		rollcall.ModeReal: true, rollcall.ModeDemo: true, rollcall.Mode(""): false, rollcall.Mode("both"): false,
		rollcall.WalletTransfer: true, rollcall.WalletSeamless: true, rollcall.DevicePC: true, rollcall.DeviceMobile: true,
		rollcall.LaunchBoth: true, rollcall.LaunchDemo: true, rollcall.LaunchReal: true,
	} {
		if got := value.Valid(); got != want {
			t.Errorf("%T %q: got %v, want %v", value, fmt.Sprint(value), got, want)
		}
	}
}

// TestSessionActiveAt: at ExpiresAt itself a session is no longer active.
func TestSessionActiveAt(t *testing.T) {
	end := time.UnixMilli(1769745532582)
	s := rollcall.Session{ExpiresAt: end, EndsAt: end}
	for at, want := range map[time.Time]bool{
		end.Add(-time.Nanosecond): true, end: false, end.Add(time.Nanosecond): false, end.In(time.FixedZone("x", 3600)): false,
	} {
		if got := s.ActiveAt(at); got != want {
			t.Errorf("%v: got %v, want %v", at, got, want)
		}
	}
	if new(rollcall.Session).ActiveAt(end) {
		t.Error("the zero session is active")
	}
}

// TestJSON: the operators' API and the stores write the words by name, and an
// agent holds no key.
func TestJSON(t *testing.T) {
	got, err := json.Marshal(rollcall.Session{Device: rollcall.DeviceMobile, Launch: rollcall.LaunchReal, Wallet: rollcall.WalletSeamless})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"device":"mobile"`, `"launch":"real"`, `"wallet":"seamless"`} {
		if !strings.Contains(string(got), want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
	var back rollcall.Session
	if err := json.Unmarshal(got, &back); err != nil || back.Wallet != rollcall.WalletSeamless {
		t.Errorf("got %+v, %v", back, err)
	}
	if _, err := json.Marshal(rollcall.Session{}); !errors.Is(err, rollcall.ErrInvalid) {
		t.Errorf("a session without a device: got %v, want ErrInvalid", err)
	}
}

// TestErrorsDiffer: errors.Is must tell the sentinels apart.
func TestErrorsDiffer(t *testing.T) {
	all := []error{
		rollcall.ErrGameNotFound, rollcall.ErrMemberExists, rollcall.ErrInternal, rollcall.ErrMemberNotFound,
		rollcall.ErrAgentRefused, rollcall.ErrParameters, rollcall.ErrMemberSuspended, rollcall.ErrTooManyRequests,
		rollcall.ErrBranchNotConfigured, rollcall.ErrSiteMismatch, rollcall.ErrAuthentication, rollcall.ErrDecryption,
		rollcall.ErrGameRestricted, rollcall.ErrUnavailable, rollcall.ErrNotFound, rollcall.ErrExists, rollcall.ErrInUse,
		rollcall.ErrInvalid,
	}
	texts := map[string]bool{}
	for i, a := range all {
		for j, b := range all {
			if errors.Is(a, b) != (i == j) {
				t.Errorf("errors.Is(%v, %v)", a, b)
			}
		}
		if texts[a.Error()] {
			t.Errorf("two sentinels say %q", a)
		}
		texts[a.Error()] = true
	}
}
