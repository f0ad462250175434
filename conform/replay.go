package conform

import (
	"fmt"
	"time"

	"github.com/rollcall-server/rollcall/wire"
)

func replayTests() []test {
	return append(append(replayedTests(), notSpentTests()...), atOnceTests()...)
}

// then makes a case of two requests: a right one, and one that shares with it what
// of it says.
func then(id, title string, severity Severity, as, to string, of func(first, second *request), want expect) test {
	return steps("replay/"+id, title, "2", severity, func(t *trial) error { return t.inTurn(as, to, of, accepted, want) })
}

// inTurn sends a check of the primary agent, and then a request of an agent to a path,
// as of has made the two from right ones.
func (t *trial) inTurn(as, to string, of func(first, second *request), ofFirst, ofSecond expect) error {
	first, err := t.request(RolePrimary, wire.PathSessionsCheck)
	if err != nil {
		return err
	}
	second, err := t.request(as, to)
	if err != nil {
		return err
	}
	of(first, second)
	if err := t.want(first, ofFirst); err != nil {
		return err
	}
	return t.want(second, ofSecond)
}

func sameNonce(first, second *request) { second.head.Nonce = first.head.Nonce }

func replayedTests() []test {
	used := refusedBy(codeAuth)
	check := wire.PathSessionsCheck
	return []test{
		again("again", "the same request a second time", wire.PathSessionsCheck),
		again("auth-again", "the same request for a token a second time", wire.PathAuth),
		then("nonce-again", "a used nonce in a new request", Should, RolePrimary, check, sameNonce, used),
		then("nonce-earlier", "a used nonce in a new request, with an earlier timestamp", Should, RolePrimary, check, func(first, second *request) {
			sameNonce(first, second)
			second.head.Timestamp = wire.FormatTimestamp(first.head.Time().Add(-time.Second))
		}, used),
		then("nonce-other-path", "a used nonce on another path", Should, RolePrimary, wire.PathMembersOnline, sameNonce, used),
		then("nonce-other-path-auth", "a used nonce in a request for a token", Should, RolePrimary, wire.PathAuth, sameNonce, used),
		then("nonce-other-agent", "a nonce that another agent has used", Ours, RoleOther, check, sameNonce, accepted),
		then("nonce-case", "a used nonce with other capitals is another", Ours, RolePrimary, check, func(first, second *request) {
			second.head.Nonce = swapCase(first.head.Nonce)
		}, accepted),
		steps("replay/nonce-spent-by-plaintext", "the nonce of a request whose plaintext was refused", "8", Ours, func(t *trial) error {
			return t.nonceAfter(plain(`{}`), answers(wire.CodeParameters), used)
		}),
	}
}

// again is the plainest replay: the same bytes.
func again(id, title, to string) test {
	return steps("replay/"+id, title, "2", Should, func(t *trial) error {
		req, err := t.request(RolePrimary, to)
		if err != nil {
			return err
		}
		m := req.make()
		if err := t.wantOf(m, accepted); err != nil {
			return err
		}
		return t.wantOf(m, refusedBy(codeAuth))
	})
}

// nonceAfter sends a request with a fault, and then a right one with the same nonce.
func (t *trial) nonceAfter(fault change, refused, want expect) error {
	return t.inTurn(RolePrimary, wire.PathSessionsCheck, func(first, second *request) {
		fault(first)
		sameNonce(first, second)
	}, refused, want)
}

// notSpentTests: a nonce is spent when token and key are proved, so that a stranger
// cannot use up an agent's (spec 8).
func notSpentTests() []test {
	var all []test
	for _, row := range []struct {
		id, what string
		fault    change
		want     expect
	}{
		{"signature", "signature was wrong", signature(oneDigitOff), answers(codeAuth)},
		{"token", "token was wrong", token(func(string) string { return "x.y.z" }), answers(codeAuth)},
		{"timestamp", "timestamp was old", timestamp("1000000000000"), answers(codeAuth)},
		{"ciphertext", "cipherText did not open", cipherText(flipAt(50)), answers(codeDecryption)},
		{"key", "cipherText was of another key", func(r *request) { r.seal = otherSeal }, answers(codeDecryption)},
		{"body", "body had no cipherText", bodyText(`{}`), answers(wire.CodeParameters)},
	} {
		all = append(all, steps("replay/not-spent-by-"+row.id, "the nonce of a request whose "+row.what, "8", Ours, func(t *trial) error {
			return t.nonceAfter(row.fault, row.want, accepted)
		}))
	}
	return all
}

func atOnceTests() []test {
	return []test{
		steps("replay/at-once", fmt.Sprintf("%d copies of a request at the same moment: one is answered", copies), "8", Should, func(t *trial) error {
			return t.oneOf(wire.PathSessionsCheck, func(first, _ *request) *message { return first.make() })
		}),
		steps("replay/at-once-auth", fmt.Sprintf("%d copies of a request for a token at the same moment: one is answered", copies), "8", Should, func(t *trial) error {
			return t.oneOf(wire.PathAuth, func(first, _ *request) *message { return first.make() })
		}),
		steps("replay/at-once-nonce", fmt.Sprintf("%d requests with the same nonce at the same moment: one is answered", copies), "8", Should, func(t *trial) error {
			return t.oneOf(wire.PathSessionsCheck, func(first, own *request) *message {
				sameNonce(first, own)
				return own.make()
			})
		}),
	}
}

// oneOf sends requests at once, of which one has to be answered and the others
// refused.
func (t *trial) oneOf(to string, of func(first, own *request) *message) error {
	first, err := t.request(RolePrimary, to)
	if err != nil {
		return err
	}
	copied := first.make() // the same bytes, where it is copied
	var all []*message
	for range copies {
		own, err := t.request(RolePrimary, to)
		if err != nil {
			return err
		}
		m := of(first, own)
		if own.head.Nonce != first.head.Nonce {
			m = copied
		}
		all = append(all, m)
	}
	answered, err := t.atOnce(all)
	if err != nil {
		return err
	}
	return t.countOne(all, answered)
}

func (t *trial) countOne(all []*message, answered []*answer) error {
	e := expect{text: fmt.Sprintf("of %d, one answered and %d refused with code 83", copies, copies-1)}
	ok, refused := 0, 0
	for i, a := range answered {
		t.note(all[i], e, a)
		switch {
		case a.noReply != nil:
			return a.noReply
		case busy(a):
			return skipf("the server is too busy for %d requests at once", copies)
		case a.reply.Code == a.right:
			ok++
		case a.reply.Code == codeAuth, !t.r.o.Strict && a.reply.Code != wire.CodeOK && a.reply.Code != wire.CodeInternal:
			refused++
		}
	}
	if ok != 1 || refused != copies-1 {
		return fmt.Errorf("got %d answered and %d refused, want %s", ok, refused, e.text)
	}
	return nil
}
