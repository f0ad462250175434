package rollcalltest_test

import (
	"context"
	"fmt"
	"time"

	"github.com/rollcall-server/rollcall/rollcalltest"
)

// In a test it is rollcalltest.New(t), which closes it by itself.
func Example() {
	s := rollcalltest.Start()
	defer s.Close()

	show := func(when string) {
		sessions, err := s.Client().CheckSessions(context.Background(), "player001")
		fmt.Println(when, len(sessions.Active), err)
	}
	s.Seat("player001", "VP_230001_1")
	show("seated:")
	s.Kick("player001", "maintenance")
	show("kicked:")
	s.Seat("player001", "VP_230002_1")
	s.Advance(90 * time.Second) // nobody has renewed its lease
	show("expired:")
	// Output:
	// seated: 1 <nil>
	// kicked: 0 <nil>
	// expired: 0 <nil>
}
