package conform

import (
	"fmt"
	"time"

	"github.com/rollcall-server/rollcall/wire"
)

// clockTests need to know the server's clock, by its header Date. Each side of the
// window's edge is tried at a distance that covers the header's whole seconds.
func clockTests() []test {
	const near, far = -20 * time.Second, 20 * time.Second
	ahead := func(skew time.Duration) time.Duration { return skew }
	behind := func(skew time.Duration) time.Duration { return -skew }
	return []test{
		clock("day-old", "a timestamp of yesterday", Should, func(time.Duration) time.Duration { return -24 * time.Hour }, refusedBy(codeAuth)),
		clock("day-ahead", "a timestamp of tomorrow", Should, func(time.Duration) time.Duration { return 24 * time.Hour }, refusedBy(codeAuth)),
		clock("time-zone", "a timestamp off by 7 hours, as of a local time taken for UTC", Should, func(time.Duration) time.Duration { return 7 * time.Hour }, refusedBy(codeAuth)),
		clock("behind-within", "20 s within the window, behind", Ours, func(skew time.Duration) time.Duration { return behind(skew + near) }, accepted),
		clock("behind-beyond", "20 s beyond the window, behind", Ours, func(skew time.Duration) time.Duration { return behind(skew + far) }, answers(codeAuth)),
		clock("ahead-within", "20 s within the window, ahead", Ours, func(skew time.Duration) time.Duration { return ahead(skew + near) }, accepted),
		clock("ahead-beyond", "20 s beyond the window, ahead", Ours, func(skew time.Duration) time.Duration { return ahead(skew + far) }, answers(codeAuth)),
		clock("minute-behind", "a clock that is a minute slow", Should, func(time.Duration) time.Duration { return -time.Minute }, accepted),
		steps("clock/auth-day-old", "a token asked for with a timestamp of yesterday", "2", Should, func(t *trial) error {
			return t.late(wire.PathAuth, -24*time.Hour, refusedBy(codeAuth))
		}),
		steps("clock/server", "the server's clock is within 5 minutes of this machine's", "2", Ours, func(t *trial) error {
			if !t.r.clockKnown {
				return errNoClock
			}
			if off := t.r.offset; off.Abs() > 5*time.Minute {
				return fmt.Errorf("the server's clock is %s from this machine's: one of the two is wrong", off)
			}
			return nil
		}),
	}
}

const errNoClock = skip("the server's clock is not known: its answers have no header Date")

func clock(id, title string, severity Severity, by func(skew time.Duration) time.Duration, want expect) test {
	return steps("clock/"+id, title, "2", severity, func(t *trial) error {
		skew := time.Duration(t.r.o.Facts.MaxClockSkewSeconds) * time.Second
		return t.late(wire.PathSessionsCheck, by(skew), want)
	})
}

// late sends a request whose timestamp is off.
func (t *trial) late(to string, by time.Duration, want expect) error {
	if !t.r.clockKnown {
		return errNoClock
	}
	req, err := t.request(RolePrimary, to)
	if err != nil {
		return err
	}
	req.head.Timestamp = wire.FormatTimestamp(req.head.Time().Add(by))
	return t.want(req, want)
}
