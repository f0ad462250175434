package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/client"
	"github.com/rollcall-server/rollcall/rollcalltest"
)

// One Client serves a whole program: make it once, and share it.
func ExampleNew() {
	s := rollcalltest.Start() // in production: the operator's service
	defer s.Close()
	s.SetNow(time.Now())
	address, agentID, apiKey, secretKey := s.URL, s.Agent.ID, s.Agent.APIKey, s.Agent.SecretKey

	c, err := client.New(client.Options{
		BaseURL:   address,   // such as https://rollcall.example.com
		AgentID:   agentID,   // what the operator has given you: who you are,
		APIKey:    apiKey,    // 64 hex digits that your requests are sealed with,
		SecretKey: secretKey, // and what access tokens are asked for with
	})
	if err != nil {
		fmt.Println(err) // says which option is wrong
		return
	}
	sessions, err := c.CheckSessions(context.Background(), "player001")
	fmt.Println(len(sessions.Active), err)
	// Output: 0 <nil>
}

// Which active sessions has this member, from where, in what?
func ExampleClient_CheckSessions() {
	s := rollcalltest.Start()
	defer s.Close()
	s.Seat("player001", "VP_230001_1") // the member plays
	c, ctx := s.Client(), context.Background()

	sessions, err := c.CheckSessions(ctx, "player001")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, one := range sessions.Active {
		fmt.Println(one.GameCode, one.Mode, one.Info.IPAddress, one.Info.Currency)
	}
	if len(sessions.Active) == 0 && !sessions.Partial {
		fmt.Println("player001 plays nothing")
	}
	// Output: VP_230001_1 real 192.0.2.1 THB
}

// An empty answer means "plays nothing" only where it is not partial.
func ExampleSessions() {
	s := rollcalltest.Start()
	defer s.Close()
	s.Seat("player001", "VP_230001_1")
	s.LoseSessions() // as an engine does that is flushed: game servers announce them again
	c, ctx := s.Client(), context.Background()

	sessions, err := c.CheckSessions(ctx, "player001")
	switch {
	case err != nil:
		fmt.Println("nobody knows:", err)
	case len(sessions.Active) > 0:
		fmt.Println("plays")
	case sessions.Partial:
		fmt.Println("may play: ask again in a minute")
	default:
		fmt.Println("plays nothing")
	}
	// Output: may play: ask again in a minute
}

// What was refused is a sentinel of package rollcall; the logUUID is what the
// service's operator asks for.
func ExampleError() {
	s := rollcalltest.Start()
	defer s.Close()
	c, ctx := s.Client(), context.Background()

	_, err := c.CheckSessions(ctx, "nobody")
	switch {
	case errors.Is(err, rollcall.ErrMemberNotFound):
		fmt.Println("no such member")
	case err != nil:
		fmt.Println(err)
	}
	if answer, ok := errors.AsType[*client.Error](err); ok {
		fmt.Printf("code %d: %s\n", answer.Code, answer.Message)
		fmt.Println("logUUID:", len(answer.LogUUID), "characters")
		// The operator looks it up: rollcall request LOGUUID
		record := s.Request(answer.LogUUID)
		last := record.Checks[len(record.Checks)-1]
		fmt.Println(record.Endpoint, last.Name, last.Reason)
	}
	// Output:
	// no such member
	// code 8: The User is not exist.
	// logUUID: 36 characters
	// /v2/members/sessions/check member member not found
}

// A launch gives the URL to send the member to. The session begins when the game
// is loaded there.
func ExampleClient_OpenGame() {
	s := rollcalltest.Start()
	defer s.Close()
	c, ctx := s.Client(), context.Background()

	launch, err := c.OpenGame(ctx, client.OpenGameRequest{
		Username:   "player001",
		GameCode:   "VP_230001_1",
		DeviceType: client.OnMobile,
		LaunchType: int(rollcall.LaunchReal),
		IPAddress:  "192.0.2.7", // of the member
		Lang:       "en",
	})
	switch {
	case errors.Is(err, rollcall.ErrMemberSuspended), errors.Is(err, rollcall.ErrGameRestricted):
		fmt.Println("tell the member why")
	case err != nil:
		fmt.Println(err)
	}
	to, _ := url.Parse(launch.GameLaunchURL)
	fmt.Println(launch.Mode, to.Host, to.Query().Has("token"))
	// Output: real games.example.com true
}

// Who plays, and out with one of them.
func ExampleClient_KickMember() {
	s := rollcalltest.Start()
	defer s.Close()
	s.Seat("player001", "VP_230001_1")
	s.Seat("player002", "VP_230001_1")
	c, ctx := s.Client(), context.Background()

	online, err := c.Online(ctx)
	fmt.Println(online.Usernames, online.Partial, err)
	if err := c.KickMember(ctx, "player001"); err != nil {
		fmt.Println(err)
	}
	online, err = c.Online(ctx)
	fmt.Println(online.Usernames, online.Partial, err)
	// Output:
	// [player001 player002] false <nil>
	// [player002] false <nil>
}

// Where the answer got lost, nobody knows whether the member was made: call again,
// and take "exists" for done.
func ExampleClient_CreateMember() {
	s := rollcalltest.Start()
	defer s.Close()
	c, ctx := s.Client(), context.Background()
	var once bool
	s.Wrap(func(next http.Handler) http.Handler { // a network that loses one answer
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v2/members" || once {
				next.ServeHTTP(w, r)
				return
			}
			once = true
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		})
	})

	err := c.CreateMember(ctx, "player003", "")
	_, answered := errors.AsType[*client.Error](err)
	fmt.Println(err == nil, answered) // not made, and not refused either
	if err != nil && !answered {
		if err = c.CreateMember(ctx, "player003", ""); errors.Is(err, rollcall.ErrMemberExists) {
			err = nil
		}
	}
	fmt.Println(err)
	// Output:
	// false false
	// <nil>
}

// A call is repeated where that is safe; what comes out in the end says it all.
func ExampleRetryAfter() {
	s := rollcalltest.Start()
	defer s.Close()
	o := s.ClientOptions()
	o.Attempts = 2 // at the most; 0: three, 1: nothing is repeated
	c, err := client.New(o)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) // no wait is begun that would last longer
	defer cancel()

	s.Unavailable(1) // HTTP 503, once
	_, err = c.Online(ctx)
	fmt.Println(err)

	s.Unavailable(9)
	_, err = c.Online(ctx)
	fmt.Println(errors.Is(err, rollcall.ErrInternal), client.RetryAfter(err))
	if answer, ok := errors.AsType[*client.Error](err); ok {
		fmt.Println(answer.Code, answer.Status, answer.LogUUID != "")
	}
	// Output:
	// <nil>
	// true 1s
	// 7 503 true
}

// Keys are changed while calls go on: give the next one beforehand, have the
// operator add it, then retire the old one, at any time.
func ExampleOptions_nextAPIKey() {
	s := rollcalltest.Start()
	defer s.Close()
	o := s.ClientOptions()
	o.NextAPIKey = s.Agent.NextAPIKey // 64 random hex digits, which the operator gets too
	c, err := client.New(o)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()

	fmt.Println(c.KickMember(ctx, "player001"))
	s.AddAPIKey() // rollcall agent add-key AGENT --key-file FILE
	fmt.Println(c.KickMember(ctx, "player001"))
	s.RetireAPIKey(s.Agent.APIKey) // rollcall agent retire-key AGENT KEYID
	fmt.Println(c.KickMember(ctx, "player001"))
	// Output:
	// <nil>
	// <nil>
	// <nil>
}
