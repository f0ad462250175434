package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rollcall-server/rollcall"
)

const logUUID = "955585ed-adeb-436e-8be0-ebf2b81b7d15"

func exampleSession() rollcall.Session {
	at := time.UnixMilli(1769745532582)
	return rollcall.Session{
		ID: "0198f0a2-0000-7000-8000-000000000000", AgentID: "integratorNBTest04", Username: "VPSysDevTest001",
		GameCode: "VP_230001_1", Mode: rollcall.ModeReal, GameServer: "gs1", Device: rollcall.DevicePC,
		IP: netip.MustParseAddr("127.0.0.1"), Lang: "en", Launch: rollcall.LaunchReal, Currency: "THB",
		BrandCurrency: "THB", Wallet: rollcall.WalletTransfer, StartedAt: at, SeenAt: at, ExpiresAt: at, EndsAt: at,
	}
}

const exampleSessionText = `{"mode":"real","gamecode":"VP_230001_1","sessionInfo":{` +
	`"deviceType":1,"ipaddress":"127.0.0.1","lang":"en","gameCode":"VP_230001_1","username":"VPSysDevTest001",` +
	`"launchType":2,"currency":"THB","brandCurrency":"THB","agentType":1}}`

// TestReplyGolden holds the example of spec 6.2 to the byte.
func TestReplyGolden(t *testing.T) {
	const start, end = `{"code":0,"message":"No error."`, `,"logUUID":"` + logUUID + `"}`
	one := exampleSession()
	rows := []struct {
		name string
		data Data
		want string
	}{
		{"one session", SessionsCheckResponse{one}, start + `,"data":[` + exampleSessionText + `]` + end},
		{"two sessions", SessionsCheckResponse{one, one}, start + `,"data":[` + exampleSessionText + `,` + exampleSessionText + `]` + end},
		{"none", SessionsCheckResponse{}, start + `,"data":[]` + end},
		{"nil", SessionsCheckResponse(nil), start + `,"data":[]` + end},
		{"no data", nil, start + end},
		{"token", NewAuthResponse("a.b.c"), start + `,"data":{"accessToken":"a.b.c","expiresIn":3600,"tokenType":"Bearer"}` + end},
		{"online", OnlineResponse{UserList: []string{"a", "b"}, Counts: 2}, start + `,"data":{"userList":["a","b"],"counts":2}` + end},
		{"nobody online", OnlineResponse{UserList: []string{}}, start + `,"data":{"userList":[],"counts":0}` + end},
		{
			"launch",
			OpenGameResponse{GameLaunchURL: "https://g.example/?t=x", Mode: rollcall.ModeDemo},
			start + `,"data":{"gameLaunchHtml":null,"gameLaunchUrl":"https://g.example/?t=x","mode":"demo"}` + end,
		},
	}
	for _, row := range rows {
		if got := string(AppendReply([]byte("x"), CodeOK, row.data, logUUID)); got != "x"+row.want {
			t.Errorf("%s:\ngot  %s\nwant x%s", row.name, got, row.want)
		}
	}
}

// generateSession makes sessions of every form that the words package allows.
func generateSession(t *rapid.T) rollcall.Session {
	id := rapid.StringMatching(`[A-Za-z0-9_.\-]{1,64}`)
	lang := rapid.StringMatching(`[A-Za-z0-9_\-]{1,16}`)
	currency := rapid.StringMatching(`[A-Z0-9]{3,8}`)
	s := exampleSession()
	s.Username = rapid.StringMatching(`[A-Za-z0-9]{1,25}`).Draw(t, "username")
	s.GameCode = id.Draw(t, "game")
	s.Lang = lang.Draw(t, "lang")
	s.Currency, s.BrandCurrency = currency.Draw(t, "currency"), currency.Draw(t, "brandCurrency")
	s.Mode = rapid.SampledFrom([]rollcall.Mode{rollcall.ModeReal, rollcall.ModeDemo}).Draw(t, "mode")
	s.Device = rapid.SampledFrom([]rollcall.DeviceType{rollcall.DevicePC, rollcall.DeviceMobile}).Draw(t, "device")
	s.Launch = rapid.SampledFrom([]rollcall.LaunchType{rollcall.LaunchBoth, rollcall.LaunchDemo, rollcall.LaunchReal}).Draw(t, "launch")
	s.Wallet = rapid.SampledFrom([]rollcall.Wallet{rollcall.WalletTransfer, rollcall.WalletSeamless}).Draw(t, "wallet")
	if rapid.Bool().Draw(t, "v4") {
		s.IP = netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "ip")))
	} else {
		s.IP = netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "ip")))
	}
	return s
}

