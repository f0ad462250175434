package client

import (
	"fmt"
	"strings"
	"testing"
)

// What is printed by mistake has no key in it.
func TestSecretsHideThemselves(t *testing.T) {
	key, secret, token := strings.Repeat("5a", 32), "very-secret-key", "token-of-a-game-server"
	o := Options{BaseURL: "http://127.0.0.1:1", AgentID: "a1", APIKey: key, SecretKey: secret}
	c, err := New(o)
	must(t, err)
	c.token = token
	g, err := NewGameServer(GameServerOptions{BaseURL: "http://127.0.0.1:1", Token: token, BootID: "b1"})
	must(t, err)
	for _, v := range []any{o, &o, c, g, GameServerOptions{Token: token}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
			text := fmt.Sprintf(verb, v)
			for _, hidden := range []string{key, secret, token, fmt.Sprintf("%x", secret)} {
				if strings.Contains(text, hidden) {
					t.Errorf("%s of %T: %s", verb, v, text)
				}
			}
		}
	}
}
