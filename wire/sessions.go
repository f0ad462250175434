package wire

import (
	"fmt"
	"strconv"

	"github.com/rollcall-server/rollcall"
)

// A MemberRequest names one member: the plaintext of the check of its sessions
// (spec 6.1) and of the kick (spec 7.4).
type MemberRequest struct {
	Username string `json:"username"`
}

// Decode reads a plaintext strictly. The error is rollcall.ErrParameters.
func (r *MemberRequest) Decode(plaintext []byte) error {
	if name, ok := onlyMember(plaintext, "username"); ok {
		r.Username = string(name)
	} else if err := decodeObject(plaintext, field{name: "username", to: &r.Username}); err != nil {
		return err
	}
	return checkUsername(r.Username)
}

// Subject returns the member that the request is about.
func (r *MemberRequest) Subject() string { return r.Username }

func checkUsername(name string) error {
	if !rollcall.ValidUsername(name) {
		return fmt.Errorf("%w: username is not 1 to 25 ASCII letters or digits", rollcall.ErrParameters)
	}
	return nil
}

// A Session is one active session as an integrator sees it (spec 6.2).
type Session struct {
	Mode     rollcall.Mode `json:"mode"`
	GameCode string        `json:"gamecode"` // so spelled here, gameCode inside
	Info     SessionInfo   `json:"sessionInfo"`
}

// SessionInfo is the inner part of a Session. Its numbers are spec 6.2's.
type SessionInfo struct {
	DeviceType    int    `json:"deviceType"`
	IPAddress     string `json:"ipaddress"`
	Lang          string `json:"lang"`
	GameCode      string `json:"gameCode"`
	Username      string `json:"username"`
	LaunchType    int    `json:"launchType"`
	Currency      string `json:"currency"`
	BrandCurrency string `json:"brandCurrency"`
	AgentType     int    `json:"agentType"`
}

// A SessionsCheckResponse is a member's active sessions, oldest first: the data
// of the check (spec 6.2). A nil one is written as [].
type SessionsCheckResponse []rollcall.Session

// AppendJSON appends the data to dst, the members in the order of spec 6.2.
// The strings have been checked when the session was started: none needs
// escaping.
func (r SessionsCheckResponse) AppendJSON(dst []byte) []byte {
	dst = append(dst, '[')
	for i := range r {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendSession(dst, &r[i])
	}
	return append(dst, ']')
}

func appendSession(dst []byte, s *rollcall.Session) []byte {
	dst = append(dst, `{"mode":"`...)
	dst = append(dst, s.Mode...)
	dst = append(dst, `","gamecode":"`...)
	dst = append(dst, s.GameCode...)
	dst = append(dst, `","sessionInfo":{"deviceType":`...)
	dst = strconv.AppendInt(dst, int64(s.Device), 10)
	dst = append(dst, `,"ipaddress":"`...)
	dst = s.IP.AppendTo(dst)
	dst = append(dst, `","lang":"`...)
	dst = append(dst, s.Lang...)
	dst = append(dst, `","gameCode":"`...)
	dst = append(dst, s.GameCode...)
	dst = append(dst, `","username":"`...)
	dst = append(dst, s.Username...)
	dst = append(dst, `","launchType":`...)
	dst = strconv.AppendInt(dst, int64(s.Launch), 10)
	dst = append(dst, `,"currency":"`...)
	dst = append(dst, s.Currency...)
	dst = append(dst, `","brandCurrency":"`...)
	dst = append(dst, s.BrandCurrency...)
	dst = append(dst, `","agentType":`...)
	dst = strconv.AppendInt(dst, int64(s.Wallet), 10)
	return append(dst, `}}`...)
}
