// Go shows the calls of the v2 API by the SDK, package client, against a sandbox
// (make run): fetching the access token, sealing and signing is the SDK's work.
//
//	go run ./examples/go CREDENTIALS-FILE
package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/client"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "rollcall example:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: go run ./examples/go CREDENTIALS-FILE")
	}
	o, err := readOptions(args[0])
	if err != nil {
		return err
	}
	c, err := client.New(o) // one for the whole program; goroutines share it
	if err != nil {
		return err
	}
	s := show{ctx: ctx, c: c, name: "new" + strings.ToLower(rand.Text()[:16])}
	s.members()
	s.life()
	s.refused(o)
	return s.err
}

// readOptions reads the first agent of a credentials file.
func readOptions(file string) (client.Options, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the user names the file
	if err != nil {
		return client.Options{}, err
	}
	var credentials struct {
		BaseURL string
		Agents  []struct{ AgentID, APIKey, Secret string }
	}
	if err := json.Unmarshal(text, &credentials); err != nil || len(credentials.Agents) == 0 {
		return client.Options{}, fmt.Errorf("%s: no agent in it: %w", file, cmp.Or(err, rollcall.ErrInvalid))
	}
	agent := credentials.Agents[0]
	return client.Options{BaseURL: credentials.BaseURL, AgentID: agent.AgentID, APIKey: agent.APIKey, SecretKey: agent.Secret}, nil
}

// A show prints what calls answer. After an error that is no answer of the
// service, such as a broken connection, it calls no more.
type show struct {
	ctx  context.Context
	c    *client.Client
	name string // of the new member
	err  error
}

func (s *show) line(what string, call func() (string, error)) {
	if s.err != nil {
		return
	}
	result, err := call()
	// errors.Is(err, rollcall.ErrMemberNotFound) and its like tell one code from
	// another; the logUUID is what the service's operator finds the request by.
	if answer, ok := errors.AsType[*client.Error](err); ok {
		given := "given"
		if answer.LogUUID == "" {
			given = "missing"
		}
		result = fmt.Sprintf("code %d, %s (logUUID %s)", answer.Code, answer.Message, given)
	} else if err != nil {
		s.err = fmt.Errorf("%s: %w", what, err)
		return
	}
	fmt.Printf("%s: %s\n", what, result)
}

func (s *show) members() {
	s.line("check player001", s.check(s.c, "player001"))
	s.line("check nobody", s.check(s.c, "nobody"))
	s.line(`check "not a name"`, s.check(s.c, "not a name"))
	s.line("create a new member", s.create)
	s.line("create it again", s.create)
}

func (s *show) life() {
	var launch client.OpenGameResponse
	s.line("launch VP_230001_1 for it", func() (_ string, err error) {
		// DeviceType is 0 for a PC and 1 for mobile here; a session has 1 and 2.
		launch, err = s.c.OpenGame(s.ctx, client.OpenGameRequest{
			Username: s.name, GameCode: "VP_230001_1", LaunchType: int(rollcall.LaunchReal), DeviceType: 1, IPAddress: "203.0.113.7", Lang: "en",
		})
		if !strings.Contains(launch.GameLaunchURL, "token=") {
			return string(launch.Mode) + ", no URL", err
		}
		return string(launch.Mode) + ", a URL with a launch token", err
	})
	s.line("check it", s.check(s.c, s.name))
	s.line("open the URL, as the member's browser does", func() (string, error) { return openInBrowser(s.ctx, launch.GameLaunchURL) })
	s.line("check it", s.check(s.c, s.name))
	s.line("online", s.online)
	s.line("kick it", func() (string, error) { return "done", s.c.KickMember(s.ctx, s.name) })
	s.line("check it", s.check(s.c, s.name))
}

// refused shows what wrong keys lead to.
func (s *show) refused(o client.Options) {
	otherKey, otherSecret := o, o
	otherKey.APIKey, otherSecret.SecretKey = strings.Repeat("00", 32), "another"
	for _, row := range []struct {
		what string
		o    client.Options
	}{{"check with another API key", otherKey}, {"check with another Secret key", otherSecret}} {
		s.line(row.what, func() (string, error) {
			c, err := client.New(row.o)
			if err != nil {
				return "", err
			}
			return s.check(c, "player001")()
		})
	}
}

func (s *show) check(c *client.Client, username string) func() (string, error) {
	return func() (string, error) {
		sessions, err := c.CheckSessions(s.ctx, username)
		lines := make([]string, len(sessions.Active))
		for i, session := range sessions.Active {
			device := "on mobile"
			if session.Info.DeviceType == int(rollcall.DevicePC) {
				device = "on a PC"
			}
			lines[i] = fmt.Sprintf("%s, %s, %s, from %s, in %s", session.GameCode, session.Mode, device, session.Info.IPAddress, session.Info.Currency)
		}
		told := cmp.Or(strings.Join(lines, "; "), "no session")
		if sessions.Partial { // so that none does not mean that nobody plays
			told += ", but some may be missing"
		}
		return told, err
	}
}

func (s *show) create() (string, error) { return "done", s.c.CreateMember(s.ctx, s.name, "") }

func (s *show) online() (string, error) {
	online, err := s.c.Online(s.ctx) // up to 30 s old: of one member ask CheckSessions
	if !slices.Contains(online.Usernames, "player001") {
		return "player001 is away", err
	}
	return "player001 is playing", err
}

// openInBrowser does what the page of the sandbox's game does when the member's
// browser loads it.
func openInBrowser(ctx context.Context, launchURL string) (string, error) {
	u, err := url.Parse(launchURL)
	if err != nil {
		return "", err
	}
	page, err := json.Marshal(map[string]string{"token": u.Query().Get("token"), "page": "example"})
	if err != nil {
		return "", err
	}
	start := u.JoinPath("start")
	start.RawQuery = ""
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, start.String(), bytes.NewReader(page))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("HTTP %d", res.StatusCode), res.Body.Close()
}
