package auth

import (
	"context"
	"net/http"

	"github.com/rollcall-server/rollcall"
	"github.com/rollcall-server/rollcall/internal/explain"
	"github.com/rollcall-server/rollcall/internal/roll"
	"github.com/rollcall-server/rollcall/wire"
)

// Diagnose says what is wrong with a request that was refused, for its record. It
// is for after the answer: it takes milliseconds, more for some requests than for
// others. Nothing is tried that needs a SecretKey, and nothing with the keys of an
// agent that is not there. No error: where it cannot tell, it returns nothing.
func (a *Authenticator) Diagnose(ctx context.Context, req *explain.Request, record *rollcall.RequestRecord) []rollcall.RequestFinding {
	know := explain.Knowledge{At: record.At, MaxClockSkew: a.skew, Record: record, Brief: true}
	if agent := a.claimed(ctx, req.Header); agent != nil {
		know.Profile = agent.Signature
		know.Agents = []explain.Agent{{ID: agent.ID, APIKeys: a.keyTexts(agent)}}
	}
	return explain.Explain(req, know).Diagnosis()
}

// claimed returns the agent that a request's header names, if there is one.
func (a *Authenticator) claimed(ctx context.Context, h http.Header) *roll.Agent {
	id := h.Get(wire.HeaderAgentID)
	if !rollcall.ValidID(id) {
		return nil
	}
	agent, err := a.directory.Agents().Get(ctx, id)
	if err != nil {
		return nil
	}
	return agent
}

func (a *Authenticator) keyTexts(agent *roll.Agent) (texts []string) {
	for _, info := range agent.APIKeys {
		text, err := a.vault.Open(roll.APIKeyContext(agent.ID), agent.SealedAPIKeys[info.ID])
		if err == nil {
			texts = append(texts, string(text))
		}
	}
	return texts
}
