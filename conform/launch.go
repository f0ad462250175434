package conform

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/wire"
)

// launch changes the fields of a right launch.
func launch(f func(o *wire.OpenGameRequest)) change {
	return func(r *request) {
		o := r.opened()
		f(&o)
		r.plaintext = jsonOf(o)
	}
}

// launchText changes the JSON of a right launch.
func launchText(old, text string) change {
	return func(r *request) {
		if !strings.Contains(r.plaintext, old) {
			panic("conform: a launch has no " + old) // the case would be none
		}
		r.plaintext = strings.Replace(r.plaintext, old, text, 1)
	}
}

// opened is the launch that fill has made.
func (r *request) opened() wire.OpenGameRequest {
	var o wire.OpenGameRequest
	if err := o.Decode([]byte(r.plaintext)); err != nil {
		panic(err) // it is right
	}
	return o
}

// opens waits for a launch URL and the mode.
func opens(mode rollcall.Mode) expect {
	return data("gameLaunchUrl and mode "+string(mode), func(v wire.OpenGameResponse) string {
		u, err := url.Parse(v.GameLaunchURL)
		switch {
		case err != nil || u.Host == "":
			return "no URL in gameLaunchUrl"
		case v.Mode != mode:
			return fmt.Sprintf("mode %q", v.Mode)
		}
		return ""
	})
}

func launchTests() []test {
	all := table("opengame", RolePrimary, wire.PathOpenGame, append(append(launchRows(), deviceRows()...), launchFormRows()...))
	all = append(all, table("opengame", RoleNoBranch, wire.PathOpenGame, []row{
		{"no-branch", "an agent without a branch", "7.2", Must, asIs, answers(codeNoBranch)},
	})...)
	return append(all, writing(append(gameTests(),
		steps("opengame/site", "a siteId that is not the member's", "7.2", Must, launchSite),
		steps("opengame/no-session", "a launch that nobody has taken up is no session", "6.4", Ours, launchNoSession),
		steps("opengame/other-token", "each launch has a URL of its own", "7.2", Ours, launchTwice),
	)...)...)
}

func launchRows() []row {
	wrong := answers(wire.CodeParameters)
	typed := func(launchType rollcall.LaunchType) change {
		return launch(func(o *wire.OpenGameRequest) { o.LaunchType = int(launchType) })
	}
	return []row{
		{"right", "a launch for real", "7.2", Must, asIs, opens(rollcall.ModeReal)},
		{"order", "data has gameLaunchHtml, gameLaunchUrl, mode in this order", "7.2", Ours, asIs, accepted.and("the members in order", func(a *answer) string {
			return namesWrong(a.reply.Data, []string{"gameLaunchHtml", "gameLaunchUrl", "mode"})
		})},
		{"demo", "launchType 1 gives demo", "7.2", Must, typed(rollcall.LaunchDemo), opens(rollcall.ModeDemo)},
		{"both", "launchType 0 gives real, where the game offers it", "7.2", Must, typed(rollcall.LaunchBoth), opens(rollcall.ModeReal)},
		{"launch-type-absent", "no launchType is 0", "7.2", Must, launchText(`,"launchType":2`, ""), opens(rollcall.ModeReal)},
		{"demo-without-member", "a demo without a username", "7.2", Must, launch(func(o *wire.OpenGameRequest) {
			o.LaunchType, o.Username = int(rollcall.LaunchDemo), ""
		}), opens(rollcall.ModeDemo)},
		{"real-without-member", "a launch for real without a username", "7.2", Must, launch(func(o *wire.OpenGameRequest) { o.Username = "" }), wrong},
		{"unknown-member", "a member that there is not", "7.2", Must, launch(func(o *wire.OpenGameRequest) { o.Username = newName() }), answers(codeNoMember)},
		{"unknown-game", "a game that there is not", "7.2", Must, launch(func(o *wire.OpenGameRequest) { o.GameCode = newName() }), answers(codeNoGame)},
		{"lobby", "an https lobbyUrl", "7.2", Must, launch(func(o *wire.OpenGameRequest) { o.LobbyURL = "https://lobby.example/?a=b" }), opens(rollcall.ModeReal)},
		{"lobby-http", "a lobbyUrl with http", "7.2", Must, launch(func(o *wire.OpenGameRequest) { o.LobbyURL = "http://lobby.example/" }), wrong},
		{"lobby-script", "a lobbyUrl with javascript", "7.2", Must, launch(func(o *wire.OpenGameRequest) { o.LobbyURL = "javascript:alert(1)" }), wrong},
		{"lobby-no-host", "a lobbyUrl without a host", "7.2", Ours, launch(func(o *wire.OpenGameRequest) { o.LobbyURL = "https:///x" }), wrong},
	}
}

