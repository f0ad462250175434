package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/admin"
)

func newGameServer() *cobra.Command {
	return group("gameserver", "The game servers: who reports sessions, and of which games",
		newGameServerAdd(),
		verb[rollcall.GameServer]{
			use: "show ID", short: "Show a game server", args: 1,
			method: http.MethodGet, path: to("game-servers", "{0}"), show: showGameServer,
		}.command(),
		lister[rollcall.GameServer]{
			use: "list", short: "List the game servers", path: to("game-servers"), head: "ID\tSTATE\tGAMES\tCREATED",
			row: func(g rollcall.GameServer) []any {
				return []any{g.ID, serverState(g), joinGames(g.Games), at(g.CreatedAt)}
			},
		}.command(),
		newGameServerChange(),
		verb[deleted]{
			use: "delete ID", short: "Delete a game server; its token ends at once, and its sessions as lost", args: 1,
			method: http.MethodDelete, path: to("game-servers", "{0}"),
		}.command(),
		newRotateToken(),
		verb[rollcall.GameServer]{
			use: "drain ID", short: "Have a game server start no more sessions; those that it has go on", args: 1,
			long: `Drain is for before an update of a game server: it is told at once, and every
Start of it is refused from then on. Its sessions go on until they end by
themselves; 'rollcall session count --by game-server' says how many are left, and
'rollcall kick start --game-server ID' ends the rest.`,
			method: http.MethodPost, path: to("game-servers", "{0}", "drain"), show: showGameServer,
		}.command(),
		verb[rollcall.GameServer]{
			use: "undrain ID", short: "Let a game server start sessions again", args: 1,
			method: http.MethodPost, path: to("game-servers", "{0}", "undrain"), show: showGameServer,
		}.command())
}

func showGameServer(w io.Writer, g rollcall.GameServer) {
	fields(w, "game server", g.ID, "state", serverState(g), "games", joinGames(g.Games), "created", at(g.CreatedAt), "updated", at(g.UpdatedAt))
}

func serverState(g rollcall.GameServer) string {
	if g.Draining {
		return "draining"
	}
	return "active"
}

func joinGames(codes []string) string {
	if len(codes) == 0 {
		return "all"
	}
	return strings.Join(codes, ",")
}

func newGameServerAdd() *cobra.Command {
	var in admin.GameServerCreate
	var hand handOver
	cmd := verb[admin.GameServerCreated]{
		use: "add ID", short: "Make a game server and its token, which is shown this once", args: 1,
		example: "  rollcall gameserver add gs1\n  rollcall gameserver add slots --games VP_230001_1,VP_230002_1",
		method:  http.MethodPost, path: to("game-servers"),
		body: func(args []string) (any, error) {
			in.ID = args[0]
			return in, hand.check()
		},
		keep: func(out *admin.GameServerCreated) error {
			keys := GameServerCredentials{ID: out.GameServer.ID, Token: out.Token}
			err := hand.write(Credentials{GameURL: hand.baseURL, GameServers: []GameServerCredentials{keys}})
			if hand.written {
				out.Token = ""
			}
			return err
		},
		show: func(w io.Writer, out admin.GameServerCreated) {
			showGameServer(w, out.GameServer)
			if hand.written {
				fmt.Fprintf(w, "\nIts token is in %s.\n", hand.file)
				return
			}
			fmt.Fprintf(w, "\nFor the game server, not shown again:\n  token  %s\n", out.Token)
		},
	}.command()
	hand.flags(cmd.Flags())
	cmd.Flags().StringSliceVar(&in.Games, "games", nil, "`codes` of the games that it runs, with commas (default: all)")
	return cmd
}

func newGameServerChange() *cobra.Command {
	var games []string
	var cmd *cobra.Command
	cmd = verb[rollcall.GameServer]{
		use: "change ID --games GAMES", short: "Change which games a game server may start", args: 1,
		example: "  rollcall gameserver change slots --games VP_230001_1\n  rollcall gameserver change slots --games ''    (all)",
		method:  http.MethodPatch, path: to("game-servers", "{0}"), show: showGameServer,
		body: func([]string) (any, error) { return admin.GameServerChange{Games: given(cmd, "games", &games)}, nil },
	}.command()
	cmd.Flags().StringSliceVar(&games, "games", nil, "`codes` of the games, with commas; '': all")
	return cmd
}

func newRotateToken() *cobra.Command {
	return verb[admin.TokenCreated]{
		use: "rotate-token ID", short: "Make a game server a new token; the one before it works until the next rotation", args: 1,
		long: `Rotate-token makes a new token, which is shown this once. The one before it works
until the next rotation, so that the game server can change over in its own time.
When a token was stolen, rotate twice.`,
		method: http.MethodPost, path: to("game-servers", "{0}", "token"),
		show: func(w io.Writer, out admin.TokenCreated) { fields(w, "game server", out.Name, "token", out.Token) },
	}.command()
}
