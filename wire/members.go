package wire

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/rollcall-server/rollcall"
)

// A MemberCreateRequest makes a member (spec 7.1).
type MemberCreateRequest struct {
	Username string `json:"username"`
	SiteID   string `json:"siteId,omitempty"`
}

// Decode reads a plaintext strictly. The error is rollcall.ErrParameters.
func (r *MemberCreateRequest) Decode(plaintext []byte) error {
	err := decodeObject(plaintext,
		field{name: "username", to: &r.Username},
		field{name: "siteId", to: &r.SiteID, optional: true})
	if err != nil {
		return err
	}
	if r.SiteID != "" && !rollcall.ValidSiteID(r.SiteID) {
		return errSiteID
	}
	return checkUsername(r.Username)
}

// Subject returns the member that the request is about.
func (r *MemberCreateRequest) Subject() string { return r.Username }

var errSiteID = fmt.Errorf("%w: siteId is not 1 to 32 of A-Za-z0-9_-", rollcall.ErrParameters)

// An OnlineRequest asks for the members that are online; it has no parameters
// (spec 4.5, 7.3).
type OnlineRequest struct{}

// Decode reads a plaintext strictly. The error is rollcall.ErrParameters.
func (r *OnlineRequest) Decode(plaintext []byte) error { return decodeObject(plaintext) }

// Subject returns "", since the request is about no one member.
func (r *OnlineRequest) Subject() string { return "" }

// An OnlineResponse is the data that answers an OnlineRequest (spec 7.3).
type OnlineResponse struct {
	// UserList is sorted and has each member once; never nil.
	UserList []string `json:"userList"`
	Counts   int      `json:"counts"`
}

// AppendJSON appends the data to dst.
//
// It is made by hand, since a list can have hundreds of thousands of names, none
// of which needs escaping.
func (r OnlineResponse) AppendJSON(dst []byte) []byte {
	const name = 28 // the longest one, with quotes and comma
	dst = slices.Grow(dst, name*len(r.UserList)+128)
	dst = append(dst, `{"userList":[`...)
	for i, name := range r.UserList {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), name...), '"')
	}
	dst = append(dst, `],"counts":`...)
	return append(strconv.AppendInt(dst, int64(r.Counts), 10), '}')
}

// An OpenGameRequest launches a game (spec 7.2).
type OpenGameRequest struct {
	// DeviceType is 0 for a PC and 1 for mobile: one less than in a Session.
	DeviceType int    `json:"deviceType"`
	IPAddress  string `json:"ipaddress"`
	Lang       string `json:"lang"`
	GameCode   string `json:"gameCode"`
	LaunchType int    `json:"launchType"`
	// LobbyURL is an https URL, or empty.
	LobbyURL string `json:"lobbyUrl,omitempty"`
	// Username may be empty with LaunchType 1 only.
	Username string `json:"username,omitempty"`
	SiteID   string `json:"siteId,omitempty"`
}

// Decode reads a plaintext strictly. The error is rollcall.ErrParameters.
func (r *OpenGameRequest) Decode(plaintext []byte) error {
	err := decodeObject(plaintext,
		field{name: "deviceType", to: &r.DeviceType},
		field{name: "ipaddress", to: &r.IPAddress},
		field{name: "lang", to: &r.Lang},
		field{name: "gameCode", to: &r.GameCode},
		field{name: "launchType", to: &r.LaunchType, optional: true},
		field{name: "lobbyUrl", to: &r.LobbyURL, optional: true},
		field{name: "username", to: &r.Username, optional: true},
		field{name: "siteId", to: &r.SiteID, optional: true})
	if err != nil {
		return err
	}
	return r.check()
}

// Subject returns the member that the request is about; empty for a demo
// without one.
func (r *OpenGameRequest) Subject() string { return r.Username }

func (r *OpenGameRequest) check() error {
	demo := r.LaunchType == int(rollcall.LaunchDemo)
	switch {
	case r.DeviceType != 0 && r.DeviceType != 1:
		return fmt.Errorf("%w: deviceType is not 0 or 1", rollcall.ErrParameters)
	case !validIP(r.IPAddress):
		return fmt.Errorf("%w: ipaddress is no IP address", rollcall.ErrParameters)
	case !rollcall.ValidLang(r.Lang):
		return fmt.Errorf("%w: lang is not 1 to 16 of A-Za-z0-9_-", rollcall.ErrParameters)
	case !rollcall.ValidID(r.GameCode):
		return fmt.Errorf("%w: gameCode is not 1 to 64 of A-Za-z0-9_.-", rollcall.ErrParameters)
	case !rollcall.LaunchType(r.LaunchType).Valid():
		return fmt.Errorf("%w: launchType is not 0, 1 or 2", rollcall.ErrParameters)
	case r.LobbyURL != "" && !rollcall.ValidLobbyURL(r.LobbyURL):
		return fmt.Errorf("%w: lobbyUrl is no https URL", rollcall.ErrParameters)
	case r.SiteID != "" && !rollcall.ValidSiteID(r.SiteID):
		return errSiteID
	case r.Username == "" && demo:
		return nil
	}
	return checkUsername(r.Username)
}

func validIP(s string) bool {
	ip, err := netip.ParseAddr(s)
	return err == nil && ip.Zone() == ""
}

// An OpenGameResponse is the data that answers an OpenGameRequest (spec 7.2).
type OpenGameResponse struct {
	GameLaunchHTML *string `json:"gameLaunchHtml"` // always null
	// GameLaunchURL carries a single-use launch token.
	GameLaunchURL string        `json:"gameLaunchUrl"`
	Mode          rollcall.Mode `json:"mode"`
}

// AppendJSON appends the data to dst.
func (r OpenGameResponse) AppendJSON(dst []byte) []byte { return appendJSON(dst, r) }