func deviceRows() []row {
	wrong := answers(wire.CodeParameters)
	const device = `"deviceType":0`
	return []row{
		{"device-mobile", "deviceType 1", "7.2", Must, launchText(device, `"deviceType":1`), opens(rollcall.ModeReal)},
		{"device-2", "deviceType 2, which is 6.2's and not this one's", "7.2", Must, launchText(device, `"deviceType":2`), wrong},
		{"device-minus", "deviceType -1", "7.2", Should, launchText(device, `"deviceType":-1`), wrong},
		{"device-text", "deviceType as a string", "7.2", Ours, launchText(device, `"deviceType":"0"`), wrong},
		{"device-fraction", "deviceType 0.5", "7.2", Ours, launchText(device, `"deviceType":0.5`), wrong},
		{"device-point", "deviceType 0.0", "1.2", Ours, launchText(device, `"deviceType":0.0`), wrong},
		{"device-null", "deviceType null", "1.2", Ours, launchText(device, `"deviceType":null`), wrong},
		{"device-missing", "no deviceType", "7.2", Should, launchText(device+",", ""), wrong},
		{"launch-type-3", "launchType 3", "7.2", Must, launchText(`"launchType":2`, `"launchType":3`), wrong},
		{"launch-type-text", "launchType as a string", "7.2", Ours, launchText(`"launchType":2`, `"launchType":"2"`), wrong},
		{"launch-type-null", "launchType null", "1.2", Ours, launchText(`"launchType":2`, `"launchType":null`), wrong},
	}
}

func launchFormRows() []row {
	wrong := answers(wire.CodeParameters)
	ip := func(text string) change { return launch(func(o *wire.OpenGameRequest) { o.IPAddress = text }) }
	lang := func(text string) change { return launch(func(o *wire.OpenGameRequest) { o.Lang = text }) }
	return []row{
		{"ip-v6", "an IPv6 address", "7.2", Must, ip("2001:db8::1"), opens(rollcall.ModeReal)},
		{"ip-wrong", "no address in ipaddress", "7.2", Must, ip("localhost"), wrong},
		{"ip-256", "256 in an IPv4 address", "7.2", Must, ip("256.0.0.1"), wrong},
		{"ip-port", "an address with a port", "7.2", Must, ip("127.0.0.1:80"), wrong},
		{"ip-zone", "an IPv6 address with a zone", "7.2", Ours, ip("fe80::1%eth0"), wrong},
		{"ip-missing", "no ipaddress", "7.2", Should, launchText(`"ipaddress":"127.0.0.1",`, ""), wrong},
		{"lang-missing", "no lang", "7.2", Should, launchText(`"lang":"en",`, ""), wrong},
		{"lang-region", "lang with a region", "7.2", Should, lang("pt-BR"), opens(rollcall.ModeReal)},
		{"lang-17", "lang of 17 characters", "7.2", Ours, lang(strings.Repeat("a", 17)), wrong},
		{"lang-form", "lang with a tag of HTML", "7.2", Ours, lang("<b>"), wrong},
		{"game-missing", "an empty gameCode", "7.2", Should, launch(func(o *wire.OpenGameRequest) { o.GameCode = "" }), wrong},
		{"game-65", "gameCode of 65 characters", "7.2", Ours, launch(func(o *wire.OpenGameRequest) { o.GameCode = strings.Repeat("a", 65) }), wrong},
		{"username-form", "a username with a space", "7.2", Must, launch(func(o *wire.OpenGameRequest) { o.Username += " " }), wrong},
		{"site-form", "a siteId with a space", "7.2", Ours, launch(func(o *wire.OpenGameRequest) { o.SiteID = "s 1" }), wrong},
		{"duplicate", "a member twice, the same", "1.2", Ours, launchText(`"lang":"en"`, `"lang":"en","lang":"en"`), wrong},
	}
}