// sessionOf is what AppendJSON means, by the struct that a client reads.
func sessionOf(s rollcall.Session) Session {
	return Session{Mode: s.Mode, GameCode: s.GameCode, Info: SessionInfo{
		DeviceType: int(s.Device), IPAddress: s.IP.String(), Lang: s.Lang, GameCode: s.GameCode, Username: s.Username,
		LaunchType: int(s.Launch), Currency: s.Currency, BrandCurrency: s.BrandCurrency, AgentType: int(s.Wallet),
	}}
}

// TestSessionsAppendJSON holds the answer that is written by hand to the one
// that encoding/json writes of the client's struct, in bytes and read back.
func TestSessionsAppendJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sessions := rapid.SliceOfN(rapid.Custom(generateSession), 0, 3).Draw(t, "sessions")
		structs := []Session{}
		for _, s := range sessions {
			structs = append(structs, sessionOf(s))
		}
		want, err := json.Marshal(structs)
		if err != nil {
			t.Fatal(err)
		}
		got := SessionsCheckResponse(sessions).AppendJSON(nil)
		if string(got) != string(want) {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
		var back []Session
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(structs, back); diff != "" {
			t.Fatalf("read back (-want +got):\n%s", diff)
		}
	})
}

// specCodes is the table of spec 9, written out a second time.
var specCodes = []struct {
	code    Code
	message string
	err     error
	status  int
}{
	{5, "Game is not found", rollcall.ErrGameNotFound, 200},
	{6, "The username already exist.", rollcall.ErrMemberExists, 200},
	{7, "Internal server error", rollcall.ErrInternal, 500},
	{8, "The User is not exist.", rollcall.ErrMemberNotFound, 200},
	{10, "Agent code was not found or block", rollcall.ErrAgentRefused, 200},
	{11, "Parameters error", rollcall.ErrParameters, 200},
	{19, "Invalid account", rollcall.ErrMemberSuspended, 200},
	{77, "Too many request, please try again later", rollcall.ErrTooManyRequests, 429},
	{81, "Branch config not found", rollcall.ErrBranchNotConfigured, 200},
	{82, "Please check siteId is for this player", rollcall.ErrSiteMismatch, 200},
	{83, "Authentication Failed", rollcall.ErrAuthentication, 200},
	{84, "Decryption Failed", rollcall.ErrDecryption, 200},
	{86, "Game is restricted", rollcall.ErrGameRestricted, 200},
}

func TestCodes(t *testing.T) {
	if got, want := len(codes), len(specCodes)+2; got != want { // 0, and 7 for ErrUnavailable
		t.Errorf("the table has %d rows, want %d", got, want)
	}
	for _, row := range specCodes {
		for _, err := range []error{
			row.err,
			fmt.Errorf("memory: list sessions: %w", row.err),
			fmt.Errorf("a: %w", fmt.Errorf("b: %w", row.err)),
			errors.Join(errors.New("other"), row.err),
		} {
			if code, status := CodeOf(err); code != row.code || status != row.status {
				t.Errorf("CodeOf(%v): got %d, %d; want %d, %d", err, code, status, row.code, row.status)
			}
		}
		if got := row.code.Err(); got != row.err { //nolint:errorlint // the same sentinel, not one that wraps it
			t.Errorf("%d.Err: got %v, want %v", row.code, got, row.err)
		}
		if got := row.code.Message(); got != row.message {
			t.Errorf("%d.Message: got %q, want %q", row.code, got, row.message)
		}
		want := fmt.Sprintf(`{"code":%d,"message":"%s","logUUID":"%s"}`, row.code, row.message, logUUID)
		if got := string(AppendReply(nil, row.code, SessionsCheckResponse{exampleSession()}, logUUID)); got != want {
			t.Errorf("envelope: got %s, want %s", got, want)
		}
	}
}

