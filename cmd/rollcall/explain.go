package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/explain"
	"github.com/rollcall-server/rollcall/wire"
)

// explainOptions are the flags of the command.
type explainOptions struct {
	format, apiKeyFile, secretFile, profile string
	at, recordFile, logUUID                 string
	skew                                    time.Duration
	entry                                   int
}

func newExplain() *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use:   "explain [FILE]",
		Short: "Say what is wrong with a captured v2 request, and how to mend it",
		Long: `Explain takes a request that was captured, from FILE or standard input, and says
step by step, in the order in which a server checks, what is right and what is
wrong, and how to mend it. It works offline and prints no secret.

A capture is one of these; which one, is found out:

  http   requests as they go over the wire, each with its answer behind it if you
         have it; also as curl -v shows them, and headers without a request line
  curl   a curl command line, such as a browser's "Copy as cURL"
  har    what a browser or a proxy exports: of its requests those to /v2
  json   {"method": …, "url": …, "headers": {…}, "body": {…} or "…"}

The more it knows the more it tells. All of this may be left out:

  keys      --credentials FILE, the agent is the one in x-agentid; or
            --api-key-file and --secret-file, or the environment variables
            ROLLCALL_API_KEY and ROLLCALL_SECRET. Never on the command line.
            With the API key it opens cipherText, and where that fails it tries
            what goes wrong: order, encoding, mode, iv, padding, the key's form.
  time      --at: when the request was sent, by a clock that is right. Else the
            capture's own time counts, and where it has none, now: then a request
            that is old is not called wrong.
  record    --log-uuid ID asks the operators' API for the server's record of the
            request; --record FILE has it, as 'rollcall request ID --json' prints.
            It tells what nobody else can: whether the server knows the agent,
            and has signed the token.

Exit codes: 0 nothing wrong was found; 1 something is wrong; 2 usage, or the
capture cannot be read. docs/explain.md lists all findings.`,
		Example: `  rollcall explain request.txt
  rollcall explain request.txt --credentials c.json --at 2026-01-30T03:58:52Z
  pbpaste | ROLLCALL_API_KEY=$(cat key) rollcall explain
  rollcall explain session.har --entry 3 --json
  rollcall explain request.txt --credentials c.json --log-uuid 019aa0b2-7d1e-7c3e-9b1a-3f0e5d2c1b0a`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "", "`format` of the capture: http, curl, har or json (default: found out)")
	f.StringVar(&o.apiKeyFile, "api-key-file", "", "`file` with the agent's API key (environment: ROLLCALL_API_KEY, the key itself)")
	f.StringVar(&o.secretFile, "secret-file", "", "`file` with the agent's Secret key (environment: ROLLCALL_SECRET, the key itself)")
	f.StringVar(&o.profile, "profile", "", "the agent's signature `profile`: plain or hmac (default: what the credentials say; without them either is right)")
	f.StringVar(&o.at, "at", "", "`time` when it was sent: RFC 3339, Unix seconds or milliseconds")
	f.DurationVar(&o.skew, "max-clock-skew", 0, "how far the server lets timestamps be off (default 5m)")
	f.StringVar(&o.recordFile, "record", "", "`file` with the server's record of the request")
	f.StringVar(&o.logUUID, "log-uuid", "", "`id` of the record, to ask the operators' API for")
	f.IntVar(&o.entry, "entry", 0, "of a HAR explain only the `N`th request to /v2, from 1 (default: each)")
	cmd.MarkFlagsMutuallyExclusive("record", "log-uuid")
	adminFlags(f)
	f.Lookup("credentials").Usage = "`file` with the agents' keys, and for --log-uuid adminUrl and adminToken (environment: ROLLCALL_CREDENTIALS)"
	return cmd
}

// errExplained is the end of a command that has said what is wrong.
var errExplained = errors.New("something is wrong with the request; see above")

func (o *explainOptions) run(cmd *cobra.Command, args []string) error {
	know, err := o.knowledge(cmd)
	if err != nil {
		return err
	}
	list, err := o.read(cmd, args)
	if err != nil {
		return usageError{err}
	}
	reports := make([]*explain.Report, len(list))
	wrong := false
	for i, r := range list {
		reports[i] = explain.Explain(r, know)
		wrong = wrong || reports[i].Wrong()
	}
	if err := printReports(cmd, reports); err != nil {
		return err
	}
	if wrong {
		return errExplained
	}
	return nil
}

func printReports(cmd *cobra.Command, reports []*explain.Report) error {
	w := cmd.OutOrStdout()
	if wantJSON(cmd) && len(reports) == 1 {
		return printJSON(w, reports[0])
	}
	if wantJSON(cmd) {
		return printJSON(w, reports)
	}
	for i, r := range reports {
		if len(reports) > 1 {
			fmt.Fprintf(w, "%s%d of %d: ", map[bool]string{true: "\n"}[i > 0], i+1, len(reports))
		}
		r.Print(w)
	}
	return nil
}