// gameTests need facts: games, and a member that may not play.
func gameTests() []test {
	fact := func(id, title, name string, role, of func(Facts) string, f func(o *wire.OpenGameRequest, value string), want expect) test {
		return steps("opengame/"+id, title, "7.2", Must, func(t *trial) error {
			value, as := of(t.r.o.Facts), role(t.r.o.Facts)
			if value == "" || as == "" {
				return skipf("none is known (fact %s)", name)
			}
			req, err := t.request(as, wire.PathOpenGame)
			if err != nil {
				return err
			}
			launch(func(o *wire.OpenGameRequest) { f(o, value) })(req)
			return t.want(req, want)
		})
	}
	primary := func(Facts) string { return RolePrimary }
	realGame := func(f Facts) string { return f.RealGame }
	demoGame := func(f Facts) string { return f.DemoGame }
	asked := func(launchType rollcall.LaunchType) func(*wire.OpenGameRequest, string) {
		return func(o *wire.OpenGameRequest, game string) { o.GameCode, o.LaunchType = game, int(launchType) }
	}
	return []test{
		fact("real-only-as-demo", "a demo of a game that is real only", "realGame", primary, realGame, asked(rollcall.LaunchDemo), answers(codeNoGame)),
		fact("demo-only-as-real", "real play of a game that is a demo only", "demoGame", primary, demoGame, asked(rollcall.LaunchReal), answers(codeNoGame)),
		fact("demo-only-as-both", "launchType 0 gives demo, where the game has no real", "demoGame", primary, demoGame, asked(rollcall.LaunchBoth), opens(rollcall.ModeDemo)),
		fact("suspended", "a member that is suspended", "suspended", primary, func(f Facts) string { return f.Suspended }, func(o *wire.OpenGameRequest, name string) {
			o.Username = name
		}, answers(codeSuspended)),
		fact("restricted", "a game that the agent may not offer", "restrictedGame", func(f Facts) string { return f.RestrictedRole },
			func(f Facts) string { return f.RestrictedGame }, asked(rollcall.LaunchDemo), answers(codeRestricted)),
	}
}

func launchSite(t *trial) error {
	create, err := t.request(RolePrimary, wire.PathMembers)
	if err != nil {
		return err
	}
	create.plaintext = jsonOf(wire.MemberCreateRequest{Username: create.username, SiteID: "s1"})
	if err := t.want(create, withoutData); err != nil {
		return err
	}
	for site, want := range map[string]expect{"s1": opens(rollcall.ModeReal), "s2": answers(codeSite), "": opens(rollcall.ModeReal)} {
		req, err := t.request(RolePrimary, wire.PathOpenGame)
		if err != nil {
			return err
		}
		launch(func(o *wire.OpenGameRequest) { o.Username, o.SiteID = create.username, site })(req)
		if err := t.want(req, want); err != nil {
			return err
		}
	}
	return nil
}

// open launches the game of the facts for a member, and returns the launch URL.
func (t *trial) open(username string, f func(*wire.OpenGameRequest)) (string, error) {
	req, err := t.request(RolePrimary, wire.PathOpenGame)
	if err != nil {
		return "", err
	}
	launch(func(o *wire.OpenGameRequest) {
		o.Username = username
		f(o)
	})(req)
	launchURL := ""
	err = t.want(req, data("gameLaunchUrl", func(v wire.OpenGameResponse) string {
		launchURL = v.GameLaunchURL
		if launchURL == "" {
			return "no gameLaunchUrl"
		}
		return ""
	}))
	return launchURL, err
}

func unchanged(*wire.OpenGameRequest) {}

func launchNoSession(t *trial) error {
	username, err := t.newMember(RolePrimary)
	if err != nil {
		return err
	}
	if _, err := t.open(username, unchanged); err != nil {
		return err
	}
	return t.checkOf(RolePrimary, username, noSession)
}

func launchTwice(t *trial) error {
	username, err := t.newMember(RolePrimary)
	if err != nil {
		return err
	}
	first, err := t.open(username, unchanged)
	if err != nil {
		return err
	}
	second, err := t.open(username, unchanged)
	if err == nil && first == second {
		err = fmt.Errorf("got the same gameLaunchUrl twice, want another")
	}
	return err
}