func TestCodesAtTheEdges(t *testing.T) {
	rows := []struct {
		err    error
		code   Code
		status int
	}{
		{nil, 0, http.StatusOK},
		{errors.New("disk full"), 7, http.StatusInternalServerError},
		{rollcall.ErrUnavailable, 7, http.StatusServiceUnavailable},
		{fmt.Errorf("redis: %w", rollcall.ErrUnavailable), 7, http.StatusServiceUnavailable},
		{rollcall.ErrNotFound, 7, http.StatusInternalServerError}, // of a store: not for integrators
		{rollcall.ErrInvalid, 7, http.StatusInternalServerError},
		{&Error{Code: 83}, 83, http.StatusOK}, // a client's error, passed on
	}
	for _, row := range rows {
		if code, status := CodeOf(row.err); code != row.code || status != row.status {
			t.Errorf("CodeOf(%v): got %d, %d; want %d, %d", row.err, code, status, row.code, row.status)
		}
	}
	if err := CodeOK.Err(); err != nil {
		t.Errorf("code 0: got %v", err)
	}
	if got := CodeOK.Message(); got != "No error." {
		t.Errorf("code 0: got %q", got)
	}
	for _, unknown := range []Code{-1, 1, 85, 99999} {
		if err := unknown.Err(); !errors.Is(err, rollcall.ErrInternal) {
			t.Errorf("code %d: got %v, want ErrInternal", unknown, err)
		}
		if got := unknown.Message(); got != "Internal server error" {
			t.Errorf("code %d: got %q", unknown, got)
		}
	}
}

func TestParseReply(t *testing.T) {
	for _, row := range specCodes {
		reply, err := ParseReply(AppendReply(nil, row.code, nil, logUUID))
		want := Reply{Code: row.code, Message: row.message, LogUUID: logUUID}
		if err != nil || !cmp.Equal(reply, want) {
			t.Errorf("got %+v, %v; want %+v", reply, err, want)
		}
		if err := reply.Err(); !errors.Is(err, row.err) {
			t.Errorf("code %d: Err: got %v, want %v in it", row.code, err, row.err)
		}
		e, ok := errors.AsType[*Error](reply.Err())
		if !ok || *e != (Error{Code: row.code, Message: row.message, LogUUID: logUUID}) {
			t.Errorf("code %d: got %+v", row.code, e)
		}
	}
	reply, err := ParseReply(AppendReply(nil, CodeOK, SessionsCheckResponse{exampleSession()}, logUUID))
	if err != nil || reply.Err() != nil || reply.Code != CodeOK || string(reply.Data) != "["+exampleSessionText+"]" {
		t.Errorf("got %+v, %v", reply, err)
	}
}

// TestParseReplyLenient has answers of other implementations, and what is none.
func TestParseReplyLenient(t *testing.T) {
	rows := map[string]struct {
		code Code
		ok   bool
	}{
		`{"code":0}`: {0, true},
		` {"message":"other words","extra":{},"code":8,"data":null} `: {8, true},
		`{"code":12345,"message":"new"}`:                              {12345, true},
		``:                                                            {0, false},
		`null`:                                                        {0, false},
		`{}`:                                                          {0, false},
		`[]`:                                                          {0, false},
		`{"code":null}`:                                               {0, false},
		`{"code":"0"}`:                                                {0, false},
		`{"code":0`:                                                   {0, false},
		`{"code":0}{}`:                                                {0, false},
		`<html>502 Bad Gateway</html>`:                                {0, false},
	}
	for text, want := range rows {
		reply, err := ParseReply([]byte(text))
		if (err == nil) != want.ok || reply.Code != want.code {
			t.Errorf("%s: got %+v, %v", text, reply, err)
		}
	}
	reply := Reply{Code: 12345, Message: "new", LogUUID: logUUID}
	if err := reply.Err(); !errors.Is(err, rollcall.ErrInternal) || err.Error() != "code 12345: new (logUUID "+logUUID+")" {
		t.Errorf("got %v", err)
	}
}