// read reads the capture and picks the entry.
func (o *explainOptions) read(cmd *cobra.Command, args []string) ([]*explain.Request, error) {
	data, err := readInput(cmd, args)
	if err != nil {
		return nil, err
	}
	list, err := explain.Read(data, explain.Format(o.format))
	switch {
	case err != nil:
		return nil, err
	case o.entry < 0 || o.entry > len(list):
		return nil, fmt.Errorf("--entry %d: the capture has %d requests to /v2", o.entry, len(list))
	case o.entry > 0:
		return list[o.entry-1 : o.entry], nil
	}
	return list, nil
}

func (o *explainOptions) knowledge(cmd *cobra.Command) (explain.Knowledge, error) {
	know := explain.Knowledge{Now: time.Now(), MaxClockSkew: o.skew, Profile: rollcall.SignatureProfile(o.profile)}
	if o.profile != "" && !know.Profile.Valid() {
		return know, usageError{fmt.Errorf("--profile: want plain or hmac, got %q", o.profile)}
	}
	var err error
	if know.At, err = parseSent(o.at); err != nil {
		return know, usageError{err}
	}
	if know.Agents, err = o.agents(cmd); err != nil {
		return know, usageError{err}
	}
	know.Record, err = o.record(cmd)
	return know, err
}

// parseSent reads a moment as people and logs write it.
func parseSent(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	var n int64
	if _, err := fmt.Sscanf(text+" ", "%d ", &n); err == nil && fmt.Sprint(n) == text {
		switch len(text) {
		case 10:
			return time.Unix(n, 0), nil
		case 13:
			return time.UnixMilli(n), nil
		}
	}
	return time.Time{}, fmt.Errorf("--at: want a moment such as 2026-01-30T03:58:52Z, or Unix seconds or milliseconds, got %q", text)
}

// agents are those of the credentials, and whom the single keys belong to.
func (o *explainOptions) agents(cmd *cobra.Command) ([]explain.Agent, error) {
	var list []explain.Agent
	file, err := cmd.Flags().GetString("credentials")
	if err != nil {
		return nil, err
	}
	if file = firstOf(file, os.Getenv(envPrefix+"CREDENTIALS")); file != "" {
		c, err := readCredentials(file)
		if err != nil {
			return nil, err
		}
		for _, a := range c.Agents {
			list = append(list, explain.Agent{ID: a.AgentID, APIKeys: keysIn(a.APIKey, a.NextAPIKey), Secret: a.Secret, Profile: profileOf(a)})
		}
	}
	key, err := secretText(o.apiKeyFile, envAPIKey)
	if err != nil {
		return nil, err
	}
	secret, err := secretText(o.secretFile, envSecret)
	if err != nil {
		return nil, err
	}
	if key != "" {
		if _, err := wire.ParseAPIKey(strings.ToLower(key)); err != nil {
			return nil, err
		}
	}
	if key != "" || secret != "" {
		list = append([]explain.Agent{{APIKeys: keysIn(key), Secret: secret}}, list...)
	}
	return list, nil
}

// profileOf is the agent's profile: the file names it where it is not plain.
func profileOf(a AgentCredentials) rollcall.SignatureProfile {
	if a.Signature == "" {
		return rollcall.SignaturePlain
	}
	return a.Signature
}

// keysIn leaves out what is empty.
func keysIn(keys ...string) (list []string) {
	for _, key := range keys {
		if key != "" {
			list = append(list, strings.ToLower(key))
		}
	}
	return list
}

// secretText reads a secret from its file, or from the environment.
func secretText(file, env string) (string, error) {
	if file == "" {
		return strings.TrimSpace(os.Getenv(env)), nil
	}
	return readSecret(file)
}

// record reads the server's record from its file, or asks for it.
func (o *explainOptions) record(cmd *cobra.Command) (*rollcall.RequestRecord, error) {
	switch {
	case o.recordFile != "":
		text, err := os.ReadFile(o.recordFile)
		if err != nil {
			return nil, usageError{err}
		}
		var r rollcall.RequestRecord
		if err := json.Unmarshal(text, &r); err != nil || r.LogUUID == "" {
			return nil, usageError{fmt.Errorf("--record %s: it is no record as 'rollcall request LOGUUID --json' prints it", o.recordFile)}
		}
		return &r, nil
	case o.logUUID != "":
		c, err := connect(cmd)
		if err != nil {
			return nil, err
		}
		shown, err := waitRequest(cmd.Context(), c, o.logUUID)
		if err != nil {
			return nil, usageError{err}
		}
		r := shown.RequestRecord
		return &r, nil
	}
	return nil, nil //nolint:nilnil // there need not be one
}
