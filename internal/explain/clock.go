package explain

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

var clockKinds = []Kind{
	{
		Code: "clock-time-zone", Step: stepTime, Spec: "2", say: sayZone, What: "x-timestamp is {v}.",
		Mend: "Unix time has no time zone. Take it from the UTC clock: C# DateTimeOffset.UtcNow, not DateTime.Now and not a DateTime of kind Unspecified; Java Instant.now(), not LocalDateTime with a zone of its own; Python time.time(), not datetime.utcnow().timestamp(). Set the rest right with NTP.",
	},
	{
		Code: "clock-behind", Step: stepTime, Spec: "2", say: sayMillis, What: "x-timestamp is {v} behind the time of sending.",
		Mend: "Set the sender's clock with NTP, and take the timestamp anew for each attempt: a retry or a queue must not send an old one.",
	},
	{
		Code: "clock-ahead", Step: stepTime, Spec: "2", say: sayMillis, What: "x-timestamp is {v} ahead of the time of sending.",
		Mend: "Set the sender's clock with NTP.",
	},
}

// oddZones are the offsets in use that are no whole hours, in minutes.
var oddZones = []int{210, 270, 330, 345, 390, 525, 570, 630, 765}

// zoneOf splits a difference into the offset of a time zone, of either sign, and
// what is left, which is to be no more than clocks may be off.
func zoneOf(ahead time.Duration) (zone, drift time.Duration, ok bool) {
	zone = ahead.Round(time.Hour)
	for _, minutes := range oddZones {
		for _, odd := range []time.Duration{time.Duration(minutes) * time.Minute, -time.Duration(minutes) * time.Minute} {
			if (ahead - odd).Abs() < (ahead - zone).Abs() {
				zone = odd
			}
		}
	}
	drift = ahead - zone
	return zone, drift, zone != 0 && zone.Abs() <= 14*time.Hour && drift.Abs() <= defaultSkew
}

// sayZone writes such a difference: value is ms, positive for ahead.
func sayZone(value int64) string {
	ahead := time.Duration(value) * time.Millisecond
	zone, drift, _ := zoneOf(ahead)
	text := fmt.Sprintf("%s %s the time of sending: a time zone of %s", short(ahead), sideOf(ahead), short(zone))
	if drift.Abs() >= time.Second {
		text += fmt.Sprintf(", and %s of drift", short(drift))
	}
	return text
}

func sideOf(ahead time.Duration) string {
	if ahead < 0 {
		return "behind"
	}
	return "ahead of"
}

// sentAt returns when the request was sent, and by whose word.
func (x *exam) sentAt() (at time.Time, by string, assumed bool) {
	switch r, a := x.know.Record, x.req.Answer; {
	case !x.know.At.IsZero():
		return x.know.At, "the time that was given", false
	case r != nil && !r.At.IsZero():
		return r.At, "the record", false
	case a != nil && !a.At.IsZero():
		return a.At, "the answer's Date", false
	case !x.req.Sent.IsZero():
		return x.req.Sent, "the capture, whose clock may be the sender's own", false
	case !x.know.Now.IsZero():
		return x.know.Now, "now, which is an assumption: --at says when it was sent", true
	}
	return time.Time{}, "", false
}

// stamp returns the moment that x-timestamp names, in whatever unit.
func (x *exam) stamp() (time.Time, bool) {
	n, err := strconv.ParseInt(x.timestamp, 10, 64)
	if err != nil || n <= 0 || strings.HasPrefix(x.timestamp, "+") {
		return time.Time{}, false
	}
	switch len(x.timestamp) {
	case 10:
		return time.Unix(n, 0), true
	case 13:
		return time.UnixMilli(n), true
	case 16:
		return time.UnixMicro(n), true
	case 19:
		return time.Unix(0, n), true
	}
	return time.Time{}, false
}

func (x *exam) clock() {
	stamp, ok := x.stamp()
	if !ok {
		x.found(stepTime, Unknown, "x-timestamp does not tell a time")
		return
	}
	at, by, assumed := x.sentAt()
	if x.passedBy() {
		x.found(stepTime, Right, "%s; the answer tells that it was passed", stamp.UTC().Format(time.RFC3339))
		return
	}
	if at.IsZero() {
		x.found(stepTime, Unknown, "it says %s; whether that was right cannot be known without the time of sending (--at)", stamp.UTC().Format(time.RFC3339))
		return
	}
	ahead := stamp.Sub(at)
	if len(x.timestamp) == 10 && ahead < 0 && ahead > -time.Second {
		ahead = 0
	}
	x.found(stepTime, Right, "%s, %s %s %s", stamp.UTC().Format(time.RFC3339), short(ahead), sideOf(ahead), by)
	if ahead.Abs() <= x.know.MaxClockSkew {
		return
	}
	if assumed && ahead < 0 { // an old capture; what is ahead of now is wrong whenever it was sent
		x.found(stepTime, Unknown, "%s, %s behind now; --at says when it was sent", stamp.UTC().Format(time.RFC3339), short(ahead))
		return
	}
	code, value := "clock-ahead", ahead.Milliseconds()
	if _, _, zone := zoneOf(ahead); zone {
		code = "clock-time-zone"
	} else if ahead < 0 {
		code, value = "clock-behind", -value
	}
	x.fault(code, value, "").Assumed = assumed
}
