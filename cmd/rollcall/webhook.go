package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/admin"
)

func newWebhook() *cobra.Command {
	return group("webhook", "The webhooks on their way to agents, and those that were given up",
		newWebhookList(),
		verb[rollcall.WebhookDelivery]{
			use: "retry ID", short: "Send a webhook again that was given up, or sooner one that waits", args: 1,
			example: "  rollcall webhook list --dead        (has the ids)\n  rollcall webhook retry 019…-ended",
			method:  http.MethodPost, path: to("webhooks", "{0}", "retry"), show: showDelivery,
		}.command())
}

func showDelivery(w io.Writer, d rollcall.WebhookDelivery) {
	fields(w, "webhook", d.ID, "agent", d.AgentID, "type", d.Type, "session", d.SessionID, "created", at(d.CreatedAt),
		"attempts", d.Attempts, "last error", d.LastError, "next attempt", at(d.NextAt), "given up", at(d.DeadAt))
}

func newWebhookList() *cobra.Command {
	var agent string
	var dead bool
	cmd := lister[rollcall.WebhookDelivery]{
		use: "list", short: "List the webhooks that are not delivered: those on their way, or those that were given up",
		example: "  rollcall webhook list --agent myCasino\n  rollcall webhook list --dead",
		path:    to("webhooks"), head: "ID\tAGENT\tTYPE\tCREATED\tATTEMPTS\tNEXT\tLAST ERROR",
		query: func([]string) (url.Values, error) {
			return queryOf("agent", agent, "dead", fmt.Sprint(dead)), nil
		},
		row: func(d rollcall.WebhookDelivery) []any {
			return []any{d.ID, d.AgentID, d.Type, at(d.CreatedAt), d.Attempts, dash(at(d.NextAt)), dash(d.LastError)}
		},
	}.command()
	cmd.Flags().StringVar(&agent, "agent", "", "only to this agent")
	cmd.Flags().BoolVar(&dead, "dead", false, "those that were given up (default: those on their way)")
	return cmd
}

func newAgentWebhook() *cobra.Command {
	var off bool
	cmd := verb[admin.WebhookCreated]{
		use: "webhook AGENT URL", short: "Tell an agent of its sessions at a URL; the secret that signs it is shown this once",
		long: `Webhook has what begins and ends of an agent's sessions posted to an https URL,
signed by the scheme of Standard Webhooks. The secret is made anew each time and
shown this once. Only public addresses are taken, unless the server's settings
webhook-allow-private or webhook-allow say otherwise.`,
		example: "  rollcall agent webhook myCasino https://casino.example/rollcall\n  rollcall agent webhook myCasino --off",
		method:  http.MethodPut, path: to("agents", "{0}", "webhook"),
		body: func(args []string) (any, error) {
			if off == (len(args) == 2) {
				return nil, errors.New("give the URL, or --off to end the webhooks")
			}
			return admin.WebhookSet{URL: append(args, "")[1]}, nil
		},
		show: func(w io.Writer, out admin.WebhookCreated) {
			fields(w, "webhook", out.URL)
			if out.Secret != "" {
				fmt.Fprintf(w, "\nFor the integrator, not shown again:\n  secret  %s\n", out.Secret)
			}
		},
	}.command()
	cmd.Args = cobra.RangeArgs(1, 2)
	cmd.Flags().BoolVar(&off, "off", false, "send no more webhooks; those on their way are dropped")
	return cmd
}
