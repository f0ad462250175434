package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-server/rollcall/wire"
)

// Each of the page's mistakes, made to a sandbox, gets the code that the page says.
func TestTenMinutesMistakes(t *testing.T) {
	t.Parallel()
	page := readTenMinutes(t)
	_, c := startSandbox(t, t.TempDir())
	b := newBlackbox(t, c, rolePrimary)
	b.want(t, b.request(t, player), 200, 0)
	made := map[string][]*raw{}
	b.sealedWrong(t, made)
	b.signedWrong(t, made)
	for mistake, requests := range made {
		row := page.mistake(mistake)
		for i, r := range requests {
			a := b.send(t, r)
			if want := fmt.Sprintf("| %d |", a.reply.Code); a.reply.Code == wire.CodeOK || !strings.HasSuffix(row, want) {
				t.Errorf("mistake %s, way %d: got %s, and the page says %s", mistake, i+1, a.body, row)
			}
		}
	}
	if len(made) != 7 || page.mistake("8") != "" {
		t.Errorf("made %d mistakes, want each of the page's seven", len(made))
	}
}

// sealedWrong makes the mistakes of sealing.
func (b *blackbox) sealedWrong(t *testing.T, made map[string][]*raw) {
	t.Helper()
	key, iv := unhex(t, b.agent.APIKey), make([]byte, 12)
	sealed, tag := sealRaw(t, key, iv, []byte(player))
	otherSealed, otherTag := sealRaw(t, []byte(b.agent.APIKey[:32]), iv, []byte(player))
	check := func(parts ...[]byte) *raw {
		text := ""
		for _, part := range parts {
			text += base64Of(part)
		}
		return b.signed(wire.PathSessionsCheck, text, b.token)
	}
	b.want(t, check(iv, tag, sealed), 200, 0)
	made["1"] = []*raw{check(iv, otherTag, otherSealed)}
	made["2"] = []*raw{check(iv, sealed, tag)}
	made["3"] = []*raw{check(slices.Concat(iv, tag, sealed))}
	swapped, err := json.Marshal(wire.AuthRequest{AgentID: b.agent.AgentID, Secret: b.agent.APIKey})
	if err != nil {
		t.Fatal(err)
	}
	made["7"] = []*raw{b.signed(wire.PathAuth, b.key.Seal(swapped), "")}
}

// signedWrong makes the mistakes of the headers.
func (b *blackbox) signedWrong(t *testing.T, made map[string][]*raw) {
	t.Helper()
	resigned := func(change func(h *wire.Header)) *raw {
		r := b.request(t, player)
		h := r.head()
		change(&h)
		r.resign(h)
		return r
	}
	signedOver := func(text func(h wire.Header, r *raw) string) *raw {
		r := b.request(t, player)
		r.header.Set(wire.HeaderSignature, sha256Of(text(r.head(), r)))
		return r
	}
	again := signedOver(func(h wire.Header, r *raw) string {
		return strings.Join([]string{h.AgentID, h.Timestamp, h.Nonce, r.cipherText}, "|")
	})
	b.want(t, again, 200, 0)
	made["4"] = []*raw{
		resigned(func(h *wire.Header) { h.Timestamp = h.Timestamp[:10] }),
		resigned(func(h *wire.Header) { h.Timestamp = wire.FormatTimestamp(time.Now().Add(-6 * time.Minute)) }),
	}
	made["5"] = []*raw{
		signedOver(func(h wire.Header, r *raw) string {
			return strings.Join([]string{h.AgentID, h.Timestamp, h.Nonce, string(r.body)}, "|")
		}),
		signedOver(func(h wire.Header, r *raw) string { return h.AgentID + h.Timestamp + h.Nonce + r.cipherText }),
	}
	made["6"] = []*raw{again, resigned(func(h *wire.Header) { h.Nonce = "e39e33c1-8bd6-ca5c-9ea1-28c2154dd592" })}
}
